//! Bounded worlds, small enough for walks to take every transition.

use crate::state::{Device, Group, Hwpt, Ioas, Iommu, Pt};

/// Shape of a group, as in the case language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Shape {
    /// Alone in its group.
    Singleton,
    /// Behind one conventional-PCI bridge: one requester id.
    Bridge,
    /// Functions of one slot without ACS: each has its own requester id.
    Functions,
    /// A mediated device: no hardware group.
    Mdev,
    /// Alone in its group, with its own reset.
    Sriov,
    /// Alone in its group, behind a hotplug port.
    Hotplug,
    /// Alone in its group, with a kernel driver besides vfio-pci.
    HostDriver,
    /// Functions of one slot, whose default domain translates and maps low memory one to one.
    DirectMapped,
}

/// A group of a world, with its devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupSpec {
    /// Kind of group, by its devices.
    pub shape: Shape,
    /// Devices that user space drives.
    pub devices: usize,
    /// Whether there is one more member that a kernel driver can bind.
    pub host_driver: bool,
}

/// Families of events, by which a world is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// The group node and its container.
    pub group_path: bool,
    /// Mappings of BARs.
    pub mmap: bool,
    /// Drivers lose and regain a device.
    pub drivers: bool,
    /// The last references of iommu_fds and IOASes.
    pub lifetimes: bool,
    /// A PASID of each device. HWPTs allow PASIDs.
    pub pasid: bool,
    /// Whether devices are reset: `VFIO_DEVICE_RESET`.
    pub reset: bool,
    /// Whether the bus of the devices is reset: `VFIO_DEVICE_PCI_HOT_RESET`.
    pub hot_reset: bool,
    /// The machine loses and regains a device.
    pub hotplug: bool,
    /// The kernel loses and finds a device that has no user.
    pub rescan: bool,
    /// The default domains translate, although they could be identity domains.
    pub translated: bool,
}

impl GroupSpec {
    /// Two functions of one slot, without further members.
    const PAIR: Self = Self {
        shape: Shape::Functions,
        devices: 2,
        host_driver: false,
    };

    /// Returns a group with a single device.
    const fn alone(shape: Shape) -> Self {
        Self {
            shape,
            devices: 1,
            host_driver: false,
        }
    }
}

impl Scope {
    /// Only events of device nodes.
    const SMALLEST: Self = Self {
        group_path: false,
        mmap: false,
        drivers: false,
        lifetimes: false,
        pasid: false,
        reset: false,
        hot_reset: false,
        hotplug: false,
        rescan: false,
        translated: false,
    };
}

/// A bounded world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// Name on the command line.
    pub name: &'static str,
    /// Its groups, by [`Group`].
    pub groups: Vec<GroupSpec>,
    /// How many iommu_fds.
    pub iommus: usize,
    /// By [`Ioas`]: the iommu_fd that has it.
    pub ioases: Vec<Iommu>,
    /// By [`crate::Hwpt`]: the IOAS whose page table it is.
    pub hwpts: Vec<Ioas>,
    /// The events that may happen.
    pub scope: Scope,
}

impl World {
    /// Returns each group of the world.
    pub fn all_groups(&self) -> impl Iterator<Item = Group> + use<> {
        (0..self.groups.len()).map(Group)
    }

    /// Every device; those of a group are next to each other.
    pub fn devices(&self) -> impl Iterator<Item = Device> + use<> {
        let count = self.groups.iter().map(|group| group.devices).sum();
        (0..count).map(Device)
    }

    /// The devices of a group.
    pub fn members(&self, group: Group) -> impl Iterator<Item = Device> + use<> {
        let before: usize = self.groups[..group.0].iter().map(|it| it.devices).sum();
        (before..before + self.groups[group.0].devices).map(Device)
    }

    /// Whether a further member of the group is always on vfio-pci: of a direct-mapped one, the device
    /// that low memory is mapped for.
    pub fn stays_on_vfio(&self, group: Group) -> bool {
        self.groups[group.0].shape == Shape::DirectMapped
    }

    /// The group of a device.
    pub fn group_of(&self, device: Device) -> Group {
        self.all_groups()
            .find(|group| self.members(*group).any(|member| member == device))
            .unwrap_or(Group(0))
    }

    /// The IOAS whose mappings an attached device sees.
    pub fn ioas_of(&self, pt: Pt) -> Ioas {
        match pt {
            Pt::Ioas(ioas) => ioas,
            Pt::Hwpt(hwpt) => self.hwpts[hwpt.0],
        }
    }

    /// The iommu_fd that has it.
    pub fn iommu_of(&self, pt: Pt) -> Iommu {
        self.ioases[self.ioas_of(pt).0]
    }

