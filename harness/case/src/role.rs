//! The roles of devices in a case, and the devices that a guest offers for them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use uapi::{Constant, FdKind, Header, Ioctl, Series, Since};

use wire::Value;

use crate::{node::Node, problem::Problem, value::declared_name};

/// Shape of a group, as platform files name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Shape {
    /// One device, alone in its group (1:1), that can do DMA on demand.
    Singleton,
    /// One device, alone in its group, with a host driver.
    HostDriver,
    /// Several devices behind one conventional-PCI bridge: they share a requester id (1:N).
    Bridge,
    /// Functions of one slot without ACS: each has its own requester id (1:N).
    Functions,
    /// Functions of one slot below a root port without ACS: the port and its driver are in the group
    /// as well (1:N).
    Port,
    /// Two ports of one slot without ACS, with a device below each: all are in one group (1:N).
    Ports,
    /// An SR-IOV capable device.
    Sriov,
    /// One conventional-PCI function that raises INTx and MSI on demand; no reset.
    Conventional,
    /// One PCI Express function with everything that configuration space may have.
    Express,
    /// One device behind a hotplug port.
    Hotplug,
    /// Functions of one slot whose memory BARs are smaller than a page.
    SmallBar,
    /// A display of class VGA, which decodes the legacy ports and memory.
    Vga,
    /// A memory device of CXL, whose extended capabilities contain one that vfio-pci hides.
    Cxl,
    /// A mediated device: a group without IOMMU hardware. It has interrupts and supports migration
    /// (the sample mtty).
    Mdev,
    /// A mediated display, whose picture is a region that can be mapped (the sample mdpy).
    Mdpy,
    /// A mediated display, whose picture is a dma-buf (the sample mbochs).
    Mbochs,
    /// A mediated device that pins pages of its user, and copies from and to them (flavour `pins`).
    Mdpin,
    /// The same, which is not told of unmaps.
    MdpinDeaf,
    /// A device without an IOMMU, and so without a group.
    Noiommu,
    /// Functions of one slot below a root port. Their default domain translates, and maps the first
    /// 16 MiB one to one (1:N).
    DirectMapped,
}

impl Shape {
    /// All shapes with their names.
    pub const ALL: [(&'static str, Self); 20] = [
        ("singleton", Self::Singleton),
        ("host-driver", Self::HostDriver),
        ("bridge", Self::Bridge),
        ("functions", Self::Functions),
        ("port", Self::Port),
        ("ports", Self::Ports),
        ("sriov", Self::Sriov),
        ("conventional", Self::Conventional),
        ("express", Self::Express),
        ("hotplug", Self::Hotplug),
        ("small-bar", Self::SmallBar),
        ("vga", Self::Vga),
        ("cxl", Self::Cxl),
        ("mdev", Self::Mdev),
        ("mdpy", Self::Mdpy),
        ("mbochs", Self::Mbochs),
        ("mdpin", Self::Mdpin),
        ("mdpin-deaf", Self::MdpinDeaf),
        ("noiommu", Self::Noiommu),
        ("direct-mapped", Self::DirectMapped),
    ];

    /// The shape of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, shape)| *shape)
    }

    /// Whether its device is mediated: on the bus of such devices, and without IOMMU hardware.
    pub const fn is_mediated(self) -> bool {
        matches!(
            self,
            Self::Mdev | Self::Mdpy | Self::Mbochs | Self::Mdpin | Self::MdpinDeaf
        )
    }

    /// The bus of its devices, as sysfs names it.
    pub const fn bus(self) -> &'static str {
        match self.is_mediated() {
            true => "mdev",
            false => "pci",
        }
    }

    /// Reads a shape.
    pub fn read(node: &Node) -> Result<Self, Problem> {
        let name = node.text()?;
        Self::named(name).ok_or_else(|| {
            Problem::unknown_name(
                node.at,
                "group shape",
                name,
                Self::ALL.map(|(name, _)| name),
            )
        })
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL
            .iter()
            .find(|(_, shape)| shape == self)
            .map(|(name, _)| *name);
        f.write_str(name.unwrap_or("?"))
    }
}

/// Which group a role lies in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Which {
    /// The group that the case is about.
    Group,
    /// Another group, whose devices do DMA on demand: of the same shape, if there is one.
    Other,
    /// The group of this shape, independent of the shape of the case.
    Of(Shape),
}

