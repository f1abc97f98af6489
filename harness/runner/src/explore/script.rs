//! A walk through the model as a case file: what runs, and what a person reads of it.

use std::{
    collections::HashSet,
    fmt::{self, Write},
};

use model::{Answer, Device, Domain, Edge, Event, Graph, Group, Ioas, Iommu, Shape, State, World};

/// IOVA of the page of the first IOAS; each further one is this much higher.
const IOVA: u64 = 0x40_0010_0000;
const STRIDE: u64 = 0x10_0000;

/// A case, and where each transition of the walk begins in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The case file.
    pub text: String,
    /// For each step of the case, the transition it belongs to, as position in the walk;
    /// none for the set-up.
    pub transition_of: Vec<Option<usize>>,
}

/// States and transitions after which DMA was looked at.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    states: HashSet<usize>,
    edges: HashSet<usize>,
}

/// Writes a walk down. `control` says whether the default domain can be an identity domain,
/// in which DMA to physical addresses passes: the positive control of the blocking domain.
/// DMA is looked at after each transition that is not yet in `seen`, and closely in each state
/// that is not.
#[must_use]
pub fn script(
    world: &World,
    graph: &Graph,
    walk: &[usize],
    control: bool,
    seen: &mut Seen,
) -> Script {
    let mut writer = Writer::new(world, control);
    writer.head();
    writer.set_up();
    for (position, number) in walk.iter().enumerate() {
        writer.now = Some(position);
        let edge = &graph.edges[*number];
        writer.transition(edge);
        let state = &graph.states[edge.to];
        if seen.states.insert(edge.to) {
            writer.look(state, &writer.everywhere());
        } else if seen.edges.insert(*number) {
            // What a known state allows is known; that this transition led to it is not.
            writer.look(state, &[Ioas(number % world.ioases.len())]);
        }
    }
    Script {
        text: writer.text,
        transition_of: writer.transition_of,
    }
}

struct Writer<'a> {
    world: &'a World,
    control: bool,
    text: String,
    transition_of: Vec<Option<usize>>,
    now: Option<usize>,
}

impl<'a> Writer<'a> {
    fn new(world: &'a World, control: bool) -> Self {
        Self {
            world,
            control: control && world.groups.iter().all(|group| does_dma(group.shape)),
            text: String::new(),
            transition_of: Vec::new(),
            now: None,
        }
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn step(&mut self, step: fmt::Arguments<'_>) {
        self.line(format_args!("  - {step}"));
        self.transition_of.push(self.now);
    }

    fn head(&mut self) {
        self.line(format_args!(
            "summary: A walk through the model of a {}",
            self.world.name
        ));
        self.line(format_args!("snapshot: none"));
        self.line(format_args!("timeout_ms: 20000"));
        match self.world.groups[0].shape {
            Shape::Mdev => self.line(format_args!("needs: {{features: [mdev_mtty]}}")),
            shape => self.line(format_args!("shapes: [{}]", shape_name(shape))),
        }
        self.line(format_args!("steps:"));
    }

    fn set_up(&mut self) {
        if self.control {
            for group in self.world.all_groups() {
                let role = self.group_role(group);
                match group.0 {
                    0 => self.step(format_args!("group_type: identity")),
                    _ => self.step(format_args!("group_type: {{of: {role}, to: identity}}")),
                }
            }
            self.step(format_args!("memory: {{home: 0x1000}}"));
            self.step(format_args!("phys: {{of: $home, save: home_pa}}"));
        }
        for ioas in 0..self.world.ioases.len() {
            self.step(format_args!("memory: {{page{ioas}: 0x1000}}"));
        }
        for iommu in (0..self.world.iommus).map(Iommu) {
            self.open_iommu(iommu);
        }
        if self.world.scope.group_path {
            self.step(format_args!("memory: {{container_page: 0x1000}}"));
            for group in self.world.all_groups() {
                self.step(format_args!(
                    "open: {{container{}: /dev/vfio/vfio}}",
                    group.0
                ));
            }
        }
    }

    fn open_iommu(&mut self, iommu: Iommu) {
        self.step(format_args!("open: {{{iommu}: /dev/iommu}}"));
        for ioas in (0..self.world.ioases.len()).map(Ioas) {
            if self.world.ioases[ioas.0] == iommu {
                self.allocate(ioas);
            }
        }
    }

    fn allocate(&mut self, ioas: Ioas) {
        let iommu = self.world.ioases[ioas.0];
        self.step(format_args!(
            "IOMMU_IOAS_ALLOC: {{on: {iommu}, save: {{out_ioas_id: {ioas}}}}}"
        ));
        self.step(format_args!(
            "IOMMU_IOAS_MAP: {{on: {iommu}, ioas_id: ${ioas}, user_va: $page{}, length: 0x1000, iova: {:#x}, \
             flags: [FIXED_IOVA, READABLE, WRITEABLE]}}",
            ioas.0,
            self.iova(ioas)
        ));
    }

    fn iova(&self, ioas: Ioas) -> u64 {
        IOVA + STRIDE * ioas.0 as u64
    }

    fn container_iova(&self) -> u64 {
        IOVA + STRIDE * self.world.ioases.len() as u64
    }

    fn group_role(&self, group: Group) -> &'static str {
        match (self.world.groups[group.0].shape, group.0) {
            (Shape::Mdev, _) => "mdev",
            (_, 0) => "group",
            _ => "other",
        }
    }

