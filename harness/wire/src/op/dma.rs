//! DMA by devices.

use serde::{Deserialize, Serialize};

use crate::{
    Returned, Value,
    operand::{constants, ops},
};

ops! {
    /// DMA by devices.
    pub enum DmaOp {
        /// Let a device write one page by DMA. The device is driven through its sysfs resource
        /// files, so that the probe does not depend on vfio.
        Dma {
            /// PCI address, such as `0000:01:00.0`.
            device: String,
            /// How it is driven.
            engine: DmaEngine,
            /// Where it writes.
            iova: Value,
            /// Page of this process that is checked for the result.
            watch: Value,
        },
        /// Let a device read a command from a page by DMA. What it writes for it stays in the device.
        Fetch {
            /// PCI address, such as `0000:01:00.0`.
            device: String,
            /// How it is driven.
            engine: DmaEngine,
            /// Where it reads.
            iova: Value,
            /// Page of this process that the command is put into.
            page: Value,
        },
        /// Physical address of a page of the process.
        Phys {
            /// Virtual address in the process.
            at: Value,
            /// Receives the physical address.
            save: Returned,
        },
    }
}

constants!(DmaEngine);

/// Device model that does the DMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DmaEngine {
    /// QEMU `nvme` with a controller memory buffer: Identify into the target page, or from it.
    Nvme,
}
