//! The staged protocol as a state machine.
//!
//! A [`World`] says what there is: groups with their devices, iommu_fds, IOASes, HWPTs. A [`State`]
//! is what user space has done with it, an [`Event`] what it may do next, and the [`rules`]
//! say what the kernel has to answer, which state follows, and which clause demands it. What
//! each device reaches by DMA follows from the state alone.
//!
//! The model knows neither YAML nor QEMU.

#![warn(missing_docs)]

pub mod event;
pub mod graph;
pub mod possible;
pub mod rules;
pub mod state;
pub mod symmetry;
pub mod view;
pub mod walk;
pub mod world;

pub use event::Event;
pub use graph::{Edge, Graph, Unruled};
pub use possible::{Possible, Race};
pub use rules::{Answer, Decision, Reading, Rule, decide};
pub use state::{
    Binding, Container, Device, Domain, Driver, Group, Hwpt, Ioas, Iommu, Owner, Presence, Pt,
    State,
};
pub use walk::{EdgeMarks, Walk, shortest, walks};
pub use world::{GroupSpec, Shape, World};
