//! The part of a state that a picture shows.
//!
//! Symmetry alone leaves hundreds of states. A [`View`] leaves out details; states that look the
//! same are one [`Appearance`].

use std::collections::HashSet;

use crate::{
    state::{Binding, Container, DeviceState, Domain, Driver, Group, Presence, Pt, State},
    symmetry::Merged,
    world::{GroupSpec, World},
};

/// The details that are distinguished. Never distinguished are: which iommu_fd and which IOAS it
/// is, those that no device uses, and whether a BAR is mapped beside an open device_fd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// A binding whose iommu_fd is closed, from one whose iommu_fd is open.
    pub descriptors: bool,
    /// A binding that a mapping keeps alive, from one that its device_fd has.
    pub mappings: bool,
    /// A device without driver, from one that is closed.
    pub drivers: bool,
    /// A device_fd that is open and not bound, from none.
    pub opens: bool,
}

/// The phase of a device in the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// It is bound to a kernel driver.
    KernelDriver,
    /// It has no driver.
    Driverless,
    /// Nothing is open.
    Closed,
    /// A device_fd without security context.
    Open,
    /// Bound to an iommu_fd.
    Bound,
    /// Attached to an IOAS.
    Attached,
    /// Attached to an HWPT.
    OnHwpt,
    /// It was opened through its group.
    FromGroup,
}

/// The appearance of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceAppearance {
    /// Whether the machine has it.
    pub presence: Presence,
    /// Phase of its device_fd or, if mappings are not distinguished, of either.
    pub phase: Phase,
    /// Phase of a mapping whose device_fd is closed.
    pub held: Option<Phase>,
}

/// What DMA of a group reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Meets {
    /// The default domain.
    Default,
    /// The blocking domain.
    Blocking,
    /// An IOAS, whose page table the kernel chooses.
    Ioas,
    /// The mappings of the container.
    Container,
}

/// Use of the group's own node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Path {
    /// Not at all.
    Unused,
    /// Open, without container.
    Open,
    /// In a container.
    Joined,
    /// In a container that has its IOMMU model.
    Typed,
}

/// The appearance of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupAppearance {
    /// In the order of their phases.
    pub devices: Vec<DeviceAppearance>,
    /// A kernel driver has a member.
    pub on_kernel_driver: bool,
    /// The legacy uAPI.
    pub path: Path,
    /// A device is bound to an iommu_fd that is closed.
    pub descriptor_closed: bool,
    /// Every device of the group.
    pub meets: Meets,
}

/// The part of the plan that a state belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Devices that are alone in their group, through their own nodes.
    One,
    /// Groups of several devices, through the nodes of the devices.
    Two,
    /// A group in use through its own node: S1.0, S2.0.
    GroupPath,
}

impl Stage {
    /// The stage that first has such a world.
    pub fn of_world(world: &World) -> Self {
        let alone = |group: &GroupSpec| group.devices + usize::from(group.host_driver) == 1;
        if world.groups.iter().all(alone) {
            Self::One
        } else {
            Self::Two
        }
    }
}

/// The appearance of a state, by group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Appearance(pub Vec<GroupAppearance>);

impl Appearance {
    /// The stage it belongs to.
    pub fn stage(&self, world: &World) -> Stage {
        if self.0.iter().any(|group| group.path != Path::Unused) {
            Stage::GroupPath
        } else {
            Stage::of_world(world)
        }
    }
}

impl View {
    /// All views, from the finest to the coarsest.
    pub const LADDER: [Self; 5] = [
        Self::leaving_out(0),
        Self::leaving_out(1),
        Self::leaving_out(2),
        Self::leaving_out(3),
        Self::leaving_out(4),
    ];

    /// Returns the view without the first `count` of: descriptors, mappings, drivers, opens.
    const fn leaving_out(count: usize) -> Self {
        Self {
            descriptors: count < 1,
            mappings: count < 2,
            drivers: count < 3,
            opens: count < 4,
        }
    }

