//! Which accelerator a run has: KVM where it was seen to run this kernel, else emulation.
//!
//! A machine can have a `/dev/kvm` that opens, makes virtual machines, and then loses every
//! guest at once. So KVM is tried once with the kernel at hand, and the outcome is kept.

mod choice;
mod device;
mod memory;
mod probe;

pub use choice::{AccelChoice, Chosen, NoKvm, choose, guess};
pub use device::{DEVICE, DeviceError};
