//! The address spaces of an iommufd: what each call of a walk has to answer, and what it changes.
//!
//! A [`Space`] has two IOASes with their mappings, mock devices, HWPTs with their dirty bits,
//! accesses of a driver that pins pages, and a vfio device that does DMA. A [`Move`] is one call, or one look at what the calls have led to. The oracle
//! works on ranges of IOVAs, pages and pins, so that it shares no structure with the kernel's
//! batches, domains and interval trees.

pub mod areas;
pub mod errno;
pub mod flaw;
pub mod memory;
pub mod moves;
pub mod pinned;
pub mod space;
pub mod span;

mod access;
mod attach;
mod choice;
mod dirty;
mod map;
mod play;
mod unmap;
mod vfio;

pub use areas::{Area, Areas};
pub use dirty::Query;
pub use errno::Errno;
pub use flaw::Flaw;
pub use memory::{Buffer, Place, Rights};
pub use moves::{Access, Answer, Mapping, Mock, Move, Range};
pub use pinned::{PageRun, Pinned};
pub use space::{Setting, Space};
pub use span::Span;
