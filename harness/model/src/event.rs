//! Events: what user space can do next.

use std::fmt;

use crate::{
    state::{Binding, Device, Driver, Group, Hwpt, Ioas, Iommu, Presence, Pt, State},
    world::{Shape, World},
};

/// An action of user space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Event {
    /// Open the device's own node.
    Open(Device),
    /// Bind a device to an iommu_fd: `VFIO_DEVICE_BIND_IOMMUFD`.
    Bind(Device, Iommu),
    /// Queries, reads and writes of a device.
    Access(Device),
    /// `VFIO_DEVICE_ATTACH_IOMMUFD_PT` to an IOAS or an HWPT.
    Attach(Device, Pt),
    /// `VFIO_DEVICE_ATTACH_IOMMUFD_PT` to an id that no object has.
    AttachNothing(Device),
    /// Detach a device: `VFIO_DEVICE_DETACH_IOMMUFD_PT`.
    Detach(Device),
    /// `VFIO_DEVICE_ATTACH_IOMMUFD_PT` of a PASID.
    AttachPasid(Device, Pt),
    /// `VFIO_DEVICE_DETACH_IOMMUFD_PT` of it.
    DetachPasid(Device),
    /// `mmap` of BAR 0.
    Mmap(Device),
    /// `munmap` of it.
    Munmap(Device),
    /// Reset a device: `VFIO_DEVICE_RESET`.
    Reset(Device),
    /// Reset the bus of a device: `VFIO_DEVICE_PCI_HOT_RESET`.
    HotReset(Device),
    /// Close the device_fd.
    Close(Device),
    /// The kernel removes a device from its bus and finds it again.
    Rescan(Device),
    /// The device's driver changes.
    Drive(Device, Driver),
    /// A kernel driver tries to take the group's further member.
    KernelDriver(Group),
    /// The kernel driver releases it.
    NoKernelDriver(Group),
    /// The machine requests the device (unplug).
    Unplug(Device),
    /// The machine plugs the device in again.
    Plug(Device),
    /// Open the node of a group: `/dev/vfio/GROUP`.
    OpenGroup(Group),
    /// `VFIO_GROUP_SET_CONTAINER` to a container of type 1.
    SetContainer(Group),
    /// `VFIO_SET_IOMMU` on that container.
    SetIommu(Group),
    /// Take a group out of its container: `VFIO_GROUP_UNSET_CONTAINER`.
    UnsetContainer(Group),
    /// Open a device through its group: `VFIO_GROUP_GET_DEVICE_FD`.
    GetDevice(Device),
    /// Close the group's descriptor.
    CloseGroup(Group),
    /// `IOMMU_IOAS_ALLOC`, after the earlier IOAS was destroyed.
    Allocate(Ioas),
    /// `IOMMU_HWPT_ALLOC` for a device that is bound.
    AllocateHwpt(Device, Hwpt),
    /// Destroy an IOAS or a page table: `IOMMU_DESTROY`.
    Destroy(Pt),
    /// Open `/dev/iommu` and allocate its IOASes.
    OpenIommu(Iommu),
    /// Close an iommu_fd.
    CloseIommu(Iommu),
}

impl fmt::Display for Event {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(device) => write!(to, "open {device}"),
            Self::Bind(device, iommu) => write!(to, "bind {device} to {iommu}"),
            Self::Access(device) => write!(to, "access {device}"),
            Self::Attach(device, pt) => write!(to, "attach {device} to {pt}"),
            Self::AttachNothing(device) => write!(to, "attach {device} to nothing"),
            Self::Detach(device) => write!(to, "detach {device}"),
            Self::AttachPasid(device, pt) => write!(to, "attach the PASID of {device} to {pt}"),
            Self::DetachPasid(device) => write!(to, "detach the PASID of {device}"),
            Self::Mmap(device) => write!(to, "mmap {device}"),
            Self::Munmap(device) => write!(to, "munmap {device}"),
            Self::Reset(device) => write!(to, "reset {device}"),
            Self::HotReset(device) => write!(to, "hot reset by {device}"),
            Self::Close(device) => write!(to, "close {device}"),
            Self::Rescan(device) => write!(to, "remove {device} and find it"),
            Self::Drive(device, driver) => match driver {
                Driver::None => write!(to, "take {device} from its driver"),
                Driver::Vfio => write!(to, "give {device} to vfio-pci"),
                Driver::Kernel => write!(to, "give {device} to its kernel driver"),
            },
            Self::KernelDriver(group) => write!(to, "kernel driver into {group}"),
            Self::NoKernelDriver(group) => write!(to, "kernel driver out of {group}"),
            Self::Unplug(device) => write!(to, "unplug {device}"),
            Self::Plug(device) => write!(to, "plug {device} in"),
            Self::OpenGroup(group) => write!(to, "open {group}"),
            Self::SetContainer(group) => write!(to, "set container of {group}"),
            Self::SetIommu(group) => write!(to, "set IOMMU of the container of {group}"),
            Self::UnsetContainer(group) => write!(to, "unset container of {group}"),
            Self::GetDevice(device) => write!(to, "get {device} from its group"),
            Self::CloseGroup(group) => write!(to, "close {group}"),
            Self::Allocate(ioas) => write!(to, "allocate {ioas}"),
            Self::AllocateHwpt(device, hwpt) => write!(to, "allocate {hwpt} for {device}"),
            Self::Destroy(pt) => write!(to, "destroy {pt}"),
            Self::OpenIommu(iommu) => write!(to, "open {iommu}"),
            Self::CloseIommu(iommu) => write!(to, "close {iommu}"),
        }
    }
}

