//! The steps of a case by family. Each is read from YAML and compiled to ops.

pub mod accesses;
pub mod control;
pub mod dma;
pub mod event;
pub mod file;
pub mod ioctl;
pub mod memory;
pub mod pci;
pub mod plan;
pub mod process;
pub mod registers;
pub mod step;
pub mod table;

pub use step::{Action, Step};
