//! How each family of ops is written in C.

pub(crate) mod control;
mod dma;
mod event;
mod file;
mod ioctl;
mod memory;
mod pci;
mod process;
