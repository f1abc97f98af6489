//! PCI devices and their drivers.

use serde::{Deserialize, Serialize};

use crate::{
    Fd, Returned, Timeout,
    operand::{constants, ops},
};

ops! {
    /// PCI devices and their drivers.
    pub enum PciOp {
        /// Find the first capability with this id in the configuration space of a vfio-pci device;
        /// `ret` is its offset, or the errno is ENOENT.
        Capability {
            /// Which device descriptor.
            fd: Fd,
            /// Id of the capability, as in `pci_regs.h`.
            id: u16,
            /// Which of the two chains.
            chain: Chain,
            /// Receives the offset in configuration space.
            save: Returned,
        },
        /// Unbind a device from its driver, and bind it to another one or to none.
        Driver {
            /// PCI address, such as `0000:01:00.0`.
            device: String,
            /// Driver name; `None` leaves it driverless.
            driver: Option<String>,
        },
        /// An action on the machine that only the host can perform; the plan waits for it.
        Host {
            /// The action to ask the host for.
            action: HostAction,
        },
        /// Wait until a device that was plugged in is ready, and bind it to a driver.
        WaitHotplug {
            /// PCI address, such as `0000:01:00.0`.
            device: String,
            /// Driver name; `None` leaves it driverless.
            driver: Option<String>,
            /// How long to wait at most.
            timeout: Timeout,
        },
    }
}

constants!(Chain, HostAction);

/// An action of the host on a device of the machine, by its name in QEMU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HostAction {
    /// Ask the guest to release it. It is removed when the guest does so.
    Unplug(String),
    /// Wait until it is gone and plug it in again. Does nothing if it was never unplugged.
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