    /// Returns the finest view in which a picture has at most this many arrows, or the coarsest if
    /// none has.
    pub fn readable(world: &World, merged: &Merged, arrows: usize) -> Self {
        let [.., coarsest] = Self::LADDER;
        let fits = |view: &Self| view.arrows(world, merged) <= arrows;
        Self::LADDER.into_iter().find(fits).unwrap_or(coarsest)
    }

    /// Returns the number of pairs of different appearances with a transition between them.
    fn arrows(self, world: &World, merged: &Merged) -> usize {
        let appearances: Vec<_> = merged
            .states
            .iter()
            .map(|it| self.appearance(world, it))
            .collect();
        let pairs: HashSet<_> = merged
            .edges
            .iter()
            .map(|edge| (&appearances[edge.from], &appearances[edge.to]))
            .filter(|(from, to)| from != to)
            .collect();
        pairs.len()
    }

    /// Describes what it does not distinguish.
    pub fn leaves_out(self) -> Vec<&'static str> {
        let Self {
            descriptors,
            mappings,
            drivers,
            opens,
        } = self;
        let optional = [
            (descriptors, "whether an iommu_fd is closed"),
            (mappings, "what a mapping alone keeps bound"),
            (drivers, "whether a closed device has vfio-pci"),
            (opens, "whether an unbound device is open"),
        ];
        let left_out = optional.into_iter().filter(|(shown, _)| !shown);
        std::iter::once("which iommu_fd and IOAS")
            .chain(left_out.map(|(_, words)| words))
            .collect()
    }

    /// Returns the appearance of a state.
    pub fn appearance(self, world: &World, state: &State) -> Appearance {
        Appearance(
            world
                .all_groups()
                .map(|group| self.group(world, state, group))
                .collect(),
        )
    }

    fn group(self, world: &World, state: &State, group: Group) -> GroupAppearance {
        let members = world
            .members(group)
            .map(|it| self.device(&state.devices[it.0]));
        let mut devices: Vec<_> = members.collect();
        devices.sort_unstable_by(|one, other| other.cmp(one));
        GroupAppearance {
            devices,
            on_kernel_driver: state.groups[group.0].on_kernel_driver,
            path: match state.groups[group.0].container {
                Some(Container::Typed) => Path::Typed,
                Some(Container::Joined) => Path::Joined,
                None if state.group_path(world, group) => Path::Open,
                None => Path::Unused,
            },
            descriptor_closed: self.descriptors
                && state.bindings(world, group).any(|binding| match binding {
                    Binding::Iommufd { iommu, .. } => !state.iommus[iommu.0],
                    Binding::Group => false,
                }),
            meets: match state.domain(world, group) {
                Domain::Default => Meets::Default,
                Domain::Blocking => Meets::Blocking,
                Domain::Ioas(_) => Meets::Ioas,
                Domain::Container => Meets::Container,
            },
        }
    }

    fn device(self, state: &DeviceState) -> DeviceAppearance {
        let DeviceState {
            presence,
            driver,
            file,
            held,
        } = *state;
        let held = held.map(of_binding);
        let phase = match file.map(|it| it.binding) {
            Some(Some(binding)) => of_binding(binding),
            Some(None) if self.opens => Phase::Open,
            None if driver == Driver::Kernel => Phase::KernelDriver,
            None if driver == Driver::None && self.drivers => Phase::Driverless,
            _ => Phase::Closed,
        };
        if self.mappings {
            DeviceAppearance {
                presence,
                phase,
                held,
            }
        } else {
            let phase = held.map_or(phase, |held| held.max(phase));
            DeviceAppearance {
                presence,
                phase,
                held: None,
            }
        }
    }
}

const fn of_binding(binding: Binding) -> Phase {
    match binding {
        Binding::Iommufd {
            attached: Some(Pt::Ioas(_)),
            ..
        } => Phase::Attached,
        Binding::Iommufd {
            attached: Some(Pt::Hwpt(_)),
            ..
        } => Phase::OnHwpt,
        Binding::Iommufd { attached: None, .. } => Phase::Bound,
        Binding::Group => Phase::FromGroup,
    }
}
