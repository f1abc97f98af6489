//! Options of the machine, shared by every command that boots guests.

use std::path::PathBuf;

use case::Case;
use clap::{
    Args,
    builder::{PossibleValuesParser, RangedU64ValueParser},
};
use vm_images::{
    Build, COVERAGE, Compiler, DEFAULT, Flavour, Given, ImageError, Origin, ReadyError, Series,
    Source, TarballPlace, Traits,
};

pub use crate::root::{root, vm_images_folder};
use crate::{accel::AccelChoice, counters::KeepCounters, platform, snapshot::REFERENCE_PLATFORM};

/// The kernel and QEMU of guests, on any platform.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Machine")]
pub struct GuestOptions {
    /// Kernel series whose source the distribution packages, such as 6.12. Default: the newest, or
    /// the tarball of the reference release from kernel.org where the packages have none of it.
    #[arg(long, value_name = "SERIES", group = "image")]
    pub release: Option<Series>,

    /// Release tarball of the kernel to build, such as linux-7.3.4.tar.xz. An address is fetched
    /// once, and checked by the list of checksums beside it or by URL#sha256=HEX.
    #[arg(long = "source", value_name = "FILE|URL", group = "image")]
    pub tarball: Option<TarballPlace>,

    /// Kernel source tree to build. The tree is not changed.
    #[arg(long, value_name = "TREE", group = "image")]
    pub linux: Option<PathBuf>,

    /// Boot this kernel: bzImage, vmlinuz, or vmlinux with CONFIG_PVH.
    #[arg(long, value_name = "FILE", groups = ["image", "ready"])]
    pub kernel: Option<PathBuf>,

    /// Boot the kernel in the folder of a finished build (`make O=DIR`, or in place). Nothing is
    /// built.
    #[arg(long, value_name = "DIR", groups = ["image", "ready"])]
    pub kbuild: Option<PathBuf>,

    /// Boot the kernel in the folder that tuxmake left.
    #[arg(long, value_name = "DIR", groups = ["image", "ready"])]
    pub tuxmake: Option<PathBuf>,

    /// Boot the kernel in this package of a distribution (.deb or .rpm). May be repeated, where a
    /// kernel is spread over several packages.
    #[arg(long = "package", value_name = "FILE", groups = ["image", "ready"])]
    pub packages: Vec<PathBuf>,

    /// Modules of a ready kernel: a folder, a tarball or a package. Default: those that come with it.
    #[arg(long, value_name = "PATH", requires = "ready")]
    pub modules: Option<PathBuf>,

    /// Configuration of a ready kernel. Default: the one in the kernel, beside it, with its
    /// modules, or in /boot.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// What the kernel is built with and its guests need: a file in vm-images/kernels.
    #[arg(long, value_name = "FLAVOUR", default_value = DEFAULT, value_parser = flavour_name())]
    pub flavour: String,

    /// Fragment of kernel configuration to merge on top of the flavour's. May be repeated.
    #[arg(long = "fragment", value_name = "FILE", conflicts_with = "ready")]
    pub fragments: Vec<PathBuf>,

    /// Build the kernel by clang and the LLVM tools, as `make LLVM=VALUE`: `1`, a suffix such as
    /// `-19`, or a folder that ends in a slash. Without a value, the newest version in PATH.
    #[arg(
        long,
        value_name = "VALUE",
        num_args = 0..=1,
        require_equals = true,
        value_parser = llvm_value,
        conflicts_with_all = ["cc", "ready"]
    )]
    pub llvm: Option<Option<String>>,

    /// Build the kernel by this compiler and the GNU tools, as `make CC=PROGRAM`.
    #[arg(long, value_name = "PROGRAM", conflicts_with = "ready")]
    pub cc: Option<String>,

    /// Arguments to add to the kernel's command line.
    #[arg(
        long,
        value_name = "ARGS",
        default_value = "",
        allow_hyphen_values = true
    )]
    pub append: String,

    /// QEMU binary. Default: the machine's, or a newer one of the distribution, unpacked into the
    /// cache, if the platform needs what the machine's lacks.
    #[arg(long, value_name = "PATH")]
    pub qemu: Option<PathBuf>,
}