    fn role(&self, device: Device) -> String {
        let group = self.group_role(self.world.group_of(device));
        format!("{group}.{}", self.world.place_of(device))
    }

    fn transition(&mut self, edge: &Edge) {
        self.line(format_args!("  # {}: {}", edge.event, edge.rule.says));
        let errno = match edge.rule.answer {
            Answer::Ok => String::new(),
            Answer::Errno(name) => format!(", errno: {name}"),
            // The clause leaves it open; EPERM is what Linux says of a group that is not viable.
            Answer::Refused => ", errno: EPERM".to_owned(),
        };
        let refused = !errno.is_empty();
        match edge.event {
            Event::Open(device) => {
                let role = self.role(device);
                self.step(format_args!("open: {{{device}: {{at: {role}{errno}}}}}"));
            }
            Event::Bind(device, iommu) => self.step(format_args!(
                "VFIO_DEVICE_BIND_IOMMUFD: {{on: {device}, iommufd: ${iommu}{errno}}}"
            )),
            Event::Access(device) => self.step(format_args!(
                "VFIO_DEVICE_GET_INFO: {{on: {device}{errno}}}"
            )),
            Event::Reset(device) => {
                self.step(format_args!("VFIO_DEVICE_RESET: {{on: {device}{errno}}}"));
            }
            Event::Attach(device, ioas) => self.step(format_args!(
                "VFIO_DEVICE_ATTACH_IOMMUFD_PT: {{on: {device}, pt_id: ${ioas}{errno}}}"
            )),
            Event::AttachNothing(device) => self.step(format_args!(
                "VFIO_DEVICE_ATTACH_IOMMUFD_PT: {{on: {device}, pt_id: 0x7fffffff{errno}}}"
            )),
            Event::Detach(device) => self.step(format_args!(
                "VFIO_DEVICE_DETACH_IOMMUFD_PT: {{on: {device}{errno}}}"
            )),
            Event::Mmap(device) if refused => self.step(format_args!(
                "mmap: {{on: {device}, region: VFIO_PCI_BAR0_REGION_INDEX{errno}}}"
            )),
            Event::Mmap(device) => self.step(format_args!(
                "mmap: {{on: {device}, region: VFIO_PCI_BAR0_REGION_INDEX, save: bar{}}}",
                device.0
            )),
            Event::Munmap(device) => self.step(format_args!("munmap: {{at: $bar{}}}", device.0)),
            Event::Close(device) => self.step(format_args!("close: {device}")),
            Event::Unbind(device) => {
                let role = self.role(device);
                self.step(format_args!("driver: {{of: {role}, to: none}}"));
            }
            Event::Rebind(device) => {
                let role = self.role(device);
                self.step(format_args!("driver: {{of: {role}, to: vfio-pci}}"));
            }
            Event::KernelDriver(group) => {
                let role = self.group_role(group);
                self.step(format_args!(
                    "driver: {{of: {role}.native, to: native{errno}}}"
                ));
            }
            Event::NoKernelDriver(group) => {
                let role = self.group_role(group);
                self.step(format_args!("driver: {{of: {role}.native, to: none}}"));
            }
            Event::OpenGroup(group) => {
                let role = self.group_role(group);
                self.step(format_args!("open: {{{group}: {{at: {role}{errno}}}}}"));
            }
            Event::CloseGroup(group) => self.step(format_args!("close: {group}")),
            Event::SetContainer(group) => self.step(format_args!(
                "VFIO_GROUP_SET_CONTAINER: {{on: {group}, fd: $container{}{errno}}}",
                group.0
            )),
            Event::SetIommu(group) => self.set_iommu(group, &errno),
            Event::UnsetContainer(group) => self.step(format_args!(
                "VFIO_GROUP_UNSET_CONTAINER: {{on: {group}{errno}}}"
            )),
            Event::GetDevice(device) => self.get_device(device, &errno),
            Event::Allocate(ioas) => self.allocate(ioas),
            Event::Destroy(ioas) => self.step(format_args!(
                "IOMMU_DESTROY: {{on: {}, id: ${ioas}{errno}}}",
                self.world.ioases[ioas.0]
            )),
            Event::OpenIommu(iommu) => self.open_iommu(iommu),
            Event::CloseIommu(iommu) => self.step(format_args!("close: {iommu}")),
        }
    }

