//! The steps of a case, family by family: each reads itself from YAML and turns itself into ops.

pub mod accesses;
pub mod control;
pub mod dma;
pub mod event;
pub mod file;
pub mod ioctl;
pub mod memory;
pub mod pci;
pub mod process;
pub mod registers;
pub mod step;
pub mod table;

pub use step::{Action, Step};