impl Which {
    fn named(name: &str) -> Option<Self> {
        match name {
            "group" => Some(Self::Group),
            "other" => Some(Self::Other),
            shape => Shape::named(shape).map(Self::Of),
        }
    }
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Group => f.write_str("group"),
            Self::Other => f.write_str("other"),
            Self::Of(shape) => write!(f, "{shape}"),
        }
    }
}

/// Which member of the group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Member {
    /// The group as a whole: `/dev/vfio/N`.
    Whole,
    /// The Nth device that does DMA on demand.
    Index(usize),
    /// The member that has a host driver.
    HostDriver,
    /// The bridge above its devices.
    Bridge,
}

/// `group.0`, `group.host-driver`, `other.1`, `group`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Role {
    /// The group that it is in.
    pub which: Which,
    /// The member of that group.
    pub member: Member,
}

impl Role {
    /// The role of that name.
    pub fn named(name: &str) -> Option<Self> {
        let (group, member) = match name.split_once('.') {
            None => (name, Member::Whole),
            Some((group, "host-driver")) => (group, Member::HostDriver),
            Some((group, "bridge")) => (group, Member::Bridge),
            Some((group, index)) => (group, Member::Index(index.parse().ok()?)),
        };
        let which = Which::named(group)?;
        Some(Self { which, member })
    }

    /// Reads the role of a group as a whole.
    pub fn read_group(node: &Node) -> Result<Which, Problem> {
        let name = node.text()?;
        let shapes = Shape::ALL.map(|(name, _)| name);
        Which::named(name).ok_or_else(|| {
            let known = ["group", "other"].into_iter().chain(shapes);
            Problem::unknown_name(node.at, "group", name, known)
        })
    }

    /// Reads the role of one device.
    pub fn read_device(node: &Node) -> Result<Self, Problem> {
        let name = node.text()?;
        Self::named(name)
            .filter(|role| role.member != Member::Whole)
            .ok_or_else(|| {
                let known = [
                    "group.0",
                    "group.1",
                    "group.host-driver",
                    "group.bridge",
                    "other.0",
                    "mdev.0",
                ];
                Problem::unknown_name(node.at, "device", name, known)
            })
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.which)?;
        match self.member {
            Member::Whole => Ok(()),
            Member::Index(index) => write!(f, ".{index}"),
            Member::HostDriver => f.write_str(".host-driver"),
            Member::Bridge => f.write_str(".bridge"),
        }
    }
}

/// A function that a case creates on the bus of a device: `group.0@10.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    beside: Role,
    slot: String,
}

impl Function {
    /// The function of that name.
    pub fn named(name: &str) -> Option<Self> {
        let (beside, slot) = name.split_once('@')?;
        let beside = Role::named(beside).filter(|role| role.member != Member::Whole)?;
        let slot = slot.to_owned();
        Some(Self { beside, slot })
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.beside, self.slot)
    }
}

/// A group that a guest offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedGroup {
    /// Name in the platform file.
    pub name: String,
    /// Kind of group, by its devices.
    pub shape: Shape,
    /// IOMMU group number in this guest; `None` if the device has no group.
    pub number: Option<u32>,
    /// Its devices, in the order of the platform file.
    pub devices: Vec<OfferedDevice>,
    /// The bridge above its devices, if there is one.
    pub bridge: Option<OfferedDevice>,
}

impl OfferedGroup {
    /// Its devices, and the bridge above them.
    pub fn members(&self) -> impl Iterator<Item = &OfferedDevice> {
        self.devices.iter().chain(&self.bridge)
    }

    /// IOMMU group number in this guest.
    pub fn number(&self) -> Result<u32, String> {
        self.number.ok_or_else(|| {
            // The group of a mediated device is one that vfio makes.
            let option = match self.shape.is_mediated() {
                true => " (CONFIG_VFIO_GROUP)",
                false => "",
            };
            format!("an IOMMU group: {} has none{option}", self.name)
        })
    }
}