    fn set_iommu(&mut self, group: Group, errno: &str) {
        self.step(format_args!(
            "VFIO_SET_IOMMU: {{on: container{}, value: VFIO_TYPE1v2_IOMMU{errno}}}",
            group.0
        ));
        if errno.is_empty() {
            self.step(format_args!(
                "VFIO_IOMMU_MAP_DMA: {{on: container{}, flags: [READ, WRITE], vaddr: $container_page, iova: {:#x}, size: 0x1000}}",
                group.0,
                self.container_iova()
            ));
        }
    }

    fn get_device(&mut self, device: Device, errno: &str) {
        let group = self.world.group_of(device);
        let role = self.role(device);
        let save = if errno.is_empty() {
            format!(", save_return: {device}")
        } else {
            String::new()
        };
        self.step(format_args!(
            "VFIO_GROUP_GET_DEVICE_FD: {{on: {group}, string: \"{{{role}}}\"{save}{errno}}}"
        ));
    }

    fn everywhere(&self) -> Vec<Ioas> {
        (0..self.world.ioases.len()).map(Ioas).collect()
    }

    /// Lets every device do DMA: to the page that it reaches, and to pages that it must not:
    /// its physical address in the default domain, and those of `others`.
    fn look(&mut self, state: &State, others: &[Ioas]) {
        for device in self.world.devices() {
            let group = self.world.group_of(device);
            if does_dma(self.world.groups[group.0].shape) {
                self.look_at(device, state.domain(self.world, group), others);
            }
        }
    }

    fn look_at(&mut self, device: Device, domain: Domain, others: &[Ioas]) {
        if self.control {
            let lands = domain == Domain::Default;
            self.dma(device, "$home_pa", lands, "home");
        }
        if domain == Domain::Default {
            return;
        }
        for ioas in self.everywhere() {
            let lands = domain == Domain::Ioas(ioas);
            if lands || others.contains(&ioas) {
                let iova = format!("{:#x}", self.iova(ioas));
                self.dma(device, &iova, lands, &format!("page{}", ioas.0));
            }
        }
        if domain == Domain::Container {
            let iova = format!("{:#x}", self.container_iova());
            self.dma(device, &iova, true, "container_page");
        }
    }

    fn dma(&mut self, device: Device, iova: &str, lands: bool, page: &str) {
        let role = self.role(device);
        let what = if lands { "lands" } else { "blocked" };
        self.step(format_args!(
            "dma: {{from: {role}, iova: {iova}, {what}: ${page}}}"
        ));
    }
}

const fn does_dma(shape: Shape) -> bool {
    matches!(shape, Shape::Singleton | Shape::Bridge | Shape::Functions)
}

/// The case language's word.
pub(super) const fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Singleton => "singleton",
        Shape::Bridge => "bridge",
        Shape::Functions => "functions",
        Shape::Mdev => "mdev",
        Shape::Sriov => "sriov",
    }
}
