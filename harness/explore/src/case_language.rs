//! Events as steps of the case language.

use model::{Answer, Device, Driver, Event, Group, Ioas, Iommu, Pt, Shape, State, World};

/// IOVA of the page of the first IOAS. That of each further IOAS is `STRIDE` higher.
const IOVA: u64 = 0x40_0010_0000;
const STRIDE: u64 = 0x10_0000;

/// The step that reads by the DMA of a kernel driver. It drops the bytes that may be older than the
/// binding: 64 of the core, and 64 that virtio-rng has fetched.
pub const RANDOM: &str = "random: {bytes: 16}";

/// Names the objects of a world, and writes its events as steps.
#[derive(Debug, Clone, Copy)]
pub struct CaseLanguage<'a>(pub &'a World);

impl CaseLanguage<'_> {
    /// Returns the IOVA of the page of an IOAS.
    pub fn iova(self, ioas: Ioas) -> u64 {
        IOVA + STRIDE * ioas.0 as u64
    }

    /// Returns the IOVA of the page of the type1 containers.
    pub fn container_iova(self) -> u64 {
        IOVA + STRIDE * self.0.ioases.len() as u64
    }

    /// A group's role.
    pub fn group_role(self, group: Group) -> &'static str {
        match (self.0.groups[group.0].shape, group.0) {
            (Shape::Mdev, _) => "mdev",
            (_, 0) => "group",
            (shape, _) => shape_name(shape),
        }
    }

    /// A device's role.
    pub fn role(self, device: Device) -> String {
        let group = self.group_role(self.0.group_of(device));
        format!("{group}.{}", self.0.place_of(device))
    }

    /// Opens an iommu_fd, and allocates its IOASes.
    pub fn open_iommu(self, iommu: Iommu) -> Vec<String> {
        let mut steps = vec![format!("open: {{{iommu}: /dev/iommu}}")];
        for ioas in (0..self.0.ioases.len()).map(Ioas) {
            if self.0.ioases[ioas.0] == iommu {
                steps.extend(self.allocate(ioas));
            }
        }
        steps
    }

    /// The steps that give a device of a group to its kernel driver, read by its DMA, and take the
    /// device back.
    pub fn lend(self, group: Group) -> Vec<String> {
        let role = self.group_role(group);
        let own = |to: &str| format!("driver: {{of: {role}.0, to: {to}}}");
        let further = |to: &str| format!("driver: {{of: {role}.host-driver, to: {to}}}");
        let random = RANDOM.to_owned();
        match self.0.groups[group.0].host_driver {
            true => vec![further("host-driver"), random, further("none")],
            false => vec![
                own("none"),
                own("host-driver"),
                random,
                own("none"),
                own("vfio-pci"),
            ],
        }
    }

    fn allocate(self, ioas: Ioas) -> [String; 2] {
        let iommu = self.0.ioases[ioas.0];
        [
            format!("IOMMU_IOAS_ALLOC: {{on: {iommu}, save: {{out_ioas_id: {ioas}}}}}"),
            self.map(ioas),
        ]
    }

    /// Returns the steps of an event with this answer. `next` is the state after it, for steps that
    /// wait for a change.
    pub fn event(self, event: Event, answer: Answer, next: &State) -> Vec<String> {
        let mut steps = self.calls(event, answer, true);
        match event {
            Event::Unplug(device) | Event::Close(device) | Event::Munmap(device) => {
                steps.extend(self.leaves(device, event, next));
            }
            _ => {}
        }
        steps
    }

    /// The step that waits for a device that was unplugged.
    fn leaves(self, device: Device, event: Event, next: &State) -> Option<String> {
        let role = self.role(device);
        match (next.devices[device.0].presence, event) {
            (model::Presence::Gone, _) => Some(format!("wait_gone: {role}")),
            (model::Presence::Leaving, Event::Unplug(_)) => {
                Some(format!("wait_gone: {{node: {role}}}"))
            }
            _ => None,
        }
    }

    /// The step of an event, without an expected answer; none if the event takes several steps.
    pub fn single(self, event: Event) -> Option<String> {
        let mut steps = match event {
            Event::Unplug(_) | Event::Plug(_) => return None,
            Event::Access(device) => {
                return Some(format!("VFIO_DEVICE_GET_INFO: {{on: {device}}}"));
            }
            _ => self.calls(event, Answer::Ok, false),
        };
        let step = steps.pop();
        step.filter(|_| steps.is_empty())
    }

    /// Returns the calls of an event. Their results are compared, except in a race, in which the
    /// call may fail.
    fn calls(self, event: Event, answer: Answer, compare: bool) -> Vec<String> {
        let errno = match answer {
            Answer::Ok => String::new(),
            _ => format!(", errno: {}", end_name(answer)),
        };
        // A call that fails has no result to save.
        let save = |what: String| match answer {
            Answer::Ok => format!(", {what}"),
            _ => String::new(),
        };
        let id = |field: &str| match (answer, compare) {
            (Answer::Ok, true) => format!(", expect: {{{field}: {{not: 0}}}}"),
            _ => String::new(),
        };
        let step = match event {
            Event::Allocate(ioas) => return self.allocate(ioas).into(),
            Event::OpenIommu(iommu) => return self.open_iommu(iommu),
            Event::SetIommu(group) => return self.set_iommu(group, answer),
            Event::Rescan(device) => {
                let role = self.role(device);
                return vec![format!("remove: {role}"), format!("rescan: {role}")];
            }
            Event::Open(device) => {
                format!("open: {{{device}: {{at: {}{errno}}}}}", self.role(device))
            }
            Event::Bind(device, iommu) => {
                let save = match self.0.hwpts.is_empty() {
                    true => String::new(),
                    false => save(format!("save: {{out_devid: {device}_id}}")),
                };
                let id = id("out_devid");
                format!(
                    "VFIO_DEVICE_BIND_IOMMUFD: {{on: {device}, iommufd: ${iommu}{save}{id}{errno}}}"
                )
            }
            Event::Access(device) => return self.access(device, answer),
            Event::Reset(device) => format!("VFIO_DEVICE_RESET: {{on: {device}{errno}}}"),
            Event::HotReset(device) => {
                format!("VFIO_DEVICE_PCI_HOT_RESET: {{on: {device}, count: 0{errno}}}")
            }
            Event::Attach(device, pt) => {
                format!("VFIO_DEVICE_ATTACH_IOMMUFD_PT: {{on: {device}, pt_id: ${pt}{errno}}}")
            }
            Event::AttachNothing(device) => {
                format!("VFIO_DEVICE_ATTACH_IOMMUFD_PT: {{on: {device}, pt_id: 0x7fffffff{errno}}}")
            }
            Event::Detach(device) => {
                format!("VFIO_DEVICE_DETACH_IOMMUFD_PT: {{on: {device}{errno}}}")
            }
            Event::AttachPasid(device, pt) => {
                format!(
                    "VFIO_DEVICE_ATTACH_IOMMUFD_PT: {{on: {device}, flags: [PASID], pasid: 1, pt_id: ${pt}{errno}}}"
                )
            }
            Event::DetachPasid(device) => {
                format!(
                    "VFIO_DEVICE_DETACH_IOMMUFD_PT: {{on: {device}, flags: [PASID], pasid: 1{errno}}}"
                )
            }
            Event::Mmap(device) => {
                let save = save(format!("save: bar{}", device.0));
                format!("mmap: {{on: {device}, region: VFIO_PCI_BAR0_REGION_INDEX{save}{errno}}}")
            }
            Event::Munmap(device) => format!("munmap: {{at: $bar{}}}", device.0),
            Event::Close(device) => format!("close: {device}"),
            Event::CloseGroup(group) => format!("close: {group}"),
            Event::CloseIommu(iommu) => format!("close: {iommu}"),
            Event::Drive(device, driver) => {
                let to = match driver {
                    Driver::None => "none",
                    Driver::Vfio => "vfio-pci",
                    Driver::Kernel => "host-driver",
                };
                format!("driver: {{of: {}, to: {to}}}", self.role(device))
            }
            Event::KernelDriver(group) => {
                let role = self.group_role(group);
                format!("driver: {{of: {role}.host-driver, to: host-driver{errno}}}")
            }
            Event::NoKernelDriver(group) => {
                let role = self.group_role(group);
                format!("driver: {{of: {role}.host-driver, to: none}}")
            }
            Event::Unplug(device) => format!("unplug: {}", self.role(device)),
            Event::Plug(device) => format!("plug: {}", self.role(device)),
            Event::OpenGroup(group) => {
                let role = self.group_role(group);
                format!("open: {{{group}: {{at: {role}{errno}}}}}")
            }
            Event::SetContainer(group) => {
                let container = group.0;
                format!(
                    "VFIO_GROUP_SET_CONTAINER: {{on: {group}, fd: $container{container}{errno}}}"
                )
            }
            Event::UnsetContainer(group) => {
                format!("VFIO_GROUP_UNSET_CONTAINER: {{on: {group}{errno}}}")
            }
            Event::GetDevice(device) => {
                let (group, role) = (self.0.group_of(device), self.role(device));
                let save = save(format!("save_return: {device}"));
                format!(
                    "VFIO_GROUP_GET_DEVICE_FD: {{on: {group}, string: \"{{{role}}}\"{save}{errno}}}"
                )
            }
            Event::AllocateHwpt(device, hwpt) => {
                let pt = Pt::Hwpt(hwpt);
                let (iommu, ioas) = (self.0.iommu_of(pt), self.0.ioas_of(pt));
                let save = save(format!("save: {{out_hwpt_id: {hwpt}}}"));
                let id = id("out_hwpt_id");
                let flags = if self.0.scope.pasid {
                    ", flags: [PASID]"
                } else {
                    ""
                };
                format!(
                    "IOMMU_HWPT_ALLOC: {{on: {iommu}, dev_id: ${device}_id, pt_id: ${ioas}{flags}{save}{id}{errno}}}"
                )
            }
            Event::Destroy(pt) => {
                let iommu = self.0.iommu_of(pt);
                format!("IOMMU_DESTROY: {{on: {iommu}, id: ${pt}{errno}}}")
            }
        };
        vec![step]
    }

    /// Every kind of access: queries, reads and writes of configuration space, and of a BAR if the
    /// device is known to have one.
    fn access(self, device: Device, answer: Answer) -> Vec<String> {
        let (errno, ok) = match answer {
            Answer::Ok => (String::new(), true),
            _ => (format!(", errno: {}", end_name(answer)), false),
        };
        let expect = |what: &'static str| if ok { what } else { "" };
        let (flags, size) = (
            expect(", expect: {flags: {has: [PCI]}, num_regions: {not: 0}}"),
            expect(", expect: {size: {not: 0}}"),
        );
        let config = "region: VFIO_PCI_CONFIG_REGION_INDEX";
        let mut steps = vec![
            format!("VFIO_DEVICE_GET_INFO: {{on: {device}{flags}{errno}}}"),
            format!(
                "VFIO_DEVICE_GET_REGION_INFO: {{on: {device}, index: VFIO_PCI_CONFIG_REGION_INDEX{size}{errno}}}"
            ),
            format!(
                "VFIO_DEVICE_GET_IRQ_INFO: {{on: {device}, index: VFIO_PCI_INTX_IRQ_INDEX{errno}}}"
            ),
            format!("pread: {{on: {device}, {config}, length: 2{errno}}}"),
            // The interrupt line is a scratch register.
            format!("pwrite: {{on: {device}, {config}, offset: 0x3c, bytes: [10]{errno}}}"),
        ];
        if does_dma(self.0.groups[self.0.group_of(device).0].shape) {
            steps.push(format!(
                "pread: {{on: {device}, region: VFIO_PCI_BAR0_REGION_INDEX, length: 4{errno}}}"
            ));
        }
        steps
    }

    /// The step that takes a page out of an IOAS.
    pub fn unmap(self, ioas: Ioas) -> String {
        let (iommu, iova) = (self.0.ioases[ioas.0], self.iova(ioas));
        format!(
            "IOMMU_IOAS_UNMAP: {{on: {iommu}, ioas_id: ${ioas}, iova: {iova:#x}, length: 0x1000, \
             expect: {{length: 0x1000}}}}"
        )
    }

    /// The step that puts it back.
    pub fn map(self, ioas: Ioas) -> String {
        format!(
            "IOMMU_IOAS_MAP: {{on: {}, ioas_id: ${ioas}, user_va: $page{}, length: 0x1000, iova: {:#x}, \
             flags: [FIXED_IOVA, READABLE, WRITEABLE]}}",
            self.0.ioases[ioas.0],
            ioas.0,
            self.iova(ioas)
        )
    }

    fn set_iommu(self, group: Group, answer: Answer) -> Vec<String> {
        let container = group.0;
        if answer != Answer::Ok {
            let errno = end_name(answer);
            return vec![format!(
                "VFIO_SET_IOMMU: {{on: container{container}, value: VFIO_TYPE1v2_IOMMU, errno: {errno}}}"
            )];
        }
        vec![
            format!("VFIO_SET_IOMMU: {{on: container{container}, value: VFIO_TYPE1v2_IOMMU}}"),
            format!(
                "VFIO_IOMMU_MAP_DMA: {{on: container{container}, flags: [READ, WRITE], vaddr: $container_page, iova: {:#x}, size: 0x1000}}",
                self.container_iova()
            ),
        ]
    }
}

/// An answer in the case language.
pub fn end_name(answer: Answer) -> &'static str {
    match answer {
        Answer::Ok => "none",
        Answer::Errno(name) => name,
        // The clause names no errno.
        Answer::Refused => "any",
    }
}

/// Whether the devices of a group of this shape do DMA on demand.
pub const fn does_dma(shape: Shape) -> bool {
    matches!(
        shape,
        Shape::Singleton | Shape::Bridge | Shape::Functions | Shape::Hotplug | Shape::DirectMapped
    )
}

/// The name of a shape in the case language.
pub const fn shape_name(shape: Shape) -> &'static str {
    match shape {
        Shape::Singleton => "singleton",
        Shape::Bridge => "bridge",
        Shape::Functions => "functions",
        Shape::Mdev => "mdev",
        Shape::Sriov => "sriov",
        Shape::Hotplug => "hotplug",
        Shape::HostDriver => "host-driver",
        Shape::DirectMapped => "direct-mapped",
    }
}
