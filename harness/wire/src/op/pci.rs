//! PCI devices and their drivers.

use serde::{Deserialize, Serialize};

use crate::{
    Fd, Returned, Timeout,
    operand::{constants, ops},
};

ops! {
    /// PCI devices and their drivers.
    pub enum PciOp {
        /// Walk the capabilities of a vfio-pci device's configuration space to the first with
        /// this id; `ret` is its offset, ENOENT is its absence.
        Capability {
            /// Which device descriptor.
            fd: Fd,
            /// The id.
            id: u16,
            /// Which of the two chains.
            chain: Chain,
            /// Receives the offset in configuration space.
            save: Returned,
        },
        /// Take a device from its driver and give it to another one (or to none).
        Driver {
            /// PCI address.
            device: String,
            /// Driver name; none leaves it driverless.
            driver: Option<String>,
        },
        /// Something that only the host can do to the machine; the plan waits for it.
        Host {
            /// What.
            action: HostAction,
        },
        /// Wait until a device that was plugged in is ready, and give it to a driver.
        WaitHotplug {
            /// PCI address.
            device: String,
            /// Driver name; none leaves it driverless.
            driver: Option<String>,
            /// Deadline.
            timeout: Timeout,
        },
    }
}

constants!(Chain, HostAction);

/// What the host can do to a device of the machine, which it knows by a name of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostAction {
    /// Ask the guest to let go of it. It goes when the guest does.
    Unplug(String),
    /// Wait until it is gone and plug it in again; nothing, if it was never unplugged.
    Plug(String),
}

/// The two chains of capabilities in configuration space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Chain {
    /// That of conventional PCI, from `PCI_CAPABILITY_LIST`.
    Standard,
    /// That of PCI Express, from byte 256.
    Extended,
}
