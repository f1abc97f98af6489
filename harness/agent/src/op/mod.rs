//! How each family of ops is executed.

mod control;
mod dma;
mod event;
mod file;
mod ioctl;
mod memory;
mod pci;
mod process;