/// A platform, its guests, and the folder for the record of the run.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Machine")]
pub struct MachineOptions {
    /// Platform to run on: the name of a file in vm-images/platforms.
    #[arg(long, default_value = REFERENCE_PLATFORM, value_parser = platform_name())]
    pub platform: String,

    /// Number of guests at a time. Default: the number of processors of this machine.
    #[arg(long, short, value_parser = RangedU64ValueParser::<usize>::new().range(1..=1024))]
    pub jobs: Option<usize>,

    /// Processors of each guest. The threads of a case run in parallel only with two or more.
    /// Default: 1, or what the flavour says; 2 for cases with `together` and for random walks.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=16))]
    pub processors: Option<u32>,

    /// The kernel and QEMU.
    #[command(flatten)]
    pub guest: GuestOptions,

    /// Complaints of the kernel to allow: a list of `text`, `reason` and `until` (a date, after which
    /// they are judged again). May be needed for a bug that a merge will mend.
    #[arg(long, value_name = "FILE")]
    pub splat_allow: Option<PathBuf>,

    /// Accelerator of the guests. The result of a failed KVM trial is stored for a day; `kvm` tries
    /// again.
    #[arg(long, value_enum, default_value_t)]
    pub accel: AccelChoice,

    /// Folder for the record of the run. Default: results/runs/TIME.
    #[arg(long, value_name = "DIR")]
    pub record: Option<PathBuf>,

    /// Whether the kernel has gcov counters, and where they are stored.
    #[arg(skip)]
    pub counters: KeepCounters,

    /// The number of earlier runs, if a run is repeated. Steps that race are delayed otherwise each
    /// time.
    #[arg(skip)]
    pub turn: u64,
}

/// Processors of a guest in which the threads of a case run in parallel.
const TO_RACE: u32 = 2;

/// How many processors guests have. Most cases need one, and guests boot faster with one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processors {
    /// Of a guest for a case without races.
    pub usual: u32,
    /// Of a guest for a case that executes steps at once.
    races: u32,
}

impl Processors {
    /// The same number for every case.
    pub fn always(count: u32) -> Self {
        Self {
            usual: count,
            races: count,
        }
    }

    /// Returns how many a case gets.
    pub fn of(self, case: &Case) -> u32 {
        match case.races() {
            true => self.races,
            false => self.usual,
        }
    }
}

impl Default for GuestOptions {
    fn default() -> Self {
        Self {
            release: None,
            tarball: None,
            linux: None,
            kernel: None,
            kbuild: None,
            tuxmake: None,
            packages: Vec::new(),
            modules: None,
            config: None,
            flavour: DEFAULT.to_owned(),
            fragments: Vec::new(),
            llvm: None,
            cc: None,
            append: String::new(),
            qemu: None,
        }
    }
}

impl Default for MachineOptions {
    fn default() -> Self {
        Self {
            platform: REFERENCE_PLATFORM.to_owned(),
            jobs: None,
            processors: None,
            splat_allow: None,
            guest: GuestOptions::default(),
            accel: AccelChoice::Auto,
            record: None,
            counters: KeepCounters::No,
            turn: 0,
        }
    }
}

impl GuestOptions {
    /// Returns where to obtain the kernel.
    pub fn source(&self) -> Source {
        match (&self.linux, self.origin(), &self.tarball) {
            (Some(tree), _, _) => Source::Tree(tree.clone()),
            (_, Some(origin), _) => Source::Ready(Given {
                origin,
                modules: self.modules.clone(),
                config: self.config.clone(),
            }),
            (_, _, Some(place)) => Source::Tarball(place.clone()),
            (None, None, None) => Source::Release(self.release),
        }
    }

