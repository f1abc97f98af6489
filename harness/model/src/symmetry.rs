//! States that differ only in names.
//!
//! Devices of a group are interchangeable, and so are groups of one spec, iommu_fds with the same
//! number of IOASes, the IOASes of one iommu_fd, and the HWPTs of one IOAS. A [`Renaming`]
//! exchanges such objects. States that are renamings of each other have the same
//! [`Symmetry::canonical`] form.

use std::collections::HashMap;

use crate::{
    event::Event,
    graph::Graph,
    state::{Binding, Device, DeviceState, File, Group, Hwpt, Ioas, Iommu, Pt, State},
    world::World,
};

/// New names for the objects of a world, by their old names. The world itself stays the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renaming {
    groups: Vec<usize>,
    devices: Vec<usize>,
    iommus: Vec<usize>,
    ioases: Vec<usize>,
    hwpts: Vec<usize>,
}

/// Moves each value to its new position.
fn moved<T: Clone>(values: &[T], to: &[usize]) -> Vec<T> {
    let mut sorted: Vec<_> = to.iter().zip(values).collect();
    sorted.sort_by_key(|(place, _)| **place);
    sorted.into_iter().map(|(_, value)| value.clone()).collect()
}

impl Renaming {
    const fn device(&self, device: Device) -> Device {
        Device(self.devices.as_slice()[device.0])
    }

    const fn group(&self, group: Group) -> Group {
        Group(self.groups.as_slice()[group.0])
    }

    const fn iommu(&self, iommu: Iommu) -> Iommu {
        Iommu(self.iommus.as_slice()[iommu.0])
    }

    const fn ioas(&self, ioas: Ioas) -> Ioas {
        Ioas(self.ioases.as_slice()[ioas.0])
    }

    const fn hwpt(&self, hwpt: Hwpt) -> Hwpt {
        Hwpt(self.hwpts.as_slice()[hwpt.0])
    }

    const fn pt(&self, pt: Pt) -> Pt {
        match pt {
            Pt::Ioas(ioas) => Pt::Ioas(self.ioas(ioas)),
            Pt::Hwpt(hwpt) => Pt::Hwpt(self.hwpt(hwpt)),
        }
    }

    fn binding(&self, binding: Binding) -> Binding {
        match binding {
            Binding::Iommufd {
                iommu,
                attached,
                pasid,
            } => Binding::Iommufd {
                iommu: self.iommu(iommu),
                attached: attached.map(|pt| self.pt(pt)),
                pasid: pasid.map(|pt| self.pt(pt)),
            },
            Binding::Group => Binding::Group,
        }
    }

    fn file(&self, File { binding, mapped }: File) -> File {
        File {
            binding: binding.map(|it| self.binding(it)),
            mapped,
        }
    }

    fn device_state(&self, state: &DeviceState) -> DeviceState {
        // Destructured, so that a new field must be handled here if it names an object.
        let DeviceState {
            presence,
            driver,
            file,
            held,
        } = *state;
        DeviceState {
            presence,
            driver,
            file: file.map(|it| self.file(it)),
            held: held.map(|it| self.binding(it)),
        }
    }

    /// Returns the state with its new names.
    pub fn state(&self, state: &State) -> State {
        let State {
            devices,
            groups,
            iommus,
            ioases,
            hwpts,
        } = state;
        let devices: Vec<_> = devices.iter().map(|it| self.device_state(it)).collect();
        State {
            devices: moved(&devices, &self.devices),
            groups: moved(groups, &self.groups),
            iommus: moved(iommus, &self.iommus),
            ioases: moved(ioases, &self.ioases),
            hwpts: moved(hwpts, &self.hwpts),
        }
    }

