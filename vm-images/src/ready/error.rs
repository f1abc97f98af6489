//! What can be wrong with a kernel that somebody else built.

use std::path::PathBuf;

/// Why a ready kernel cannot be used. All of them are for the user to correct.
#[derive(Debug, thiserror::Error)]
pub enum ReadyError {
    /// The image is cut off or damaged.
    #[error("{} is damaged: {problem}; copy or build it again", path.display())]
    Damaged {
        /// The image.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// An ELF file that cannot be booted.
    #[error("{} cannot be booted: {problem}", path.display())]
    BadElf {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: &'static str,
    },

    /// Not a configuration of a kernel.
    #[error("{} is not the configuration of an x86 kernel: {problem}; give its whole .config", path.display())]
    NotAConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },

    /// A configuration of another kernel.
    #[error(
        "{} is the configuration of Linux {version}, but the kernel is {release}; give the one \
         that this kernel was built with",
        path.display()
    )]
    OtherConfig {
        /// The file.
        path: PathBuf,
        /// The version in its head.
        version: String,
        /// The release of the kernel.
        release: String,
    },

    /// A configuration of another build.
    #[error(
        "{} is not the configuration of this kernel, which has its own in it: they differ in \
         {differing}; leave --config out, or give the kernel that it is of",
        path.display()
    )]
    NotTheKernelsConfig {
        /// The file.
        path: PathBuf,
        /// The options that differ.
        differing: String,
    },

    /// Modules of another kernel.
    #[error(
        "the modules in {} are of Linux {found}, but the kernel is {release}; give the modules of \
         this kernel",
        path.display()
    )]
    OtherModules {
        /// The folder, tarball or module.
        path: PathBuf,
        /// The release of the modules.
        found: String,
        /// The release of the kernel.
        release: String,
    },

    /// A module that cannot be unpacked.
    #[error("the kernel module {} is damaged: {source}; unpack or install it again", path.display())]
    DamagedModule {
        /// The module.
        path: PathBuf,
        /// What the decompressor says.
        source: std::io::Error,
    },

    /// A tarball or package that cannot be read to its end.
    #[error("{} cannot be unpacked: {problem}; give {wanted}", path.display())]
    BadArchive {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// What should be given.
        wanted: &'static str,
    },

    /// A folder without a kernel.
    #[error("{} has no kernel image; {hint}", path.display())]
    NoImage {
        /// The folder.
        path: PathBuf,
        /// Where one was looked for, and what to do.
        hint: &'static str,
    },

    /// The packages have no kernel, or several.
    #[error(
        "the packages have {}; give all packages of one kernel. It may be spread over several, such \
         as linux-image, linux-binary, linux-modules and linux-base of Debian, or kernel-core, \
         kernel-modules-core and kernel-modules of Fedora",
        match found.as_slice() {
            [] => "no kernel".to_owned(),
            all => format!("several kernels: {}", all.join(", ")),
        }
    )]
    KernelsInPackages {
        /// The kernels.
        found: Vec<String>,
    },

    /// A configuration without the kernel that it is of.
    #[error(
        "--config is for a kernel that is built already; give that with --kernel, --kbuild, \
         --tuxmake or --package. For a kernel that is built here, --fragment changes the \
         configuration"
    )]
    ConfigOfWhat,

    /// The agent cannot run in a guest with this configuration.
    #[error(
        "this kernel cannot run the suite's agent: {} ({place}); \
         `run-conformance --print-config-fragment` prints what the suite needs",
        missing.join("; ")
    )]
    AgentNeeds {
        /// Each option, and what for.
        missing: Vec<String>,
        /// Where the configuration comes from.
        place: String,
    },
}
