//! Platforms: files that describe a QEMU machine.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use case::{At, Case, Compiled, Findings, Guest, Problem};
use serde::Deserialize;
use serde_yaml::Spanned;
use uapi::Series;

/// `vm-images/platforms/NAME.yaml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Platform {
    /// File name without its extension.
    #[serde(skip)]
    pub name: String,
    /// A description in one line.
    pub summary: String,
    /// QEMU machine type.
    pub machine: String,
    /// Options of the machine.
    #[serde(default)]
    pub machine_options: Options,
    /// The IOMMU.
    pub iommu: Iommu,
    /// Arguments that the kernel's command line needs for it.
    #[serde(default)]
    pub cmdline: Vec<String>,
    /// Name of a file in `vm-images/topologies`, without its extension.
    pub topology: String,
    /// Shapes of group that this platform cannot offer, with the reason.
    #[serde(default)]
    pub without: BTreeMap<String, String>,
    /// Known deviations of the platform.
    #[serde(default)]
    pub known: Vec<Known>,
    /// The topology, without groups that the platform cannot offer.
    #[serde(skip)]
    pub devices: Topology,
}

/// A known deviation of a platform, which does not depend on one case.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    pub deviation: KnownDeviation,
    /// Shapes of group that it affects; if empty, all.
    #[serde(default)]
    pub shapes: Vec<ShapeName>,
    /// The last series that has it; if absent, every kernel does.
    pub until: Option<SeriesName>,
    /// The finding that describes it.
    pub finding: Spanned<String>,
    /// Name and title of the finding.
    #[serde(skip)]
    pub reason: String,
}

/// Kinds of known deviation.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum KnownDeviation {
    /// DMA of an attached device is refused: a step that expects it to land is an XFAIL.
    DmaNeverLands,
    /// An identity default domain stays in force although the kernel replaces it. Cases that use it
    /// as a control are skipped.
    NoIdentityControl,
    /// Devices of the mock get no IOMMU: a step that makes one and fails with EINVAL is an XFAIL.
    MockDevicesUnbound,
}

/// Option names and values. A key may be several names joined by `|`: the first one that the QEMU
/// in use knows is taken.
pub type Options = BTreeMap<String, Scalar>;

/// Value of a QEMU option.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub enum Scalar {
    /// A number.
    Number(u64),
    /// Anything else.
    Text(String),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// The IOMMU device.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Iommu {
    /// QEMU device.
    pub device: String,
    /// Its options.
    #[serde(default)]
    pub options: Options,
    /// Options of the kernel without which no device has a group.
    pub config: Vec<String>,
}

/// `vm-images/topologies/NAME.yaml`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// Device models by name.
    pub models: BTreeMap<String, Model>,
    /// Shapes whose groups a guest may have instead of all groups.
    #[serde(default)]
    pub boards: Vec<Vec<ShapeName>>,
    /// IOMMU groups by name, as they should appear in the guest.
    pub groups: BTreeMap<String, GroupSpec>,
}

/// A device model: its QEMU options, and how the harness can use it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// QEMU device.
    pub device: String,
    /// Its options.
    pub options: Options,
    /// Options of the block device of QEMU that it needs, if it is a disk.
    pub blockdev: Option<String>,
    /// Options of the object of QEMU that it needs, such as the memory behind it.
    pub object: Option<String>,
    /// How it does DMA on demand, if it can.
    pub engine: Option<EngineName>,
    /// Signature that its DMA writes to memory.
    #[serde(default)]
    pub signature: String,
    /// The kernel driver that the host has for it.
    pub host_driver: Option<String>,
    /// The driver that it has between cases.
    pub default_driver: Option<String>,
    /// The reset methods that it has between cases, as sysfs takes them; none by default, because
    /// a function-level reset takes 100 ms at each open and close.
    pub resets: Option<String>,
}

/// Name of a DMA engine in a topology file.
#[derive(Debug, Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// [`wire::DmaEngine::Nvme`].
    Nvme,
}

/// One IOMMU group.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    /// Its shape, as cases name it.
    pub shape: ShapeName,
    /// Bridges on the way to its devices.
    #[serde(default)]
    pub bridges: Vec<DeviceSpec>,
    /// Its devices.
    #[serde(default)]
    pub devices: Vec<DeviceSpec>,
    /// A mediated device instead of PCI devices.
    pub mdev: Option<MdevSpec>,
    /// Options of the kernel without which there is no such group.
    #[serde(default)]
    pub config: Vec<String>,
}

/// Shape of a group in a topology file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShapeName(pub case::Shape);

impl<'de> Deserialize<'de> for ShapeName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        case::Shape::named(&name).map(Self).ok_or_else(|| {
            let known = case::Shape::ALL.map(|(name, _)| name).join(", ");
            serde::de::Error::custom(format!(
                "unknown group shape `{name}`; the shapes are \
                {known}"
            ))
        })
    }
}

/// A kernel series in a platform file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeriesName(pub Series);

impl<'de> Deserialize<'de> for SeriesName {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// A device and its location.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceSpec {
    /// Name of a model.
    pub model: String,
    /// PCI path below the root bus, such as `07.0/01.0`.
    pub at: String,
}

/// A mediated device.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MdevSpec {
    /// Parent device below `/sys/class/mdev_bus`.
    pub parent: String,
    /// Type, without the prefix that the kernel may derive from the parent.
    #[serde(rename = "type")]
    pub kind: String,
    /// UUID to create it with.
    pub uuid: String,
}

