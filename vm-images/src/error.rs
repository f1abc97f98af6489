//! Everything that can go wrong on the way to an image.

use std::fmt::{self, Write as _};
use std::path::PathBuf;

/// Why there is no image. Each message says what was tried, what happened and what to do.
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
        /// What the system said.
        source: std::io::Error,
    },

    /// A program could not be started.
    #[error(
        "cannot start `{program}`: {source}; if it is not installed, scripts/bootstrap installs \
         what is missing"
    )]
    NotStarted {
        /// The program.
        program: String,
        /// What the system said.
        source: std::io::Error,
    },

    /// Programs which the build needs are not installed.
    #[error(
        "a kernel build needs {}, not found in PATH; scripts/bootstrap installs what is missing",
        programs.join(", ")
    )]
    ToolsMissing {
        /// Their names.
        programs: Vec<String>,
    },

    /// No version of the LLVM programs is complete.
    #[error(
        "a coverage kernel needs {} of one version, and no version has all of them in PATH; \
         `scripts/bootstrap --coverage` installs what is missing",
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
        /// The first errors, or the last lines where there is no error line.
        excerpt: String,
        /// The whole output.
        log: PathBuf,
    },

    /// apt is configured with no archive for this machine's release.
    #[error(
        "no package archive found for the release `{codename}` in this machine's apt \
         configuration; add its main archive, or give a kernel tree or a ready image instead"
    )]
    NoArchive {
        /// The release's code name.
        codename: String,
    },

    /// The series is offered by no suite.
    #[error(
        "no package with the source of Linux {} in the suites {}: {}; ask for a series that is \
         offered, or give a kernel tree or a ready image instead{}",
        wanted.as_deref().unwrap_or("(any series)"),
        suites.join(", "),
        if offered.is_empty() { "they offer none".to_owned() }
        else { format!("they offer {}", offered.join(", ")) },
        after(update)
    )]
    NoSeries {
        /// The series asked for.
        wanted: Option<String>,
        /// Where it was looked for.
        suites: Vec<String>,
        /// What there is.
        offered: Vec<String>,
        /// What went wrong when the package lists were fetched, or empty.
        update: String,
    },

    /// No such package.
    #[error(
        "no package {name} in the suites {}; it is Debian's{}",
        suites.join(", "),
        after(update)
    )]
    NoPackage {
        /// Its name.
        name: String,
        /// Where it was looked for.
        suites: Vec<String>,
        /// What went wrong when the package lists were fetched, or empty.
        update: String,
    },

    /// Not a kernel series.
    #[error(transparent)]
    BadSeries(#[from] uapi::BadSeries),

    /// The package holds no source archive.
    #[error(
        "the package {package} holds no linux-source archive under usr/src; give another series \
         or a kernel tree"
    )]
    NoArchiveInPackage {
        /// The package.
        package: String,
    },

    /// A line of a fragment which is no option.
    #[error(
        "{file}, line {line}: `{text}` is neither CONFIG_X=VALUE nor a comment nor a directive; \
         the head of the file says what may stand there"
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
        "{} of the options that the cases need did not stick in the configuration of Linux \
         {release}:\n{}an option that this series does not have wants a `# since` or `# until` \
         line in vm-images/kernels, one that lost a dependency wants the dependency",
        mismatches.len(), list(mismatches)
    )]
    ConfigNotApplied {
        /// The kernel.
        release: String,
        /// The options.
        mismatches: Vec<Mismatch>,
    },

    /// The folder is no kernel tree.
    #[error(
        "{} is no Linux source tree ({problem}); give the top folder of a kernel tree",
        path.display()
    )]
    NotATree {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// The tree was built in place; kbuild then refuses to build elsewhere.
    #[error(
        "{path} holds the results of a build in place ({found}), so it cannot be built in a \
         folder of its own; save your .config if you need it and run `make -C {path} mrproper`, \
         or give a fresh `git worktree` of it",
        path = path.display()
    )]
    TreeBuiltInPlace {
        /// The tree.
        path: PathBuf,
        /// The file which shows it.
        found: &'static str,
    },

    /// The file is no bzImage.
    #[error(
        "{} is no x86 bzImage: {problem}; give the file that a build leaves in {}",
        path.display(),
        crate::x86::BUILT_IMAGE
    )]
    NotBzImage {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },

    /// The folder of modules is none.
    #[error(
        "{} is no folder of kernel modules; give the folder that holds the modules of this \
         kernel (lib/modules/RELEASE)",
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
    /// What the fragment says.
    pub wanted: String,
    /// What the configuration says; `n` for unset.
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

/// The trouble with the package lists, if there was any.
fn after(update: &str) -> String {
    if update.is_empty() {
        String::new()
    } else {
        format!("\nthe package lists could not all be fetched:\n{update}")
    }
}
