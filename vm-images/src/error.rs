//! Errors of obtaining an image.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

use crate::download_error::{BadAddress, DownloadError};
use crate::ready::ReadyError;

/// Why an image could not be obtained. Each message says what was tried, what happened and what to
/// do.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// An operation on a file failed.
    #[error("cannot {doing} {}: {source}; {hint}", path.display())]
    File {
        /// The verb: "read", "create", ...
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What to do.
        hint: &'static str,
        /// The error of the system.
        source: std::io::Error,
    },

    /// A file that the user gave cannot be read.
    #[error("cannot read the {what} {}: {source}; give one that exists and is readable", path.display())]
    Given {
        /// What it should be: "kernel image", ...
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },

    /// A program could not be started.
    #[error("cannot start `{program}`: {source}; if it is not installed, run scripts/bootstrap")]
    NotStarted {
        /// The program.
        program: String,
        /// The error of the system.
        source: std::io::Error,
    },

    /// Programs which the build needs are not installed.
    #[error(
        "a kernel build needs programs that are not in PATH: {}; scripts/bootstrap installs what \
         is missing, except for a compiler given with --cc or --llvm",
        programs.join(", ")
    )]
    ToolsMissing {
        /// Their names.
        programs: Vec<String>,
    },

    /// No version of the LLVM programs is complete.
    #[error(
        "a build by clang needs {} of one version, but no version has all of them in PATH; \
         install what is missing with `scripts/bootstrap --coverage`",
        programs.join(", ")
    )]
    NoLlvm {
        /// Their names.
        programs: &'static [&'static str],
    },

    /// A program ended with a failure.
    #[error("`{command}` ended with {status}:\n{tail}{hint}")]
    StepFailed {
        /// The program and its arguments.
        command: String,
        /// How it ended.
        status: String,
        /// The last lines it printed.
        tail: String,
        /// What to do.
        hint: String,
    },

    /// `make` could not configure the kernel or install its headers.
    #[error(
        "the kernel cannot be configured (`{command}`, {status}):\n{tail}if a program is missing, \
         scripts/bootstrap installs it; otherwise correct the tree"
    )]
    Kconfig {
        /// The command.
        command: String,
        /// How it ended.
        status: String,
        /// The last lines it printed.
        tail: String,
    },

    /// `make` failed.
    #[error(
        "the kernel build failed (`{command}`, {status}):\n{excerpt}the full log is {}; if a \
         program or a header is missing, scripts/bootstrap installs it, otherwise correct the \
         source and run again",
        log.display()
    )]
    BuildFailed {
        /// The command.
        command: String,
        /// How it ended.
        status: String,
        /// The first errors, or the last lines if none looks like an error.
        excerpt: String,
        /// The whole output.
        log: PathBuf,
    },

    /// A file that the flavour keeps was not made.
    #[error(
        "the kernel was built, but without {}, which its flavour keeps; add the target of make \
         that makes it to `targets:` of the flavour's file, or use a kernel that has it",
        file.display()
    )]
    NotMade {
        /// Path in the folder of the build.
        file: PathBuf,
    },

    /// tuxmake could not build the kernel.
    #[error(
        "tuxmake could not build the kernel in {} (failed: {}):\n{log}; correct the source and \
         build it again",
        path.display(), targets.join(", ")
    )]
    TuxmakeFailed {
        /// The folder.
        path: PathBuf,
        /// The targets that failed.
        targets: Vec<String>,
        /// The first errors of its log, and where that is.
        log: String,
    },

    /// apt's configuration has no archive for this machine's release.
    #[error(
        "no package archive found for the release `{codename}` in this machine's apt \
         configuration; add its main archive, or {instead}"
    )]
    NoArchive {
        /// The release's code name.
        codename: String,
        /// What to do without an archive.
        instead: &'static str,
    },

    /// No suite has the series.
    #[error(
        "no package with the source of Linux {} in the suites {}: {}; give one of these series \
         with --release, a release tarball with --source, a source tree with --linux, or a kernel \
         image with --kernel{}",
        wanted.as_deref().unwrap_or("(any series)"),
        suites.join(", "),
        if offered.is_empty() { "they have none".to_owned() }
        else { format!("they have {}", offered.join(", ")) },
        after(update)
    )]
    NoSeries {
        /// The series asked for.
        wanted: Option<String>,
        /// The suites that were searched.
        suites: Vec<String>,
        /// The series that they have.
        offered: Vec<String>,
        /// What went wrong when the package lists were fetched, or empty.
        update: String,
    },

    /// The package does not exist.
    #[error(
        "no package {name} in the suites {}; it is a package of Debian{}",
        suites.join(", "),
        after(update)
    )]
    NoPackage {
        /// Its name.
        name: String,
        /// The suites that were searched.
        suites: Vec<String>,
        /// What went wrong when the package lists were fetched, or empty.
        update: String,
    },

    /// The package has no source archive.
    #[error(
        "the package {package} has no linux-source archive in usr/src; give another series or a \
         kernel tree"
    )]
    NoArchiveInPackage {
        /// The package.
        package: String,
    },

    /// The series is one of Debian's packages, and the machine has no apt.
    #[error(
        "the source of Linux {wanted} is fetched with apt, which this machine does not have; give \
         a release tarball of kernel.org with --source FILE or URL, a source tree with --linux, or \
         a kernel image with --kernel"
    )]
    NoApt {
        /// The series asked for.
        wanted: String,
    },

    /// The tarball could not be fetched.
    #[error(transparent)]
    Download(#[from] DownloadError),

    /// An address that is not one.
    #[error(transparent)]
    BadAddress(#[from] BadAddress),

    /// The name of a tarball does not say what it holds.
    #[error(
        "the name of the tarball `{name}` does not say which Linux it holds; name it like \
         linux-7.3.4.tar.xz"
    )]
    NoSeriesInName {
        /// The name.
        name: String,
    },

    /// The name of a tarball says something else than its makefile.
    #[error("the tarball {name} holds Linux {found}; give it a name that says so")]
    OtherSeries {
        /// Its name.
        name: String,
        /// The series in its makefile.
        found: String,
    },

    /// The archive holds something else.
    #[error(
        "{} is not a tarball of Linux ({problem}); give one as kernel.org publishes it",
        path.display()
    )]
    NotATarball {
        /// The archive.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// A folder where a tarball was expected.
    #[error("{} is a folder, not a tarball; give a source tree with --linux", path.display())]
    FolderAsTarball {
        /// The folder.
        path: PathBuf,
    },

    /// A line of a fragment that is not an option.
    #[error(
        "{file}, line {line}: `{text}` is neither CONFIG_X=VALUE nor a comment nor a directive; \
         the head of vm-images/kernels/base.config describes the format"
    )]
    FragmentSyntax {
        /// The fragment.
        file: String,
        /// The line's number, from 1.
        line: usize,
        /// The line.
        text: String,
    },

    /// Options which `make olddefconfig` changed.
    #[error(
        "{} of the options in the fragments are not in the configuration of Linux {release}:\n\
         {}add the missing dependencies of an option to its fragment; for an option that this \
         series does not have, a line `# since SERIES` or `# until SERIES` before it",
        mismatches.len(), list(mismatches)
    )]
    ConfigNotApplied {
        /// The kernel.
        release: String,
        /// The options.
        mismatches: Vec<Mismatch>,
        /// Whether fragments of the user are among the fragments.
        with_user: bool,
    },

    /// There is no such flavour.
    #[error("no flavour `{name}`; there are {}", known.join(", "))]
    NoFlavour {
        /// The name given.
        name: String,
        /// All flavours.
        known: Vec<String>,
    },

    /// A flavour with patches and a source that is not a release.
    #[error(
        "the flavour `{flavour}` patches a release; apply vm-images/kernels/{flavour}/*.patch to this \
         source, and build it with the default flavour"
    )]
    PatchesOfRelease {
        /// The flavour.
        flavour: String,
    },

    /// The file of a flavour cannot be read.
    #[error("{}: {problem}; correct the file", path.display())]
    BadFlavour {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// A compiler for a flavour that has its own.
    #[error(
        "flavour {flavour} is always built by clang, which makes its counters; leave --cc and --llvm \
         out"
    )]
    CompilerOfFlavour {
        /// The flavour.
        flavour: String,
    },

    /// The folder is not a kernel tree.
    #[error(
        "{} is not a Linux source tree ({problem}); give the top folder of a kernel tree",
        path.display()
    )]
    NotATree {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// A kernel from before the code under test.
    #[error(
        "{what} (Linux {series}) has no iommufd; give a kernel with drivers/iommu/iommufd, which \
         Linux {} brought",
        crate::under_test::FIRST_SERIES
    )]
    NoIommufd {
        /// The tree or tarball.
        what: String,
        /// Its series.
        series: uapi::Series,
    },

    /// The tree was built in place, so kbuild refuses to build in another folder.
    #[error(
        "{path} has the results of a build in place ({found}), so kbuild refuses to build it in \
         another folder; save your .config if you need it and run `make -C {path} mrproper`, \
         or give a fresh `git worktree` of it",
        path = path.display()
    )]
    TreeBuiltInPlace {
        /// The tree.
        path: PathBuf,
        /// The file that shows it.
        found: &'static str,
    },

    /// A kernel that somebody else built cannot be used.
    #[error(transparent)]
    Ready(#[from] ReadyError),

    /// The file is not a kernel.
    #[error(
        "{} is not an x86 bzImage or vmlinux: {problem}; give the file that a build creates at {}, \
         or a distribution's vmlinuz",
        path.display(),
        crate::x86::BUILT_IMAGE
    )]
    NotBzImage {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// No modules.
    #[error(
        "{} has no kernel modules; give the folder or the tarball with the modules of this kernel \
         (lib/modules/RELEASE)",
        path.display()
    )]
    NoModules {
        /// The folder or tarball.
        path: PathBuf,
    },
}