/// Events that no world has, with the reasons.
pub const LEFT_OUT: &[(&str, &str)] = &[
    (
        "take a device from vfio-pci while it is open, or its group is",
        "the driver's remove waits for the last close, so one caller cannot make the transition",
    ),
    (
        "attach to an IOAS or HWPT that is destroyed, or of another iommu_fd",
        "ids are reused, so the number may name another object",
    ),
    (
        "nested HWPTs, and a second PASID",
        "covered by cases of contract, mock and fail-nth: hwpt-alloc-nested, pasid",
    ),
    (
        "interrupts",
        "covered by cases of vfio-pci; they do not depend on the security context",
    ),
    (
        "an iommu_fd as the container of a group, and several groups in one container",
        "covered by cases of compat and type1, a few orders only",
    ),
    (
        "a device that arrives with a kernel driver of its own, or while its group's node is open",
        "covered by cases of stage 2, a few orders only; one without a driver is walked",
    ),
    (
        "mappings as states: what is mapped or unmapped is undone at once",
        "adds states, but no rule",
    ),
    (
        "allocations and mappings that fail",
        "covered by cases of fail-nth and contract",
    ),
    (
        "a third iommu_fd while devices still use one that is closed",
        "adds states, but no rule",
    ),
    (
        "a group with more than the device that is unplugged",
        "every hotplug port of the machine takes one device",
    ),
    (
        "a second file of one device",
        "covered by cases of stage 1: second-open, second-close",
    ),
];

impl World {
    /// Returns every event that can be issued in a state, including those that fail.
    pub fn events(&self, state: &State) -> Vec<Event> {
        let mut events = Vec::new();
        for device in self.devices() {
            self.device_events(state, device, &mut events);
        }
        for group in self.all_groups() {
            self.group_events(state, group, &mut events);
        }
        if self.scope.lifetimes {
            self.lifetime_events(state, &mut events);
        }
        let hwpts = (0..self.hwpts.len()).map(Hwpt).map(Pt::Hwpt);
        events.extend(
            hwpts
                .filter(|pt| state.exists(*pt) && state.iommus[self.iommu_of(*pt).0])
                .map(Event::Destroy),
        );
        events
    }

    fn lifetime_events(&self, state: &State, events: &mut Vec<Event>) {
        for (at, of) in self.ioases.iter().enumerate() {
            if state.iommus[of.0] {
                let ioas = Ioas(at);
                events.push(if state.ioases[at] {
                    Event::Destroy(Pt::Ioas(ioas))
                } else {
                    Event::Allocate(ioas)
                });
            }
        }
        for iommu in (0..self.iommus).map(Iommu) {
            if state.iommus[iommu.0] {
                events.push(Event::CloseIommu(iommu));
            } else if !state.in_use(iommu) {
                events.push(Event::OpenIommu(iommu));
            }
        }
    }

