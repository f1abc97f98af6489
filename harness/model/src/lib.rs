//! The staged protocol as a state machine.
//!
//! A [`World`] has groups with their devices, iommu_fds, IOASes and HWPTs. A [`State`] is what user
//! space has done with it, and an [`Event`] what it can do next. The [`rules`] give the kernel's
//! answer, the next state, and the clause that demands it. What each device reaches by DMA depends
//! only on the state.
//!
//! The model does not depend on YAML or QEMU.

#![warn(missing_docs)]

pub mod address;
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
pub use possible::{Possible, Race, Told};
pub use rules::{Answer, Decision, Reading, Rule, decide};
pub use state::{
    Binding, Container, Device, Domain, Driver, Group, Hwpt, Ioas, Iommu, Owner, Part, Presence,
    Pt, State,
};
pub use walk::{EdgeMarks, Walk, shortest, walks};
pub use world::{GroupSpec, Shape, World};
