//! Chooses the accelerator of a run: KVM if a trial showed that it runs this kernel, else TCG.
//!
//! On some hosts `/dev/kvm` opens and creates virtual machines, but every guest dies at once. So
//! KVM is tried once with the kernel of the run, and the result is stored.

mod choice;
mod device;
mod memory;
pub mod nested;
mod probe;

pub use choice::{AccelChoice, Chosen, NoKvm, choose, guess};
pub use device::{DEVICE, DeviceError};
