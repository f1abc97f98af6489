//! Errors of obtaining an image.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

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
        "a kernel build needs {}, which are not in PATH; install what is missing with \
         scripts/bootstrap",
        programs.join(", ")
    )]
    ToolsMissing {
        /// Their names.
        programs: Vec<String>,
    },

    /// No version of the LLVM programs is complete.
    #[error(
        "a coverage kernel needs {} of one version, but no version has all of them in PATH; \
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

    /// apt's configuration has no archive for this machine's release.
    #[error(
        "no package archive found for the release `{codename}` in this machine's apt \
         configuration; add its main archive, or give a kernel tree or a ready image instead"
    )]
    NoArchive {
        /// The release's code name.
        codename: String,
    },

    /// No suite has the series.
    #[error(
        "no package with the source of Linux {} in the suites {}: {}; give one of these series \
         with --release, a source tree with --linux, or a kernel image with --kernel{}",
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

    /// Not a kernel series.
    #[error(transparent)]
    BadSeries(#[from] uapi::BadSeries),

    /// The package has no source archive.
    #[error(
        "the package {package} has no linux-source archive in usr/src; give another series or a \
         kernel tree"
    )]
    NoArchiveInPackage {
        /// The package.
        package: String,
    },

    /// A line of a fragment that is not an option.
    #[error(
        "{file}, line {line}: `{text}` is neither CONFIG_X=VALUE nor a comment nor a directive; \
         the head of the file describes the format"
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
        "{} of the options that the cases need are not in the configuration of Linux \
         {release}:\n{}add a `# since` or `# until` line in vm-images/kernels to an option that this \
         series does not have; otherwise add the missing dependency of the option",
        mismatches.len(), list(mismatches)
    )]
    ConfigNotApplied {
        /// The kernel.
        release: String,
        /// The options.
        mismatches: Vec<Mismatch>,
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

    /// The file is not a bzImage.
    #[error(
        "{} is not an x86 bzImage: {problem}; give the file that a build creates at {}",
        path.display(),
        crate::x86::BUILT_IMAGE
    )]
    NotBzImage {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// The folder is not a folder of modules.
    #[error(
        "{} is not a folder of kernel modules; give the folder with the modules of this kernel \
         (lib/modules/RELEASE)",
        path.display()
    )]
    NoModules {
        /// The folder.
        path: PathBuf,
    },
}

/// An option that has another value than the fragments want.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Name, with `CONFIG_`.
    pub name: String,
    /// Value in the fragment.
    pub wanted: String,
    /// Value in the configuration; `n` for unset.
    pub actual: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: wanted {}, is {}",
            self.name, self.wanted, self.actual
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
fn after(update: &str) -> String {
    if update.is_empty() {
        String::new()
    } else {
        format!("\nsome package lists could not be fetched:\n{update}")
    }
}
