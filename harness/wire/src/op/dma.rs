//! What devices do to memory.

use serde::{Deserialize, Serialize};

use crate::{
    Returned, Value,
    operand::{constants, ops},
};

ops! {
    /// What devices do to memory.
    pub enum DmaOp {
        /// Let a device write one page by DMA. The device is driven through its sysfs
        /// resource files, so that the probe depends on nothing that vfio grants.
        Dma {
            /// PCI address.
            device: String,
            /// How it is driven.
            engine: DmaEngine,
            /// Where it writes.
            iova: Value,
            /// Page of this process in which the result is looked for.
            watch: Value,
        },
        /// Physical address of a page of the process.
        Phys {
            /// Virtual address.
            at: Value,
            /// Receives the physical address.
            save: Returned,
        },
    }
}

constants!(DmaEngine);

/// Which device model does the DMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DmaEngine {
    /// QEMU `nvme` with a controller memory buffer: Identify into the target page.
    Nvme,
}
