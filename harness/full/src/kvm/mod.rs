//! The suite on a host with KVM, where there is none: QEMU's TCG emulates a machine with AMD's
//! SVM, whose kernel has KVM, and the suite runs in that.

mod archive;
mod command;
mod compare;
mod host;
mod jobs;
mod libraries;
mod lines;
mod process;
mod work;

pub use command::prove;
