//! The steps of a case: each reads itself from YAML and turns itself into ops.

pub mod data;
pub mod dma;
pub mod driver;
pub mod event;
pub mod fail_nth;
pub mod file;
pub mod ioctl;
pub mod machine;
pub mod memfd;
pub mod memory;
pub mod open;
pub mod pci;
pub mod process;
pub mod registers;
pub mod repeat;
pub mod rights;
pub mod step;
pub mod together;

pub use step::Step;