    /// Returns the event with its new names.
    pub const fn event(&self, event: Event) -> Event {
        match event {
            Event::Open(device) => Event::Open(self.device(device)),
            Event::Bind(device, iommu) => Event::Bind(self.device(device), self.iommu(iommu)),
            Event::Access(device) => Event::Access(self.device(device)),
            Event::Attach(device, pt) => Event::Attach(self.device(device), self.pt(pt)),
            Event::AttachNothing(device) => Event::AttachNothing(self.device(device)),
            Event::Detach(device) => Event::Detach(self.device(device)),
            Event::AttachPasid(device, pt) => Event::AttachPasid(self.device(device), self.pt(pt)),
            Event::DetachPasid(device) => Event::DetachPasid(self.device(device)),
            Event::Mmap(device) => Event::Mmap(self.device(device)),
            Event::Munmap(device) => Event::Munmap(self.device(device)),
            Event::Reset(device) => Event::Reset(self.device(device)),
            Event::HotReset(device) => Event::HotReset(self.device(device)),
            Event::Close(device) => Event::Close(self.device(device)),
            Event::Rescan(device) => Event::Rescan(self.device(device)),
            Event::Drive(device, driver) => Event::Drive(self.device(device), driver),
            Event::Unplug(device) => Event::Unplug(self.device(device)),
            Event::Plug(device) => Event::Plug(self.device(device)),
            Event::KernelDriver(group) => Event::KernelDriver(self.group(group)),
            Event::NoKernelDriver(group) => Event::NoKernelDriver(self.group(group)),
            Event::OpenGroup(group) => Event::OpenGroup(self.group(group)),
            Event::SetContainer(group) => Event::SetContainer(self.group(group)),
            Event::SetIommu(group) => Event::SetIommu(self.group(group)),
            Event::UnsetContainer(group) => Event::UnsetContainer(self.group(group)),
            Event::GetDevice(device) => Event::GetDevice(self.device(device)),
            Event::CloseGroup(group) => Event::CloseGroup(self.group(group)),
            Event::Allocate(ioas) => Event::Allocate(self.ioas(ioas)),
            Event::AllocateHwpt(device, hwpt) => {
                Event::AllocateHwpt(self.device(device), self.hwpt(hwpt))
            }
            Event::Destroy(pt) => Event::Destroy(self.pt(pt)),
            Event::OpenIommu(iommu) => Event::OpenIommu(self.iommu(iommu)),
            Event::CloseIommu(iommu) => Event::CloseIommu(self.iommu(iommu)),
        }
    }
}

/// All renamings of a world, including the one that changes nothing.
#[derive(Debug, Clone)]
pub struct Symmetry(Vec<Renaming>);

impl Symmetry {
    /// Finds the renamings of a world.
    pub fn of(world: &World) -> Self {
        let members: Vec<Vec<_>> = world
            .all_groups()
            .map(|group| world.members(group).map(|device| device.0).collect())
            .collect();
        let owned: Vec<Vec<_>> = (0..world.iommus)
            .map(|iommu| {
                let of = |ioas: &usize| world.ioases[*ioas] == Iommu(iommu);
                (0..world.ioases.len()).filter(of).collect()
            })
            .collect();
        let alike = |one: usize, other: usize| world.groups[one] == world.groups[other];
        let groups = nested(&members, &alike);
        let iommus = nested(&owned, &|_, _| true);
        let mut all = Vec::new();
        for (groups, devices) in &groups {
            for (iommus, ioases) in &iommus {
                all.extend(page_tables(world, ioases).map(|hwpts| Renaming {
                    groups: groups.clone(),
                    devices: devices.clone(),
                    iommus: iommus.clone(),
                    ioases: ioases.clone(),
                    hwpts,
                }));
            }
        }
        Self(all)
    }

    /// Returns every renaming.
    pub fn renamings(&self) -> &[Renaming] {
        &self.0
    }

    /// Returns the smallest of the renamed states.
    pub fn canonical(&self, state: &State) -> State {
        let renamed = self.0.iter().map(|renaming| renaming.state(state));
        renamed.min().unwrap_or_else(|| state.clone())
    }

    /// Returns a transition with the names that make its first state canonical. Of several such
    /// renamings, the one with the smallest event is used.
    fn canonical_transition(&self, state: &State, event: Event) -> (State, Event) {
        let renamed = self
            .0
            .iter()
            .map(|renaming| (renaming.state(state), renaming.event(event)));
        renamed.min().unwrap_or_else(|| (state.clone(), event))
    }
}