/// Why a platform could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PlatformError {
    /// There is no such file.
    #[error("unknown platform `{name}`; the platforms are {}", known.join(", "))]
    Unknown {
        /// The given name.
        name: String,
        /// The known platforms.
        known: Vec<String>,
    },
    /// A file cannot be read.
    #[error("reading {path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    /// A file is malformed.
    #[error("{path}: {error}")]
    Malformed {
        path: PathBuf,
        /// The error with its line.
        error: Box<serde_yaml::Error>,
    },
    /// The pages of findings cannot be read.
    #[error(transparent)]
    Findings(#[from] case::CorpusError),
    /// A known deviation names a finding that does not exist.
    #[error("{path}:{line}:{column}: {problem}{}", help(problem))]
    UnknownFinding {
        /// The platform.
        path: PathBuf,
        /// Location of the name.
        line: u64,
        /// Location of the name.
        column: u64,
        problem: Box<Problem>,
    },
    /// A device names a model that its topology does not have.
    #[error("group {group} names the model `{model}`, but the topology does not define it")]
    NoModel {
        /// The group.
        group: String,
        /// The model.
        model: String,
    },
}

impl Platform {
    /// Reads a platform and its topology below `vm_images`.
    pub fn load(vm_images: &Path, name: &str) -> Result<Self, PlatformError> {
        let path = vm_images.join("platforms").join(format!("{name}.yaml"));
        if !path.exists() {
            let known = names(vm_images);
            return Err(PlatformError::Unknown {
                name: name.to_owned(),
                known,
            });
        }
        let mut platform: Self = read(&path)?;
        name.clone_into(&mut platform.name);
        platform.find_findings(&path)?;
        let topologies = vm_images.join("topologies");
        let mut devices: Topology = read(&topologies.join(format!("{}.yaml", platform.topology)))?;
        devices.check_models()?;
        devices
            .groups
            .retain(|_, group| !platform.without.contains_key(&group.shape.0.to_string()));
        platform.devices = devices;
        Ok(platform)
    }
}

fn help(problem: &Problem) -> String {
    let help = problem.help.as_ref();
    help.map(|help| format!("; {help}")).unwrap_or_default()
}

impl Platform {
    /// Sets the reason of each known deviation to the title of its finding.
    fn find_findings(&mut self, path: &Path) -> Result<(), PlatformError> {
        if self.known.is_empty() {
            return Ok(());
        }
        let findings = Findings::load(&crate::root::findings(), false)?;
        for known in &mut self.known {
            let name = &known.finding.value;
            let finding = findings.named(At::default(), name).map_err(|problem| {
                let place = known.finding.referenced;
                PlatformError::UnknownFinding {
                    path: path.to_owned(),
                    line: place.line(),
                    column: place.column(),
                    problem: Box::new(problem),
                }
            })?;
            known.reason = format!("{name}: {}", finding.title);
        }
        Ok(())
    }

    /// Returns the platform with the deviations that a kernel of this series has. One of an unknown
    /// series has none that ended.
    pub fn of_series(mut self, series: Option<Series>) -> Self {
        self.known.retain(|known| match known.until {
            Some(SeriesName(until)) => series.is_some_and(|series| series <= until),
            None => true,
        });
        self
    }

    /// Returns the platform with the groups of these shapes only.
    pub fn of_board(&self, shapes: &[ShapeName]) -> Self {
        let mut platform = self.clone();
        let groups = &mut platform.devices.groups;
        groups.retain(|_, group| shapes.contains(&group.shape));
        platform
    }

    /// Returns the reason of a known deviation on groups of a shape, if there is one.
    pub fn known(&self, deviation: KnownDeviation, shape: Option<case::Shape>) -> Option<&str> {
        self.deviation(deviation, shape)
            .map(|known| known.reason.as_str())
    }

    /// Compiles a case for a guest of this platform, booted or imagined. The error is the unmet
    /// need.
    pub fn compile(&self, case: &Case, guest: &Guest) -> Result<Compiled, String> {
        let identity = KnownDeviation::NoIdentityControl;
        match self.known(identity, case.shape) {
            Some(why) if case.uses_identity() => Err(format!(
                "an identity default domain that can be replaced: {why}"
            )),
            _ => case.compile(guest),
        }
    }

    /// Returns a known deviation on groups of a shape, if there is one.
    pub fn deviation(
        &self,
        deviation: KnownDeviation,
        shape: Option<case::Shape>,
    ) -> Option<&Known> {
        let applies = |known: &&Known| {
            let shapes = &known.shapes;
            known.deviation == deviation
                && (shapes.is_empty() || shapes.iter().any(|name| Some(name.0) == shape))
        };
        self.known.iter().find(applies)
    }
}

impl Topology {
    fn check_models(&self) -> Result<(), PlatformError> {
        for (group, spec) in &self.groups {
            for device in spec.bridges.iter().chain(&spec.devices) {
                if !self.models.contains_key(&device.model) {
                    let (group, model) = (group.clone(), device.model.clone());
                    return Err(PlatformError::NoModel { group, model });
                }
            }
        }
        Ok(())
    }
}

/// Names of all platforms.
pub fn names(vm_images: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(vm_images.join("platforms"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned()))
        .collect();
    names.sort();
    names
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, PlatformError> {
    let text = fs::read_to_string(path).map_err(|error| PlatformError::Io {
        path: path.to_owned(),
        error,
    })?;
    serde_yaml::from_str(&text).map_err(|error| PlatformError::Malformed {
        path: path.to_owned(),
        error: Box::new(error),
    })
}
