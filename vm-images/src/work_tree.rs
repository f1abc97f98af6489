//! A kernel tree that belongs to this tool, for builds of changed source.
//!
//! It stays in the cache with its objects, so that a build after a change of one file takes
//! seconds. Nothing else builds there, and the user's checkout is not changed.

use std::fs;
use std::path::{Path, PathBuf};

use crate::build::Build;
use crate::cache::{Cache, Lock, cache_dir, copy, hash, make_dir, remove_dir, write};
use crate::error::ImageError;
use crate::fragment::{self, Setting};
use crate::kbuild::{self, Kbuild};
use crate::packed::Packed;
use crate::process::{command, output};
use crate::progress::Progress;
use crate::tarball::TarballPlace;
use crate::tree;
use uapi::Series;

/// The tree, locked for this process.
pub struct KernelWorkTree {
    folder: PathBuf,
    build: Kbuild,
    settings: Vec<Setting>,
    cache: Cache,
    _lock: Lock,
}

/// Result of a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compiled {
    /// The bzImage; the next build replaces it.
    pub kernel: PathBuf,
    /// Warnings of the compiler.
    pub warnings: Vec<String>,
}

impl KernelWorkTree {
    /// Opens the tree of a released series; `None` is the newest.
    pub fn of_release(
        series: Option<Series>,
        build: &Build,
        progress: &dyn Progress,
    ) -> Result<Self, ImageError> {
        let cache = Cache::open(&cache_dir())?;
        let packed = Packed::of_release(&cache, series, progress)?;
        Self::of_packed(cache, &packed, build, progress)
    }

    /// Opens the tree of a release tarball.
    pub fn of_tarball(
        place: &TarballPlace,
        build: &Build,
        progress: &dyn Progress,
    ) -> Result<Self, ImageError> {
        let cache = Cache::open(&cache_dir())?;
        let packed = Packed::of_tarball(&cache, place, progress)?;
        Self::of_packed(cache, &packed, build, progress)
    }

    fn of_packed(
        cache: Cache,
        packed: &Packed,
        build: &Build,
        progress: &dyn Progress,
    ) -> Result<Self, ImageError> {
        let place = format!("work_tree/{}", packed.series());
        let work_tree = Self::open(cache, &place, packed.series(), build, progress)?;
        let stamp = work_tree.folder.join("unpacked");
        if fs::read_to_string(&stamp).is_ok_and(|had| had == packed.version()) {
            return Ok(work_tree);
        }
        // What an interrupted run leaves is not taken for a whole tree.
        let _ = fs::remove_file(&stamp);
        let source = work_tree.source();
        remove_dir(&source)?;
        remove_dir(&work_tree.folder.join("package"))?;
        packed.unpack(&work_tree.cache, &work_tree.folder, &source, progress)?;
        remove_dir(&work_tree.folder.join("package"))?;
        write(&stamp, packed.version())?;
        Ok(work_tree)
    }

    /// Opens a copy of a developer's checkout, including uncommitted changes.
    pub fn of_tree(
        path: &Path,
        build: &Build,
        progress: &dyn Progress,
    ) -> Result<Self, ImageError> {
        let checkout = fs::canonicalize(path).map_err(|_| ImageError::NotATree {
            path: path.to_owned(),
            problem: "it does not exist",
        })?;
        let series = tree::series_of(&checkout)?;
        let cache = Cache::open(&cache_dir())?;
        let name = hash([checkout.as_os_str().as_encoded_bytes()]);
        let place = format!("work_tree/tree-{}", &name[..16]);
        let work_tree = Self::open(cache, &place, series, build, progress)?;
        progress.stage(&format!("copying {}", checkout.display()));
        sync(&checkout, &work_tree.source())?;
        Ok(work_tree)
    }

    fn open(
        cache: Cache,
        place: &str,
        series: Series,
        build: &Build,
        progress: &dyn Progress,
    ) -> Result<Self, ImageError> {
        build.flavour.without_patches()?;
        let toolchain = build.toolchain()?;
        toolchain.check()?;
        let folder = cache.folder(place)?;
        let lock = cache.lock(place, progress)?;
        Ok(Self {
            build: Kbuild::plain(folder.join("source"), folder.join("objects"), toolchain),
            settings: build.settings(series)?,
            folder,
            cache,
            _lock: lock,
        })
    }

    /// Returns the top of the tree.
    pub fn source(&self) -> PathBuf {
        self.folder.join("source")
    }