    /// Returns every object that a `pt_id` may name.
    pub fn pts(&self) -> impl Iterator<Item = Pt> + use<> {
        let ioases = (0..self.ioases.len()).map(Ioas).map(Pt::Ioas);
        let hwpts = (0..self.hwpts.len()).map(Hwpt).map(Pt::Hwpt);
        ioases.chain(hwpts)
    }

    /// Position of a device in its group.
    pub fn place_of(&self, device: Device) -> usize {
        self.members(self.group_of(device))
            .take_while(|member| *member != device)
            .count()
    }

    /// A singleton with two iommu_fds and all kinds of events that apply to it.
    pub fn singleton() -> Self {
        Self {
            name: "singleton",
            groups: vec![GroupSpec::alone(Shape::Singleton)],
            iommus: 2,
            ioases: vec![Iommu(0), Iommu(0), Iommu(1)],
            hwpts: Vec::new(),
            scope: Scope {
                group_path: true,
                mmap: true,
                drivers: true,
                lifetimes: true,
                ..Scope::SMALLEST
            },
        }
    }

    /// A group of two and a member with a kernel driver; two iommu_fds.
    pub fn group(shape: Shape) -> Self {
        let name = match shape {
            Shape::Bridge => "group behind a bridge",
            Shape::Functions => "group of functions",
            _ => "group",
        };
        Self {
            name,
            groups: vec![GroupSpec {
                shape,
                devices: 2,
                host_driver: true,
            }],
            iommus: 2,
            ioases: vec![Iommu(0), Iommu(0), Iommu(1)],
            hwpts: Vec::new(),
            scope: Scope {
                mmap: true,
                drivers: true,
                ..Scope::SMALLEST
            },
        }
    }

    /// The group's own node and its container beside the nodes of its devices.
    pub fn group_path(shape: Shape) -> Self {
        Self {
            name: match shape {
                Shape::Bridge => "group path behind a bridge",
                _ => "group path of functions",
            },
            iommus: 1,
            ioases: vec![Iommu(0)],
            scope: Scope {
                group_path: true,
                drivers: true,
                ..Scope::SMALLEST
            },
            ..Self::group(shape)
        }
    }

    /// A singleton and a group of two that share iommu_fds and IOASes.
    pub fn two_groups() -> Self {
        Self {
            name: "singleton and group",
            groups: vec![GroupSpec::PAIR, GroupSpec::alone(Shape::Singleton)],
            iommus: 2,
            ioases: vec![Iommu(0), Iommu(0), Iommu(1)],
            hwpts: Vec::new(),
            scope: Scope::SMALLEST,
        }
    }

    /// A device that can be reset, which takes a hundred times as long as other events.
    pub fn resettable() -> Self {
        Self {
            name: "resettable",
            groups: vec![GroupSpec::alone(Shape::Sriov)],
            iommus: 1,
            ioases: vec![Iommu(0)],
            hwpts: Vec::new(),
            scope: Scope {
                reset: true,
                ..Scope::SMALLEST
            },
        }
    }

    /// A group whose bus is reset, which takes a second each time. All its devices are on vfio-pci.
    pub fn hot_reset() -> Self {
        Self {
            name: "hot reset",
            groups: vec![GroupSpec {
                shape: Shape::Bridge,
                devices: 2,
                host_driver: false,
            }],
            iommus: 1,
            ioases: vec![Iommu(0)],
            hwpts: Vec::new(),
            scope: Scope {
                hot_reset: true,
                ..Scope::SMALLEST
            },
        }
    }

    /// A device that the machine may unplug at any time.
    pub fn hotplug() -> Self {
        Self {
            name: "hotplug",
            groups: vec![GroupSpec::alone(Shape::Hotplug)],
            iommus: 1,
            ioases: vec![Iommu(0)],
            hwpts: Vec::new(),
            scope: Scope {
                mmap: true,
                hotplug: true,
                ..Scope::SMALLEST
            },
        }
    }

    /// A device that user space and the kernel use in turn.
    pub fn kernel_driver() -> Self {
        Self {
            name: "kernel driver",
            groups: vec![GroupSpec::alone(Shape::HostDriver)],
            iommus: 1,
            ioases: vec![Iommu(0)],
            hwpts: Vec::new(),
            scope: Scope {
                group_path: true,
                drivers: true,
                ..Scope::SMALLEST
            },
        }
    }

    /// A group whose default domain translates. Its further member, with a kernel driver, can show
    /// whether the group has gone back there.
    pub fn translated() -> Self {
        Self {
            name: "translated default domain",
            groups: vec![GroupSpec {
                shape: Shape::Functions,
                devices: 1,
                host_driver: true,
            }],
            iommus: 1,
            ioases: vec![Iommu(0)],
            hwpts: Vec::new(),
            scope: Scope {
                group_path: true,
                mmap: true,
                lifetimes: true,
                translated: true,
                ..Scope::SMALLEST
            },
        }
    }