/// Returns every renaming of HWPTs that fits a renaming of IOASes: each HWPT stays with its IOAS.
fn page_tables(world: &World, ioases: &[usize]) -> impl Iterator<Item = Vec<usize>> {
    let stays = |(from, to): (usize, &usize)| ioases[world.hwpts[from].0] == world.hwpts[*to].0;
    permutations(world.hwpts.len())
        .into_iter()
        .filter(move |to| to.iter().enumerate().all(stays))
}

/// Returns every way to exchange boxes that are alike and hold equally many things, and the things
/// in each: the new positions of the boxes, and those of the things.
fn nested(
    held: &[Vec<usize>],
    alike: &impl Fn(usize, usize) -> bool,
) -> Vec<(Vec<usize>, Vec<usize>)> {
    let fits = |boxes: &Vec<usize>| {
        let same =
            |(from, to): (usize, &usize)| alike(from, *to) && held[from].len() == held[*to].len();
        boxes.iter().enumerate().all(same)
    };
    let mut found = Vec::new();
    for boxes in permutations(held.len()).into_iter().filter(fits) {
        for inner in inner(held) {
            let mut things = vec![0; held.iter().map(Vec::len).sum()];
            for (from, order) in inner.iter().enumerate() {
                for (place, to) in order.iter().enumerate() {
                    things[held[from][place]] = held[boxes[from]][*to];
                }
            }
            found.push((boxes.clone(), things));
        }
    }
    found
}

/// Returns an order of things for each box, in all combinations.
fn inner(held: &[Vec<usize>]) -> Vec<Vec<Vec<usize>>> {
    let mut all = vec![Vec::new()];
    for things in held {
        let orders = permutations(things.len());
        let longer = |known: &Vec<Vec<usize>>| {
            let known = known.clone();
            let add = move |order: &Vec<usize>| [known.clone(), vec![order.clone()]].concat();
            orders.iter().map(add).collect::<Vec<_>>()
        };
        all = all.iter().flat_map(longer).collect();
    }
    all
}

fn permutations(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for next in 0..count {
        let insert = |known: &Vec<usize>| {
            let known = known.clone();
            (0..=known.len()).map(move |at| {
                let mut longer = known.clone();
                longer.insert(at, next);
                longer
            })
        };
        all = all.iter().flat_map(insert).collect();
    }
    all
}

/// Transitions that differ only in names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergedEdge {
    /// Position of the state before in [`Merged::states`].
    pub from: usize,
    /// What user space does, with the names of that state.
    pub event: Event,
    /// Position of the state after in [`Merged::states`].
    pub to: usize,
    /// Positions of the transitions in [`Graph::edges`].
    pub members: Vec<usize>,
}

/// A graph whose states are merged by symmetry.
#[derive(Debug, Clone)]
pub struct Merged {
    /// Canonical states, in the order in which they were found.
    pub states: Vec<State>,
    /// Every transition of the graph is a member of exactly one of these.
    pub edges: Vec<MergedEdge>,
    /// By position in [`Graph::states`]: position of the canonical one.
    pub state_of: Vec<usize>,
}

impl Merged {
    /// Merges a graph's states.
    pub fn new(world: &World, graph: &Graph) -> Self {
        let symmetry = Symmetry::of(world);
        let mut merged = Self {
            states: Vec::new(),
            edges: Vec::new(),
            state_of: Vec::new(),
        };
        let mut known = HashMap::new();
        for state in &graph.states {
            let canonical = symmetry.canonical(state);
            let at = *known.entry(canonical).or_insert_with_key(|state| {
                merged.states.push(state.clone());
                merged.states.len() - 1
            });
            merged.state_of.push(at);
        }
        merged.merge_edges(&symmetry, graph);
        merged
    }

    fn merge_edges(&mut self, symmetry: &Symmetry, graph: &Graph) {
        let mut known = HashMap::new();
        for (number, edge) in graph.edges.iter().enumerate() {
            let before = &graph.states[edge.from];
            let (_, event) = symmetry.canonical_transition(before, edge.event);
            let (from, to) = (self.state_of[edge.from], self.state_of[edge.to]);
            let at = *known.entry((from, event, to)).or_insert_with(|| {
                self.edges.push(MergedEdge {
                    from,
                    event,
                    to,
                    members: Vec::new(),
                });
                self.edges.len() - 1
            });
            self.edges[at].members.push(number);
        }
    }
}
