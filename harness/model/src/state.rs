//! The state of a world, and the ownership and DMA that follow from it.

use std::fmt;

use crate::world::{Shape, World};

macro_rules! index {
    ($(#[$doc:meta] $name:ident, $prefix:literal;)*) => {$(
        #[$doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub usize);

        impl fmt::Display for $name {
            fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(to, concat!($prefix, "{}"), self.0)
            }
        }
    )*};
}

index! {
    /// A device, by its position in the world.
    Device, "dev";
    /// A group, by its position in the world.
    Group, "group";
    /// An iommu_fd, by its position in the world.
    Iommu, "iommu";
    /// An IOAS, by its position in the world.
    Ioas, "ioas";
    /// An HWPT that user space allocates, by its position in the world.
    Hwpt, "hwpt";
}

/// The object of a `pt_id` that a device can be attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Pt {
    /// An IOAS, with a page table that the kernel allocates.
    Ioas(Ioas),
    /// An HWPT of an IOAS.
    Hwpt(Hwpt),
}

impl fmt::Display for Pt {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ioas(ioas) => ioas.fmt(to),
            Self::Hwpt(hwpt) => hwpt.fmt(to),
        }
    }
}

/// How a device_fd got access to its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binding {
    /// `VFIO_DEVICE_BIND_IOMMUFD` of the device's own node.
    Iommufd {
        /// The iommu_fd that it is bound to.
        iommu: Iommu,
        /// The object that it is attached to; `None` is the blocking domain.
        attached: Option<Pt>,
        /// The object that its PASID is attached to.
        pasid: Option<Pt>,
    },
    /// `VFIO_GROUP_GET_DEVICE_FD` of a group that is in a type1 container.
    Group,
}

/// What `VFIO_DEVICE_ATTACH_IOMMUFD_PT` attaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The device: its DMA without a PASID.
    Whole,
    /// The one PASID of the device that worlds have.
    Pasid,
}

impl Binding {
    /// Returns the binding of a device_fd to an iommu_fd, before anything is attached.
    pub const fn to(iommu: Iommu) -> Self {
        Self::Iommufd {
            iommu,
            attached: None,
            pasid: None,
        }
    }

    /// Returns the object that it is attached to.
    pub const fn attached(self) -> Option<Pt> {
        self.of(Part::Whole)
    }

    /// Returns the object that a part of the device is attached to.
    pub const fn of(self, part: Part) -> Option<Pt> {
        match (self, part) {
            (Self::Iommufd { attached, .. }, Part::Whole) => attached,
            (Self::Iommufd { pasid, .. }, Part::Pasid) => pasid,
            (Self::Group, _) => None,
        }
    }

    /// Returns where the object of a part is kept; none in the group path.
    pub(crate) const fn place_of(&mut self, part: Part) -> Option<&mut Option<Pt>> {
        match (self, part) {
            (Self::Iommufd { attached, .. }, Part::Whole) => Some(attached),
            (Self::Iommufd { pasid, .. }, Part::Pasid) => Some(pasid),
            (Self::Group, _) => None,
        }
    }
}

/// An open device_fd.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct File {
    /// `None` if it is open without a security context.
    pub binding: Option<Binding>,
    /// Whether a BAR is mapped through it.
    pub mapped: bool,
}

/// Whether a device is plugged in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Presence {
    /// It is plugged in.
    Here,
    /// It was unplugged, and is removed once it has no user.
    Leaving,
    /// It is not plugged in.
    Gone,
}

/// The driver of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Driver {
    /// The device has no driver.
    None,
    /// vfio-pci, for user space.
    Vfio,
    /// A kernel driver.
    Kernel,
}

/// State of one device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceState {
    /// Whether it is plugged in.
    pub presence: Presence,
    /// Driver that the device is bound to.
    pub driver: Driver,
    /// Its device_fd, while one is open.
    pub file: Option<File>,
    /// The binding that a mapping keeps alive after its device_fd was closed.
    pub held: Option<Binding>,
}

impl DeviceState {
    /// Returns every binding of the device, that of its file first.
    pub fn bindings(&self) -> impl Iterator<Item = Binding> {
        let of_file = self.file.and_then(|file| file.binding);
        of_file.into_iter().chain(self.held)
    }

    /// Whether it is bound to vfio-pci.
    pub fn on_vfio(&self) -> bool {
        self.driver == Driver::Vfio
    }

    /// Whether it has no user.
    pub const fn is_idle(&self) -> bool {
        self.file.is_none() && self.held.is_none()
    }

    /// Returns the binding of its file.
    pub fn binding(&self) -> Option<Binding> {
        self.file?.binding
    }
}

/// State of a group in its type1 container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Container {
    /// The container has no IOMMU model yet: after `VFIO_GROUP_SET_CONTAINER`.
    Joined,
    /// The container has an IOMMU model: after `VFIO_SET_IOMMU`.
    Typed,
}

/// State of one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct GroupState {
    /// Whether the group's further member is bound to a kernel driver.
    pub on_kernel_driver: bool,
    /// Whether `/dev/vfio/GROUP` is open.
    pub open: bool,
    /// The container that it is in.
    pub container: Option<Container>,
}

/// The DMA owner of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Owner {
    /// None: kernel drivers may use the group.
    Nobody,
    /// A device of it is bound to this iommu_fd.
    Iommu(Iommu),
    /// It is in a container.
    Container,
}

/// The domain of every device of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Domain {
    /// The default domain.
    Default,
    /// The blocking domain.
    Blocking,
    /// An IOAS, whose page table the kernel chooses.
    Ioas(Ioas),
    /// The mappings of the type1 container.
    Container,
}