    fn device_events(&self, state: &State, device: Device, events: &mut Vec<Event>) {
        let now = &state.devices[device.0];
        let group = self.group_of(device);
        if now.file.is_none() {
            events.push(Event::Open(device));
            if self.scope.group_path && state.groups[group.0].open {
                events.push(Event::GetDevice(device));
            }
        } else {
            self.file_events(state, device, events);
        }
        let mapped = now.file.is_some_and(|file| file.mapped);
        if mapped || now.held.is_some() {
            events.push(Event::Munmap(device));
        }
        if self.scope.hotplug {
            match now.presence {
                Presence::Here => events.push(Event::Unplug(device)),
                Presence::Leaving => {}
                Presence::Gone => events.push(Event::Plug(device)),
            }
        }
        // vfio-pci gives up a device when it has no user.
        let may_leave = now.is_idle() && !state.group_path(self, group);
        if self.scope.rescan && may_leave {
            events.push(Event::Rescan(device));
        }
        if self.scope.drivers && self.is_pci(group) && may_leave {
            let has_host_driver = self.groups[group.0].shape == Shape::HostDriver;
            let free = [Driver::Vfio, Driver::Kernel];
            let next = match now.driver {
                Driver::None if has_host_driver => &free[..],
                Driver::None => &free[..1],
                Driver::Vfio | Driver::Kernel => &[Driver::None],
            };
            events.extend(next.iter().map(|driver| Event::Drive(device, *driver)));
        }
    }

    fn file_events(&self, state: &State, device: Device, events: &mut Vec<Event>) {
        let now = &state.devices[device.0];
        let iommus = (0..self.iommus).map(Iommu);
        events.extend(
            iommus
                .filter(|iommu| state.iommus[iommu.0])
                .map(|iommu| Event::Bind(device, iommu)),
        );
        let pts = self.pts().filter(|pt| state.exists(*pt));
        let pts: Vec<_> = pts.filter(|pt| self.may_name(now.binding(), *pt)).collect();
        events.extend(pts.iter().map(|pt| Event::Attach(device, *pt)));
        if self.scope.pasid {
            events.extend(pts.iter().map(|pt| Event::AttachPasid(device, *pt)));
            events.push(Event::DetachPasid(device));
        }
        let hwpts = (0..self.hwpts.len()).map(Hwpt);
        events.extend(
            hwpts
                .filter(|hwpt| self.may_allocate(state, now.binding(), *hwpt))
                .map(|hwpt| Event::AllocateHwpt(device, hwpt)),
        );
        events.extend([
            Event::Access(device),
            Event::AttachNothing(device),
            Event::Detach(device),
            Event::Close(device),
        ]);
        let mapped = now.file.is_some_and(|file| file.mapped);
        if self.scope.mmap && self.is_pci(self.group_of(device)) && !mapped && now.held.is_none() {
            events.push(Event::Mmap(device));
        }
        if self.scope.reset {
            events.push(Event::Reset(device));
        }
        if self.scope.hot_reset {
            events.push(Event::HotReset(device));
        }
    }

    /// Whether the group is of PCI devices, which have BARs, a driver to lose, and a group node of
    /// the legacy uAPI.
    fn is_pci(&self, group: Group) -> bool {
        self.groups[group.0].shape != Shape::Mdev
    }

    /// Whether an id may be used with a binding: it is only valid in the iommu_fd that allocated
    /// it.
    fn may_name(&self, binding: Option<Binding>, pt: Pt) -> bool {
        match binding {
            Some(Binding::Iommufd { iommu, .. }) => self.iommu_of(pt) == iommu,
            Some(Binding::Group) | None => pt == Pt::Ioas(Ioas(0)),
        }
    }

    /// Whether an HWPT can be allocated: its IOAS exists, the HWPT does not, and the device is
    /// bound to the iommu_fd of both.
    fn may_allocate(&self, state: &State, binding: Option<Binding>, hwpt: Hwpt) -> bool {
        let (ioas, of) = (self.hwpts[hwpt.0], self.iommu_of(Pt::Hwpt(hwpt)));
        let bound = matches!(binding, Some(Binding::Iommufd { iommu, .. }) if iommu == of);
        bound && state.iommus[of.0] && state.ioases[ioas.0] && !state.hwpts[hwpt.0]
    }

    fn group_events(&self, state: &State, group: Group, events: &mut Vec<Event>) {
        let spec = &self.groups[group.0];
        let now = &state.groups[group.0];
        if spec.host_driver {
            events.push(if now.on_kernel_driver {
                Event::NoKernelDriver(group)
            } else {
                Event::KernelDriver(group)
            });
        }
        if !self.scope.group_path || !self.is_pci(group) {
            return;
        }
        if now.open {
            events.extend([
                Event::SetContainer(group),
                Event::UnsetContainer(group),
                Event::SetIommu(group),
                Event::CloseGroup(group),
            ]);
        } else {
            events.push(Event::OpenGroup(group));
        }
    }
}