/// A device that a guest offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedDevice {
    /// PCI address or mdev UUID.
    pub name: String,
    /// Its name in QEMU; `None` if the guest created it.
    pub machine_id: Option<String>,
    /// How it does DMA on demand, if it can.
    pub engine: Option<wire::DmaEngine>,
    /// Signature that its DMA writes to memory.
    pub signature: String,
    /// The host driver, if there is one.
    pub host_driver: Option<String>,
    /// The driver that it has between cases.
    pub default_driver: Option<String>,
    /// The reset methods that it has between cases, as sysfs takes them.
    pub default_resets: Option<String>,
}

/// What a guest offers to a case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Guest {
    /// Name of the platform.
    pub platform: String,
    /// Release of the kernel, as `uname -r` prints it.
    pub release: String,
    /// Options of the kernel, with their values.
    pub config: BTreeMap<String, String>,
    /// Features, each available or missing with the reason.
    pub features: BTreeMap<String, Result<(), String>>,
    /// Groups that the platform offers.
    pub groups: Vec<OfferedGroup>,
    /// Reasons why groups of the platform file are missing.
    pub missing_groups: BTreeMap<String, String>,
    /// Types of the groups' default domains, by group number.
    pub default_domain: BTreeMap<u32, String>,
    /// Numbers of the ioctls that its iommufd knows, if it was asked.
    pub known_ioctls: Option<BTreeSet<u32>>,
    /// What the headers of its kernel declare, if they are at hand.
    pub declared: Option<Arc<Header>>,
}

/// Begins the need of a case that uses a name which the kernel's headers do not have.
pub const NOT_DECLARED: &str = "a kernel whose headers have";

fn not_declared(name: &str) -> String {
    format!("{NOT_DECLARED} {name}")
}

/// The feature of a kernel that has the ioctls of [`OF_CDEV`], which came with it.
const CDEV: &str = "vfio_cdev";
const OF_CDEV: [&str; 3] = [
    "VFIO_DEVICE_BIND_IOMMUFD",
    "VFIO_DEVICE_ATTACH_IOMMUFD_PT",
    "VFIO_DEVICE_DETACH_IOMMUFD_PT",
];

impl Guest {
    /// Checks that the guest has a feature.
    pub fn need_feature(&self, name: &str) -> Result<(), String> {
        match self.features.get(name) {
            Some(Ok(())) => Ok(()),
            Some(Err(why)) => Err(format!("feature {name}: {why}")),
            None => Err(format!("feature {name}: the agent does not know it")),
        }
    }

    /// Whether it has said that it knows an ioctl. Only its iommufd was asked.
    fn knows(&self, on: FdKind, request: u32) -> bool {
        let known = self.known_ioctls.as_ref();
        on == FdKind::Iommu && known.is_some_and(|known| known.contains(&request))
    }

    /// Whether it has an ioctl of vfio. Its devices cannot be asked: until one is bound to an
    /// iommufd it answers EINVAL to whatever it is called with but the ioctl that binds it.
    fn shows(&self, ioctl: &Ioctl) -> bool {
        OF_CDEV.contains(&ioctl.name) && self.need_feature(CDEV).is_ok()
    }

    /// Checks that the headers of its kernel declare a part of the uAPI.
    pub fn need_declared(&self, name: &str) -> Result<(), String> {
        match self.declares(name) {
            true => Ok(()),
            false => Err(not_declared(name)),
        }
    }

    /// Whether its kernel's headers declare a part of the uAPI.
    fn declares(&self, name: &str) -> bool {
        let declared = self.declared.as_ref();
        declared.is_some_and(|declared| declared.has(name))
    }

    /// The names that only its kernel's headers have, with their numbers.
    fn unknown_numbers(&self) -> impl Iterator<Item = (&str, u64)> {
        let declared = self.declared.iter();
        let unknown = declared.flat_map(|declared| declared.unknown_numbers());
        unknown.filter_map(|(name, number)| Some((name, number?)))
    }
}

/// A case's roles, bound to devices of one guest.
#[derive(Debug, Clone)]
pub struct RoleBindings<'a> {
    guest: &'a Guest,
    group: Option<&'a OfferedGroup>,
    /// The series of the guest's kernel, or a later one that an ioctl of it came from.
    series: Option<Series>,
}

impl<'a> RoleBindings<'a> {
    /// Binds the roles of a case about a group of `shape`.
    pub fn new(guest: &'a Guest, shape: Option<Shape>) -> Result<Self, String> {
        let group = match shape {
            None => None,
            Some(shape) => Some(of_shape(guest, shape)?),
        };
        let series = Series::of_release(&guest.release);
        Ok(Self {
            guest,
            group,
            series,
        })
    }