    /// A group whose default domain translates, with memory that it maps one to one: DMA there shows
    /// each way out of the default domain and back, for both members.
    pub fn direct_mapped() -> Self {
        Self {
            name: "direct-mapped group",
            groups: vec![GroupSpec {
                shape: Shape::DirectMapped,
                devices: 2,
                host_driver: true,
            }],
            iommus: 1,
            ioases: vec![Iommu(0), Iommu(0)],
            hwpts: Vec::new(),
            scope: Scope {
                group_path: true,
                drivers: true,
                ..Scope::SMALLEST
            },
        }
    }

    /// A group whose devices, and whose bus, are reset.
    pub fn resets() -> Self {
        Self {
            name: "resets of a group",
            groups: vec![GroupSpec {
                host_driver: false,
                ..Self::direct_mapped().groups[0]
            }],
            ioases: vec![Iommu(0)],
            scope: Scope {
                reset: true,
                hot_reset: true,
                ..Scope::SMALLEST
            },
            ..Self::direct_mapped()
        }
    }

    /// A group whose members are removed and found again, whoever owns the group.
    pub fn arrivals() -> Self {
        Self {
            name: "arrivals in a group",
            scope: Scope {
                drivers: true,
                rescan: true,
                ..Scope::SMALLEST
            },
            ..Self::resets()
        }
    }

    /// A group of two that is attached to page tables that user space allocates for an IOAS.
    pub fn page_tables() -> Self {
        Self {
            name: "page tables of a group",
            groups: vec![GroupSpec::PAIR],
            iommus: 1,
            ioases: vec![Iommu(0), Iommu(0)],
            hwpts: vec![Ioas(0), Ioas(0)],
            scope: Scope::SMALLEST,
        }
    }

    /// A group of two whose PASIDs are attached beside the devices.
    pub fn pasids() -> Self {
        Self {
            name: "PASIDs of a group",
            hwpts: vec![Ioas(0), Ioas(1)],
            ioases: vec![Iommu(0), Iommu(0)],
            scope: Scope {
                pasid: true,
                ..Scope::SMALLEST
            },
            ..Self::page_tables()
        }
    }

    /// The lifetimes of a page table, its IOAS and its devices, beside a device without a page
    /// table.
    pub fn page_table_lifetime() -> Self {
        Self {
            name: "page table lifetime",
            groups: vec![
                GroupSpec::alone(Shape::Singleton),
                GroupSpec::alone(Shape::Mdev),
            ],
            iommus: 1,
            ioases: vec![Iommu(0)],
            hwpts: vec![Ioas(0)],
            scope: Scope {
                lifetimes: true,
                ..Scope::SMALLEST
            },
        }
    }

    /// A world that is too large to take every transition: groups of each kind that share
    /// iommu_fds, and every event except slow ones.
    pub fn large() -> Self {
        let functions = GroupSpec {
            host_driver: true,
            ..GroupSpec::PAIR
        };
        Self {
            name: "large",
            groups: vec![
                functions,
                GroupSpec::alone(Shape::Singleton),
                GroupSpec::alone(Shape::Mdev),
            ],
            iommus: 2,
            ioases: vec![Iommu(0), Iommu(0), Iommu(1), Iommu(1)],
            hwpts: vec![Ioas(0), Ioas(0), Ioas(2)],
            scope: Scope {
                group_path: true,
                mmap: true,
                drivers: true,
                lifetimes: true,
                ..Scope::SMALLEST
            },
        }
    }

    /// A mediated device.
    pub fn mdev() -> Self {
        Self {
            name: "mdev",
            groups: vec![GroupSpec::alone(Shape::Mdev)],
            iommus: 2,
            ioases: vec![Iommu(0), Iommu(0), Iommu(1)],
            hwpts: Vec::new(),
            scope: Scope {
                lifetimes: true,
                ..Scope::SMALLEST
            },
        }
    }

    /// The worlds in which every transition is walked.
    pub fn all() -> Vec<Self> {
        vec![
            Self::singleton(),
            Self::group(Shape::Bridge),
            Self::group(Shape::Functions),
            Self::group_path(Shape::Bridge),
            Self::group_path(Shape::Functions),
            Self::two_groups(),
            Self::mdev(),
            Self::resettable(),
            Self::hot_reset(),
            Self::hotplug(),
            Self::kernel_driver(),
            Self::translated(),
            Self::direct_mapped(),
            Self::resets(),
            Self::arrivals(),
            Self::page_tables(),
            Self::pasids(),
            Self::page_table_lifetime(),
        ]
    }
}
