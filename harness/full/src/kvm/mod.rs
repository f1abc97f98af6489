//! Runs the suite with KVM on a machine without KVM: QEMU's TCG emulates a host with AMD's SVM,
//! whose kernel has KVM, and the suite runs there.

mod archive;
mod command;
mod compare;
mod host;
mod jobs;
mod libraries;
mod lines;
mod work;

pub use command::prove;
