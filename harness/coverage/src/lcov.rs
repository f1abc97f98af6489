//! Runs lcov, genhtml and llvm-cov, to make one tracefile of the counters of guests.

use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use vm_images::{ImageError, Llvm, MEASURED};

use crate::tracefile::{Tracefile, TracefileError};

/// Files of the measured folders that are not counted: tests in the kernel, and code for other
/// hardware.
const EXCLUDED: &[&str] = &[
    "drivers/iommu/iommufd/selftest.c",
    "drivers/vfio/pci/vfio_pci_igd.c",
    "drivers/vfio/pci/virtio/legacy_io.c",
    "drivers/vfio/pci/virtio/main.c",
    "drivers/vfio/pci/virtio/migrate.c",
    "drivers/vfio/vfio_iommu_spapr_tce.c",
    "drivers/vfio/vfio_spapr_eeh.c",
];

/// Maximum size of a program's error output that is shown, from its end.
const TAIL: usize = 2000;

/// Why there is no tracefile.
#[derive(Debug, thiserror::Error)]
pub enum LcovError {
    /// A program is not installed.
    #[error("{0} is not in PATH; install it with `scripts/bootstrap --coverage`")]
    Missing(&'static str),
    /// The LLVM programs were not found.
    #[error(transparent)]
    Llvm(#[from] ImageError),
    /// A program failed.
    #[error("`{program}` ended with {status}:\n{tail}")]
    Failed {
        /// Its name.
        program: String,
        /// How it ended.
        status: String,
        /// The end of its output.
        tail: String,
    },
    /// Its output cannot be read.
    #[error(transparent)]
    Tracefile(#[from] TracefileError),
    /// A file operation failed.
    #[error("{path}: {error}")]
    Io { path: PathBuf, error: io::Error },
    /// There are no counters of guests.
    #[error("{0} has no counters of guests")]
    NoGuest(PathBuf),
}

/// The programs, which are all installed.
#[derive(Debug)]
pub struct Lcov {
    llvm: Llvm,
}

impl Lcov {
    /// Finds the programs.
    pub fn find() -> Result<Self, LcovError> {
        for program in ["lcov", "genhtml"] {
            let there = Command::new(program).arg("--version").output();
            if there.is_err() {
                return Err(LcovError::Missing(program));
            }
        }
        Ok(Self {
            llvm: Llvm::find()?,
        })
    }

    /// Makes one tracefile of the counters of all guests in a folder, with the measured files only,
    /// and reads it. The paths in the result are those in the kernel tree.
    pub fn capture(&self, counters: &Path, to: &Path) -> Result<Tracefile, LcovError> {
        let counters = counters.canonicalize().map_err(failed(counters))?;
        let all = to.with_extension("all");
        self.capture_all(&counters, &all)?;
        let names: Vec<String> = read(&all)?.files.into_keys().collect();
        let mut extract = lcov();
        extract.arg("--extract").arg(&all);
        extract.args(names.iter().filter(|name| is_measured(&counters, name)));
        run(extract.arg("--output-file").arg(to))?;
        let _ = fs::remove_file(&all); // of no use, and large
        let trace = read(to)?;
        let in_tree = trace.files.into_iter().filter_map(|(name, hits)| {
            let path = Path::new(&name).strip_prefix(&counters).ok()?;
            Some((path.to_string_lossy().into_owned(), hits))
        });
        Ok(Tracefile {
            files: in_tree.collect(),
        })
    }

    fn capture_all(&self, counters: &Path, to: &Path) -> Result<(), LcovError> {
        let gcov = self.gcov(&to.with_extension("gcov"))?;
        let mut capture = lcov();
        capture.arg("--capture").arg("--gcov-tool").arg(&gcov);
        capture.arg("--base-directory").arg(counters);
        let guests = guests(counters)?;
        if guests.is_empty() {
            return Err(LcovError::NoGuest(counters.to_owned()));
        }
        for guest in guests {
            capture.arg("--directory").arg(guest);
        }
        let done = run(capture.arg("--output-file").arg(to));
        let _ = fs::remove_file(gcov);
        done
    }

    /// Writes a script for lcov, which needs one program that takes gcov's arguments.
    fn gcov(&self, path: &Path) -> Result<PathBuf, LcovError> {
        let program = self.llvm.program("llvm-cov");
        let script = format!("#!/bin/sh\nexec {program} gcov \"$@\"\n");
        fs::write(path, script).map_err(failed(path))?;
        let mode = fs::Permissions::from_mode(0o755);
        fs::set_permissions(path, mode).map_err(failed(path))?;
        path.canonicalize().map_err(failed(path))
    }

    /// Makes HTML pages of a tracefile.
    pub fn html(&self, tracefile: &Path, prefix: &Path, to: &Path) -> Result<(), LcovError> {
        let mut genhtml = Command::new("genhtml");
        genhtml.arg("--quiet").arg("--branch-coverage");
        genhtml.arg("--prefix").arg(prefix);
        run(genhtml.arg(tracefile).arg("--output-directory").arg(to))
    }
}

fn lcov() -> Command {
    let mut lcov = Command::new("lcov");
    lcov.args(["--quiet", "--rc", "lcov_branch_coverage=1"]);
    lcov
}

fn run(command: &mut Command) -> Result<(), LcovError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(failed(Path::new(&program)))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let tail = &said[said.len().saturating_sub(TAIL)..];
    Err(LcovError::Failed {
        program,
        status: output.status.to_string(),
        tail: String::from_utf8_lossy(tail).into_owned(),
    })
}

fn read(tracefile: &Path) -> Result<Tracefile, LcovError> {
    let text = fs::read_to_string(tracefile).map_err(failed(tracefile))?;
    Ok(Tracefile::read(&text)?)
}

/// Returns the folders of the guests.
fn guests(counters: &Path) -> Result<Vec<PathBuf>, LcovError> {
    let entries = fs::read_dir(counters).map_err(failed(counters))?;
    let mut guests: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("guest-"))
        .map(|entry| entry.path())
        .collect();
    guests.sort();
    Ok(guests)
}

/// Whether a file of a tracefile is measured: it is C source in a measured folder and not excluded.
fn is_measured(counters: &Path, name: &str) -> bool {
    let Ok(path) = Path::new(name).strip_prefix(counters) else {
        return false;
    };
    let folder = path
        .parent()
        .is_some_and(|folder| MEASURED.iter().any(|own| folder == *own));
    let is_c = path.extension().is_some_and(|extension| extension == "c");
    folder && is_c && !EXCLUDED.iter().any(|other| path == *other)
}

fn failed(path: &Path) -> impl Fn(io::Error) -> LcovError {
    let path = path.to_owned();
    move |error| LcovError::Io {
        path: path.clone(),
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("/c/drivers/vfio/group.c", true)]
    #[case("/c/drivers/vfio/pci/vfio_pci_core.c", true)]
    #[case("/c/drivers/vfio/pci/vfio_pci_igd.c", false)]
    #[case("/c/drivers/iommu/iommufd/selftest.c", false)]
    #[case("/c/drivers/vfio/vfio.h", false)]
    #[case("/c/drivers/vfio/mdev/mdev_core.c", false)]
    #[case("/other/drivers/vfio/group.c", false)]
    fn knows_what_is_measured(#[case] name: &str, #[case] want: bool) {
        assert_eq!(is_measured(Path::new("/c"), name), want);
    }

    #[test]
    fn a_failure_says_what_the_program_said() {
        let error = run(Command::new("sh").args(["-c", "echo why >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("exit status: 3") && text.contains("why"),
            "{text}"
        );
    }
}