    /// Returns what has the kernel, if somebody else built it.
    fn origin(&self) -> Option<Origin> {
        let file = self.kernel.clone().map(Origin::File);
        let kbuild = self.kbuild.clone().map(Origin::Kbuild);
        let tuxmake = self.tuxmake.clone().map(Origin::Tuxmake);
        let packages = Some(self.packages.clone()).filter(|all| !all.is_empty());
        file.or(kbuild)
            .or(tuxmake)
            .or(packages.map(Origin::Packages))
    }

    /// Whether somebody else built the kernel.
    pub fn is_ready(&self) -> bool {
        matches!(self.source(), Source::Ready(_))
    }

    /// Returns how the kernel is built.
    pub fn build(&self) -> Result<Build, ImageError> {
        self.build_of(self.load(&self.flavour)?)
    }

    /// Returns the same with gcov counters.
    fn counted_build(&self) -> Result<Build, ImageError> {
        let coverage = self.load(COVERAGE)?;
        self.build_of(match self.flavour.as_str() {
            DEFAULT | COVERAGE => coverage,
            other => self.load(other)?.counted(coverage),
        })
    }

    fn load(&self, flavour: &str) -> Result<Flavour, ImageError> {
        Flavour::load(&vm_images_folder(), flavour)
    }

    fn build_of(&self, flavour: Flavour) -> Result<Build, ImageError> {
        if self.config.is_some() && !self.is_ready() {
            return Err(ReadyError::ConfigOfWhat.into());
        }
        let compiler = match (&self.llvm, &self.cc) {
            (Some(value), _) => Compiler::Llvm(value.clone()),
            (None, Some(program)) => Compiler::Cc(program.clone()),
            (None, None) => Compiler::Gcc,
        };
        Build::new(flavour, &self.fragments, compiler)
    }
}

/// Returns how the kernel is built unless an option says otherwise.
pub fn default_build() -> Result<Build, ImageError> {
    GuestOptions::default().build()
}

impl MachineOptions {
    /// Returns how the kernel is built. If its counters are stored, the default flavour is the one
    /// that has them, and any other gets them.
    pub fn build(&self) -> Result<Build, ImageError> {
        match self.counters {
            KeepCounters::InRecord | KeepCounters::In(_) => self.guest.counted_build(),
            _ => self.guest.build(),
        }
    }

    /// Returns the numbers of processors of guests with a kernel of this flavour.
    pub fn processors(&self, flavour: &Traits) -> Processors {
        match self.processors {
            Some(count) => Processors::always(count),
            None => Processors {
                usual: flavour.processors,
                races: flavour.processors.max(TO_RACE),
            },
        }
    }

    /// Returns the number of guests at a time.
    pub fn jobs(&self) -> usize {
        let processors = || std::thread::available_parallelism().map_or(1, Into::into);
        self.jobs.unwrap_or_else(processors)
    }
}

/// Parses the name of a platform. Every command rejects an unknown name, even one that boots no
/// guest, such as `--list`.
pub fn platform_name() -> PossibleValuesParser {
    PossibleValuesParser::new(platform::names(&vm_images_folder()))
}

/// Parses a value of make's variable `LLVM`. kbuild would take any other one for 1.
fn llvm_value(text: &str) -> Result<String, String> {
    let suffix = text.strip_prefix('-').is_some_and(|it| !it.is_empty());
    match text == "1" || suffix || text.ends_with('/') {
        true => Ok(text.to_owned()),
        false => Err("give 1, a suffix such as -19, or a folder that ends in a slash".to_owned()),
    }
}

/// Parses the name of a flavour.
fn flavour_name() -> PossibleValuesParser {
    PossibleValuesParser::new(Flavour::names(&vm_images_folder()))
}

/// The folder with the cases.
pub fn cases_folder() -> PathBuf {
    root().join("cases")
}