    /// Checks that the guest has a feature.
    pub fn need_feature(&self, name: Option<&str>) -> Result<(), String> {
        match name {
            Some(name) => self.guest.need_feature(name),
            None => Ok(()),
        }
    }

    /// Checks that the guest's kernel has an ioctl: by its release, or because it says so. Returns
    /// the same bindings, but with what came with the ioctl: a kernel that has it although it is
    /// older has all of it.
    ///
    /// # Errors
    /// With the release that brought it.
    pub fn need_ioctl(&self, ioctl: &Ioctl) -> Result<Self, String> {
        let since = ioctl.since();
        if self.guest.knows(ioctl.on, ioctl.request) || self.guest.shows(ioctl) {
            // Of a kernel of an unknown series nothing is known to be missing.
            let series = self.series.map(|series| series.max(since.series()));
            return Ok(Self { series, ..*self });
        }
        self.need_series(ioctl.name, since)?;
        Ok(self.clone())
    }

    /// Whether the guest has said that it knows the ioctl of this number, or its kernel's headers
    /// have an ioctl of this number that the tables do not have.
    pub fn knows_request(&self, on: FdKind, request: u32) -> bool {
        let mut unknown = self.guest.unknown_numbers();
        self.guest.knows(on, request) || unknown.any(|(_, number)| number == u64::from(request))
    }

    /// Checks that the guest's kernel has a part of the uAPI: by its release, or because its
    /// headers have it. A kernel whose headers lack what its release has is not excused.
    ///
    /// # Errors
    /// With the release that brought it.
    pub fn need_series(&self, name: &str, since: Since) -> Result<(), String> {
        let by_release = self.series.is_none_or(|series| series >= since.series());
        if by_release || self.guest.declares(name) {
            return Ok(());
        }
        Err(format!("{since}: {name}"))
    }

    /// Returns a value with the number of a name that only the kernel's headers have.
    ///
    /// # Errors
    /// With the name, if the headers are not at hand or do not have it.
    pub fn declared_value(&self, value: Value) -> Result<Value, String> {
        let Value::Slot { name, add } = &value else {
            return Ok(value);
        };
        match declared_name(name) {
            Some(name) => Ok(Value::Const(self.declared_number(name)? | add)),
            None => Ok(value),
        }
    }

    /// Returns the number of a name that only the kernel's headers have.
    ///
    /// # Errors
    /// With the name, if the headers are not at hand or do not have it.
    pub fn declared_number(&self, name: &str) -> Result<u64, String> {
        let declared = self.guest.declared.as_ref();
        let number = declared.and_then(|declared| declared.number(name));
        number.ok_or_else(|| not_declared(name))
    }

    /// Checks that the kernel's headers have no ioctl of this number that the tables do not have.
    ///
    /// # Errors
    /// With the name of the ioctl.
    pub fn need_unnamed_request(&self, request: u32) -> Result<(), String> {
        let mut unknown = self.guest.unknown_numbers();
        match unknown.find(|(_, number)| *number == u64::from(request)) {
            None => Ok(()),
            Some((name, _)) => Err(format!(
                "tables with {name}: the call has {request:#x} as the number of no ioctl, and this \
                 kernel's headers name it"
            )),
        }
    }

    /// Checks that a number has no name in the guest's kernel either. The names of its headers are
    /// told apart by how those begin that the tables have for the same purpose.
    ///
    /// # Errors
    /// With the name that the kernel's headers have for it.
    pub fn need_unnamed(&self, beside: &[Constant], number: u64) -> Result<(), String> {
        let alike = |name: &str| beside.iter().any(|known| name.starts_with(known.prefix));
        let mut unknown = self.guest.unknown_numbers();
        match unknown.find(|(name, of)| *of == number && alike(name)) {
            None => Ok(()),
            Some((name, _)) => Err(format!(
                "tables with {name}: the call has {number:#x} as a number without a name, and this \
                 kernel's headers name it"
            )),
        }
    }

    /// Checks that the guest's kernel has an option.
    pub fn need_config(&self, option: &str) -> Result<(), String> {
        if self.guest.config.contains_key(option) {
            return Ok(());
        }
        Err(format!("{option}=y in the kernel's configuration"))
    }