/// Who has to act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blame {
    /// The kernel under test: it cannot be configured, built or booted.
    Kernel,
    /// The user: a file or an option that was given is wrong.
    Usage,
    /// The host: a program, disk space or a network is missing.
    Host,
}

impl ImageError {
    /// Returns who has to act.
    pub fn blame(&self) -> Blame {
        match self {
            Self::BuildFailed { .. }
            | Self::NotMade { .. }
            | Self::TuxmakeFailed { .. }
            | Self::Kconfig { .. } => Blame::Kernel,
            // The project's own options stick in every kernel of a series that has them, unless an
            // option of the user takes away what they depend on.
            Self::ConfigNotApplied { with_user, .. } => match with_user {
                true => Blame::Usage,
                false => Blame::Kernel,
            },
            Self::Ready(_)
            | Self::Given { .. }
            | Self::NoFlavour { .. }
            | Self::BadFlavour { .. }
            | Self::CompilerOfFlavour { .. }
            | Self::PatchesOfRelease { .. }
            | Self::FragmentSyntax { .. }
            | Self::NotATree { .. }
            | Self::NoIommufd { .. }
            | Self::TreeBuiltInPlace { .. }
            | Self::NotBzImage { .. }
            | Self::NoModules { .. }
            | Self::BadAddress(_)
            | Self::Download(DownloadError::NotFound { .. })
            | Self::NoSeriesInName { .. }
            | Self::OtherSeries { .. }
            | Self::NotATarball { .. }
            | Self::FolderAsTarball { .. } => Blame::Usage,
            Self::File { .. }
            | Self::NotStarted { .. }
            | Self::ToolsMissing { .. }
            | Self::NoLlvm { .. }
            | Self::StepFailed { .. }
            | Self::NoArchive { .. }
            | Self::NoSeries { .. }
            | Self::NoPackage { .. }
            | Self::NoApt { .. }
            | Self::Download(_)
            | Self::NoArchiveInPackage { .. } => Blame::Host,
        }
    }
}

/// An option that has another value than the fragments want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Name, with `CONFIG_`.
    pub name: String,
    /// The fragment with the option.
    pub file: String,
    /// Value in the fragment.
    pub wanted: String,
    /// Value in the configuration; `n` for unset.
    pub actual: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: wanted {}, is {} ({})",
            self.name, self.wanted, self.actual, self.file
        )
    }
}

/// One line per option.
fn list(mismatches: &[Mismatch]) -> String {
    mismatches.iter().fold(String::new(), |mut text, m| {
        let _ = writeln!(text, "  {m}");
        text
    })
}

/// Returns the failure to fetch the package lists, if there was one.
pub(crate) fn after(update: &str) -> String {
    if update.is_empty() {
        String::new()
    } else {
        format!("\nsome package lists could not be fetched:\n{update}")
    }
}