/// The state of a world.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct State {
    /// States of the devices, by [`Device`].
    pub devices: Vec<DeviceState>,
    /// States of the groups, by [`Group`].
    pub groups: Vec<GroupState>,
    /// By [`Iommu`]: its descriptor is open.
    pub iommus: Vec<bool>,
    /// By [`Ioas`]: it exists.
    pub ioases: Vec<bool>,
    /// By [`Hwpt`]: it exists.
    pub hwpts: Vec<bool>,
}

impl State {
    /// Returns the initial state: every device is closed and on vfio-pci, except devices with a
    /// kernel driver; every iommu_fd is open with its IOASes; and there are no HWPTs.
    pub fn initial(world: &World) -> Self {
        let device = |device| DeviceState {
            presence: Presence::Here,
            driver: match world.groups[world.group_of(device).0].shape {
                Shape::HostDriver => Driver::None,
                _ => Driver::Vfio,
            },
            file: None,
            held: None,
        };
        Self {
            devices: world.devices().map(device).collect(),
            groups: vec![GroupState::default(); world.groups.len()],
            iommus: vec![true; world.iommus],
            ioases: vec![true; world.ioases.len()],
            hwpts: vec![false; world.hwpts.len()],
        }
    }

    /// Returns all bindings of the devices of a group.
    pub fn bindings<'a>(
        &'a self,
        world: &'a World,
        group: Group,
    ) -> impl Iterator<Item = Binding> + 'a {
        world
            .members(group)
            .flat_map(|device| self.devices[device.0].bindings())
    }

    /// The DMA owner of a group.
    pub fn owner(&self, world: &World, group: Group) -> Owner {
        if self.groups[group.0].container.is_some() {
            return Owner::Container;
        }
        let iommu = self
            .bindings(world, group)
            .find_map(|binding| match binding {
                Binding::Iommufd { iommu, .. } => Some(iommu),
                Binding::Group => None,
            });
        iommu.map_or(Owner::Nobody, Owner::Iommu)
    }

    /// Returns the object that a group is attached to.
    pub fn attached(&self, world: &World, group: Group) -> Option<Pt> {
        self.attached_part(world, group, Part::Whole)
    }

    /// Returns the object that a part of the devices of a group is attached to.
    pub fn attached_part(&self, world: &World, group: Group, part: Part) -> Option<Pt> {
        self.bindings(world, group)
            .find_map(|binding| binding.of(part))
    }

    /// Returns the domain of every device of a group: S1.6, S2.7b, S2.7c, S2.8, S2.9.
    pub fn domain(&self, world: &World, group: Group) -> Domain {
        match (self.owner(world, group), self.attached(world, group)) {
            (Owner::Nobody, _) => Domain::Default,
            (Owner::Container, _) => match self.groups[group.0].container {
                Some(Container::Typed) => Domain::Container,
                _ => Domain::Blocking,
            },
            (Owner::Iommu(_), Some(pt)) => Domain::Ioas(world.ioas_of(pt)),
            (Owner::Iommu(_), None) => Domain::Blocking,
        }
    }

    /// Whether a device of the group is bound to a kernel driver, so that its DMA uses the default
    /// domain.
    pub fn kernel_drives(&self, world: &World, group: Group) -> bool {
        self.groups[group.0].on_kernel_driver
            || world
                .members(group)
                .any(|device| self.devices[device.0].driver == Driver::Kernel)
    }

    /// Whether the group is in use through its own node, or through a device that was opened from
    /// it.
    pub fn group_path(&self, world: &World, group: Group) -> bool {
        self.groups[group.0].open
            || self
                .bindings(world, group)
                .any(|binding| binding == Binding::Group)
    }

    /// Whether a device of any group is bound to an iommu_fd.
    pub fn in_use(&self, iommu: Iommu) -> bool {
        self.devices
            .iter()
            .flat_map(DeviceState::bindings)
            .any(|binding| matches!(binding, Binding::Iommufd { iommu: of, .. } if of == iommu))
    }

    /// Whether the object exists.
    pub fn exists(&self, pt: Pt) -> bool {
        match pt {
            Pt::Ioas(ioas) => self.ioases[ioas.0],
            Pt::Hwpt(hwpt) => self.hwpts[hwpt.0],
        }
    }

    /// Whether a device of any group, or its PASID, is attached to this object.
    pub fn is_attached_to(&self, pt: Pt) -> bool {
        self.devices
            .iter()
            .flat_map(DeviceState::bindings)
            .any(|binding| {
                [Part::Whole, Part::Pasid]
                    .map(|it| binding.of(it))
                    .contains(&Some(pt))
            })
    }

    /// Whether user space has allocated a page table of an IOAS.
    pub fn has_hwpt(&self, world: &World, ioas: Ioas) -> bool {
        let mut hwpts = self.hwpts.iter().zip(&world.hwpts);
        hwpts.any(|(exists, of)| *exists && *of == ioas)
    }

    /// Removes what has lost its last user: a group's container, an iommu_fd's IOASes and HWPTs, a
    /// device that was unplugged.
    pub(crate) fn settle(&mut self, world: &World) {
        for device in &mut self.devices {
            if device.presence == Presence::Leaving && device.is_idle() {
                device.presence = Presence::Gone;
            }
        }
        for group in world.all_groups() {
            if !self.group_path(world, group) {
                self.groups[group.0].container = None;
            }
        }
        for (ioas, of) in world.ioases.iter().enumerate() {
            if !self.iommus[of.0] && !self.in_use(*of) {
                self.ioases[ioas] = false;
            }
        }
        for (hwpt, of) in world.hwpts.iter().enumerate() {
            self.hwpts[hwpt] &= self.ioases[of.0];
        }
    }
}
