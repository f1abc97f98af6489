//! Chooses the QEMU of a run: the one given, the machine's, or a newer one of the distribution.
//! What a binary offers decides, never its version.

use std::{
    fmt::{self, Display, Write as _},
    path::{Path, PathBuf},
};

use vm_images::{
    ImageError, Progress, QemuSuite, cached_qemus,
    x86::{QEMU, QEMU_ELSEWHERE},
};

use crate::{
    platform::Platform,
    qemu::{Qemu, QemuError},
};

/// Where a QEMU is looked for.
pub trait Supply {
    /// A suite of packages.
    type Suite: Display;
    /// The programs that the machine may have, in order.
    fn installed(&self) -> Vec<PathBuf>;
    /// The programs that earlier runs fetched, in order.
    fn cached(&self) -> Vec<PathBuf>;
    /// The suites to fetch one from, in order.
    fn suites(&self) -> Result<Vec<Self::Suite>, ImageError>;
    /// Fetches the program of a suite, or nothing if its package is one of those tried before, whose
    /// lines of `--version` these are.
    fn fetch(
        &self,
        suite: &Self::Suite,
        tried: &[&str],
        progress: &dyn Progress,
    ) -> Result<Option<PathBuf>, ImageError>;
}

/// The machine and its distribution.
#[derive(Debug, Clone, Copy)]
pub struct Distribution;

impl Supply for Distribution {
    type Suite = QemuSuite;

    fn installed(&self) -> Vec<PathBuf> {
        vec![QEMU.into(), QEMU_ELSEWHERE.into()]
    }

    fn cached(&self) -> Vec<PathBuf> {
        cached_qemus()
    }

    fn suites(&self) -> Result<Vec<QemuSuite>, ImageError> {
        QemuSuite::all()
    }

    fn fetch(
        &self,
        suite: &QemuSuite,
        tried: &[&str],
        progress: &dyn Progress,
    ) -> Result<Option<PathBuf>, ImageError> {
        suite.fetch(tried, progress)
    }
}

/// What is on the machine already. Nothing is fetched.
#[derive(Debug, Clone, Copy)]
pub struct AtHand;

impl Supply for AtHand {
    type Suite = QemuSuite;

    fn installed(&self) -> Vec<PathBuf> {
        Distribution.installed()
    }

    fn cached(&self) -> Vec<PathBuf> {
        Distribution.cached()
    }

    fn suites(&self) -> Result<Vec<QemuSuite>, ImageError> {
        Ok(Vec::new())
    }

    fn fetch(
        &self,
        suite: &QemuSuite,
        tried: &[&str],
        progress: &dyn Progress,
    ) -> Result<Option<PathBuf>, ImageError> {
        Distribution.fetch(suite, tried, progress)
    }
}

/// Why no QEMU could be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "no QEMU at hand has what {} {} needs:\n{}give one with --qemu PATH, or choose another platform",
    if platforms.len() == 1 { "platform" } else { "each of the platforms" },
    platforms.join(", "),
    lines(tried)
)]
pub struct NoQemu {
    /// The platforms.
    pub platforms: Vec<String>,
    /// What was tried, in order.
    pub tried: Vec<Tried>,
}

/// A QEMU that could not be used.
#[derive(Debug, thiserror::Error)]
pub enum Tried {
    /// The machine has none.
    #[error("{}: not installed; ./scripts/bootstrap installs it", program.display())]
    NotInstalled { program: PathBuf },
    /// The program does not work.
    #[error(transparent)]
    Broken(QemuError),
    /// It lacks something.
    #[error("{version} has no {what}, which platform {platform} needs")]
    Lacks {
        /// The binary.
        version: String,
        /// A device, or an option of one.
        what: String,
        /// The platform.
        platform: String,
    },
    /// The suite's could not be fetched.
    #[error("fetching one from {suite}: {error}")]
    NotFetched { suite: String, error: ImageError },
    /// The suite's is one that was tried.
    #[error("{suite} has the same package")]
    Same { suite: String },
    /// The machine has no apt.
    #[error(
        "a newer one is fetched from packages of Debian or Ubuntu by apt, which this machine does \
         not have"
    )]
    NoApt,
    /// The machine has no archive of packages that is known here.
    #[error("fetching one: {0}")]
    NoSuites(ImageError),
    /// Nothing may be fetched.
    #[error("none was fetched before that has it; a run tries to fetch one")]
    NotAllowed,
}

fn lines(tried: &[Tried]) -> String {
    tried.iter().fold(String::new(), |mut text, it| {
        let line = it.to_string();
        let _ = writeln!(text, "  {}", line.trim_end().replace('\n', "\n    "));
        text
    })
}