    /// Returns a folder beside it that is kept.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Builds the tree.
    pub fn compile(&self, stage: &str, progress: &dyn Progress) -> Result<Compiled, ImageError> {
        let fresh = !self.build.kernel().exists();
        progress.stage(stage);
        if fresh || !self.is_configured() {
            tree::configure(&self.build, &self.folder, &self.settings)?;
        }
        let log = self.folder.join("build.log");
        let total = fresh.then(|| kbuild::expected(self.cache.recall("steps")));
        self.build.compile(&[], &log, total, progress)?;
        Ok(Compiled {
            kernel: self.build.kernel(),
            warnings: warnings(&fs::read_to_string(&log).unwrap_or_default()),
        })
    }

    /// Copies a kernel to where the next build does not replace it.
    pub fn keep(&self, kernel: &Path, name: &str) -> Result<PathBuf, ImageError> {
        let place = self.beside("kept");
        make_dir(&place)?;
        copy(kernel, &place.join(name))?;
        Ok(place.join(name))
    }

    fn is_configured(&self) -> bool {
        let had = fs::read_to_string(self.folder.join("settings"));
        had.is_ok_and(|had| had == fragment::text(&self.settings))
    }
}

/// Returns the compiler's warnings in the output of a build.
fn warnings(log: &str) -> Vec<String> {
    let is_one = |line: &&str| line.contains(": warning: ");
    log.lines().filter(is_one).map(str::to_owned).collect()
}

/// Updates `to` with the files that git knows in `from`. Unchanged files are not copied, so that
/// make has little to do.
fn sync(from: &Path, to: &Path) -> Result<(), ImageError> {
    let mut git = command("git");
    git.arg("-C").arg(from);
    git.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let hint = "give the top folder of a git checkout of Linux\n";
    let listed = output(&mut git, hint)?;
    let files: std::collections::BTreeSet<&str> =
        listed.split('\0').filter(|name| !name.is_empty()).collect();
    for name in &files {
        sync_file(&from.join(name), &to.join(name))?;
    }
    let stamp = to.with_extension("files");
    for gone in fs::read_to_string(&stamp).unwrap_or_default().split('\0') {
        if !gone.is_empty() && !files.contains(gone) {
            // The file may already be gone.
            let _ = fs::remove_file(to.join(gone));
        }
    }
    write(&stamp, &listed)
}

fn sync_file(from: &Path, to: &Path) -> Result<(), ImageError> {
    let Ok(wanted) = fs::symlink_metadata(from) else {
        // In the index, but deleted from the disk.
        let _ = fs::remove_file(to);
        return Ok(());
    };
    let same = fs::symlink_metadata(to).is_ok_and(|had| {
        had.len() == wanted.len() && had.modified().ok() >= wanted.modified().ok()
    });
    if same || wanted.is_dir() {
        return Ok(());
    }
    to.parent().map_or(Ok(()), make_dir)?;
    match fs::read_link(from) {
        Ok(target) => {
            let _ = fs::remove_file(to);
            std::os::unix::fs::symlink(target, to).map_err(|source| ImageError::File {
                doing: "create",
                path: to.to_owned(),
                hint: "make room on the disk, or set XDG_CACHE_HOME to a folder with 3 GB free",
                source,
            })
        }
        Err(_) => copy(from, to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("  CC      a.o\n", 0)]
    #[case("a.c:1:2: warning: unused\na.c: note\n", 1)]
    fn finds_warnings(#[case] log: &str, #[case] want: usize) {
        assert_eq!(warnings(log).len(), want);
    }

    #[test]
    fn a_copy_follows_the_checkout() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("from"), root.path().join("to"));
        fs::create_dir_all(from.join("a")).unwrap();
        let git = |args: &[&str]| output(command("git").arg("-C").arg(&from).args(args), "");
        git(&["init", "-q"]).unwrap();
        fs::write(from.join("a/x.c"), "1").unwrap();
        fs::write(from.join("y.c"), "1").unwrap();
        sync(&from, &to).unwrap();
        fs::write(from.join("a/x.c"), "22").unwrap();
        fs::remove_file(from.join("y.c")).unwrap();
        sync(&from, &to).unwrap();
        assert_eq!(fs::read_to_string(to.join("a/x.c")).unwrap(), "22");
        assert!(!to.join("y.c").exists());
    }
}
