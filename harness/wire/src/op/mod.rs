//! The ops by family. The agent, the case language and the C export have a file with the same name
//! for each family.

pub mod any;
pub mod control;
pub mod dma;
pub mod event;
pub mod file;
pub mod ioctl;
pub mod memory;
pub mod pci;
pub mod process;

pub use any::Op;
