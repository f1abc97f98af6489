//! Kernels that somebody else built: what comes with them is found, unpacked and checked on the
//! host, before anything boots.

mod agent_needs;
mod archive;
mod elf;
mod error;
mod find_config;
mod given;
mod image;
mod kernel_file;
mod parts;
mod stale;
pub(crate) mod temporary;
mod tuxmake;

pub use error::ReadyError;
pub use find_config::read_config;
pub use given::{Given, Origin};
pub(crate) use image::image;
pub use image::{ReadyFacts, facts_of};
pub use stale::newer_source;
pub use temporary::remove_temporary;