    /// The group that a role lies in.
    pub fn group(&self, which: Which) -> Result<&'a OfferedGroup, String> {
        match which {
            Which::Group => self
                .group
                .ok_or_else(|| "a group, but the case has no `shapes`".to_owned()),
            Which::Other => self
                .other()
                .ok_or_else(|| "a second group with a device that does DMA".to_owned()),
            Which::Of(shape) => of_shape(self.guest, shape),
        }
    }

    fn other(&self) -> Option<&'a OfferedGroup> {
        let does_dma =
            |group: &&OfferedGroup| group.devices.iter().any(|device| device.engine.is_some());
        let is_other =
            |group: &&OfferedGroup| self.group.is_none_or(|own| own.number != group.number);
        let groups = self.guest.groups.iter();
        let mut others = groups.filter(does_dma).filter(is_other);
        let like = |group: &&OfferedGroup| self.group.is_some_and(|own| own.shape == group.shape);
        let same = others.clone().find(like);
        same.or_else(|| others.next())
    }

    /// The device that plays a role.
    pub fn device(&self, role: Role) -> Result<&'a OfferedDevice, String> {
        let group = self.group(role.which)?;
        let found = match role.member {
            Member::Whole => None,
            Member::HostDriver => group
                .devices
                .iter()
                .find(|device| device.host_driver.is_some()),
            Member::Bridge => group.bridge.as_ref(),
            Member::Index(index) if group.devices.iter().any(|d| d.engine.is_some()) => group
                .devices
                .iter()
                .filter(|device| device.engine.is_some())
                .nth(index),
            Member::Index(index) => group.devices.get(index),
        };
        found.ok_or_else(|| format!("device {role}: group {} has none", group.name))
    }

    /// PCI address of a function that the case creates.
    pub fn function(&self, function: &Function) -> Result<String, String> {
        let beside = &self.device(function.beside)?.name;
        let bus = beside.rsplit_once(':').map_or("", |(bus, _)| bus);
        Ok(format!("{bus}:{}", function.slot))
    }

    /// Replaces `{group}` by the group's number, `{group.0}` by a device's name, and
    /// `{group.0@10.0}` by that of a function on the device's bus.
    pub fn fill(&self, text: &str) -> Result<String, String> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, behind) = after
                .split_once('}')
                .ok_or_else(|| format!("`{{` without `}}` in {text}"))?;
            filled.push_str(before);
            filled.push_str(&self.fill_name(name, text)?);
            rest = behind;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    fn fill_name(&self, name: &str, text: &str) -> Result<String, String> {
        if let Some(function) = Function::named(name) {
            return self.function(&function);
        }
        let role = Role::named(name).ok_or_else(|| format!("unknown role `{name}` in {text}"))?;
        match role.member {
            Member::Whole => Ok(self.group(role.which)?.number()?.to_string()),
            _ => Ok(self.device(role)?.name.clone()),
        }
    }
}

fn of_shape(guest: &Guest, shape: Shape) -> Result<&OfferedGroup, String> {
    let found = guest.groups.iter().find(|group| group.shape == shape);
    found.ok_or_else(|| missing(guest, shape))
}

fn missing(guest: &Guest, shape: Shape) -> String {
    match guest.missing_groups.get(&shape.to_string()) {
        Some(why) => format!("a group of shape {shape}: {why}"),
        None => format!(
            "a group of shape {shape}: platform {} has none",
            guest.platform
        ),
    }
}

impl RoleBindings<'_> {
    /// The driver a device has between cases.
    pub fn default_driver_of(&self, name: &str) -> Option<String> {
        self.known(name)?.default_driver.clone()
    }

    /// The reset methods a device has between cases.
    pub fn default_resets_of(&self, name: &str) -> Option<&str> {
        self.known(name)?.default_resets.as_deref()
    }

    fn known(&self, name: &str) -> Option<&OfferedDevice> {
        let groups = self.guest.groups.iter();
        let mut devices = groups.flat_map(OfferedGroup::members);
        devices.find(|device| device.name == name)
    }

    /// The type of a group's default domain between cases.
    pub fn default_domain(&self, group: &OfferedGroup) -> Option<&str> {
        self.guest
            .default_domain
            .get(&group.number?)
            .map(String::as_str)
    }
}
