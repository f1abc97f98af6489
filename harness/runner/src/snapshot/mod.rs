//! Stored transcripts: one insta snapshot for each case file, in sections.
//!
//! ```text
//! ---
//! source: cases/stage2/detach.yaml
//! ---
//! # stage2/detach/bridge
//!  1 open /dev/iommu, group.0: success
//!
//! # stage2/detach/bridge @virtio
//!  1 open /dev/iommu, group.0: EBUSY
//! ```
//!
//! A section has the transcript of one case. The general section is from the reference platform and
//! series; sections with `@` are for platforms and series where the transcript differs.

mod check;
mod diff;
mod mode;
mod sections;
mod store;
mod variant;

pub use check::{Fault, Unused, faults};
pub use mode::{BadUpdate, Mode};
pub use sections::{Change, Malformed, Section, Sections, Syntax};
pub use store::{Compared, Key, SnapshotError, Store};
pub use variant::{NoVariant, REFERENCE_PLATFORM, REFERENCE_SERIES, Variant};