/// Returns a QEMU that has all of these platforms. One that is given is used or an error; otherwise
/// the first that fits of the machine's, those fetched before, and those of the distribution's newer
/// suites.
pub fn choose<S: Supply>(
    given: Option<&Path>,
    platforms: &[Platform],
    supply: &S,
    progress: &dyn Progress,
) -> Result<Qemu, QemuError> {
    if let Some(path) = given {
        let qemu = Qemu::open(path)?;
        return match missing(&qemu, platforms) {
            None => Ok(qemu),
            Some((what, platform)) => Err(qemu.lacks(what, platform)),
        };
    }
    let mut search = Search {
        platforms,
        progress,
        tried: Vec::new(),
    };
    search.run(supply).ok_or_else(|| {
        let tried = search.tried;
        let platforms = platforms.iter().map(|it| it.name.clone()).collect();
        NoQemu { platforms, tried }.into()
    })
}

/// Returns what a binary lacks, and the platform that needs it.
fn missing<'a>(qemu: &Qemu, platforms: &'a [Platform]) -> Option<(String, &'a Platform)> {
    let mut each = platforms.iter();
    each.find_map(|platform| Some((qemu.missing(platform)?, platform)))
}

/// A search, with what it has tried.
struct Search<'a> {
    platforms: &'a [Platform],
    progress: &'a dyn Progress,
    tried: Vec<Tried>,
}

impl Search<'_> {
    fn run<S: Supply>(&mut self, supply: &S) -> Option<Qemu> {
        if let Some(qemu) = self.installed(&supply.installed()) {
            return Some(qemu);
        }
        let why = self.why();
        for program in supply.cached() {
            if let Some(qemu) = self.open(&program) {
                let told = format!("{why}; using the one in {}", folder(&program));
                self.progress.line(&told);
                return Some(qemu);
            }
        }
        self.fetched(supply, &why)
    }

    /// Returns the machine's own. A place without a program counts only if all are like that.
    fn installed(&mut self, programs: &[PathBuf]) -> Option<Qemu> {
        let found = programs.iter().find_map(|program| self.open(program));
        let absent = |it: &Tried| matches!(it, Tried::NotInstalled { .. });
        if self.tried.iter().all(absent) {
            self.tried.truncate(1);
        } else {
            self.tried.retain(|it| !absent(it));
        }
        found
    }

    fn fetched<S: Supply>(&mut self, supply: &S, why: &str) -> Option<Qemu> {
        let suites = match supply.suites() {
            Ok(suites) if suites.is_empty() => {
                self.tried.push(Tried::NotAllowed);
                return None;
            }
            Ok(suites) => suites,
            Err(error) => {
                self.tried.push(match error {
                    ImageError::NotStarted { .. } => Tried::NoApt,
                    other => Tried::NoSuites(other),
                });
                return None;
            }
        };
        for suite in suites {
            let told = format!("{why}; fetching one from {suite}");
            self.progress.line(&told);
            let fetched = supply.fetch(&suite, &self.versions(), self.progress);
            let suite = suite.to_string();
            match fetched {
                Ok(Some(program)) => {
                    if let Some(qemu) = self.open(&program) {
                        return Some(qemu);
                    }
                }
                Ok(None) => self.tried.push(Tried::Same { suite }),
                Err(error) => self.tried.push(Tried::NotFetched { suite, error }),
            }
        }
        None
    }

    /// The versions of those that lack something.
    fn versions(&self) -> Vec<&str> {
        let lacking = self.tried.iter().filter_map(|it| match it {
            Tried::Lacks { version, .. } => Some(version.as_str()),
            _ => None,
        });
        lacking.collect()
    }

    /// Opens a program, if it has what the platform needs.
    fn open(&mut self, program: &Path) -> Option<Qemu> {
        let qemu = match Qemu::open(program) {
            Ok(qemu) => qemu,
            Err(error) => {
                self.tried.push(match error {
                    QemuError::NotThere { path, error }
                        if error.kind() == std::io::ErrorKind::NotFound =>
                    {
                        Tried::NotInstalled { program: path }
                    }
                    other => Tried::Broken(other),
                });
                return None;
            }
        };
        let Some((what, platform)) = missing(&qemu, self.platforms) else {
            return Some(qemu);
        };
        self.tried.push(Tried::Lacks {
            version: qemu.version,
            what,
            platform: platform.name.clone(),
        });
        None
    }

    /// Why the machine's own is not used, in one line.
    fn why(&self) -> String {
        match self.tried.first() {
            Some(Tried::Lacks {
                version,
                what,
                platform,
            }) => {
                let short = version.split(" (").next().unwrap_or_default();
                format!("{short} has no {what}, which platform {platform} needs")
            }
            Some(Tried::NotInstalled { .. }) | None => "QEMU is not installed".to_owned(),
            Some(other) => other.to_string(),
        }
    }
}

fn folder(program: &Path) -> impl fmt::Display {
    program.parent().unwrap_or(program).display()
}
