//! The cache folder: finished images, unfinished ones, and locks between runs.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use sha2::{Digest, Sha256};

use crate::error::ImageError;
use crate::process::first_line;
use crate::progress::Progress;
use crate::ready::temporary;

const NAME: &str = "iommufd-conformance";
/// Number of images of each kind that are kept. So the next two builds do not remove an image that
/// a run still boots.
const KEEP: usize = 3;

fn open_lock(path: &Path) -> std::io::Result<File> {
    let mut how = OpenOptions::new();
    how.read(true).write(true).create(true).truncate(false);
    how.open(path)
}

/// Returns the folder of everything that can be built again: `$XDG_CACHE_HOME/iommufd-conformance`
/// or `~/.cache/iommufd-conformance`, or a folder for temporary files if neither is known.
pub fn cache_dir() -> PathBuf {
    let given = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    given
        .filter(|path| path.is_absolute())
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join(NAME)
}

/// A cache folder.
#[derive(Debug, Clone)]
pub(crate) struct Cache {
    root: PathBuf,
}

/// A lock that is held while a run changes a part of the cache. The kernel releases it when the
/// process ends.
pub(crate) struct Lock {
    name: String,
    _file: Flock<File>,
}

/// A folder of what is not finished, which is removed when this is dropped.
pub(crate) struct Unfinished {
    path: PathBuf,
}

impl Unfinished {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // What stays is removed by the next run that has something unfinished.
        let _ = fs::remove_dir_all(&self.path);
        temporary::unregister(&self.path);
    }
}

/// The lock of a file of the cache that several builds read and the last one removes.
pub(crate) const SOURCE: &str = "source";
/// Folder of what is not finished, with a folder for each lock.
const UNFINISHED: &str = "unfinished";

impl Cache {
    /// Opens the cache in the folder, which is created if it is missing.
    pub(crate) fn open(root: &Path) -> Result<Self, ImageError> {
        make_dir(root)?;
        Ok(Self {
            root: root.to_owned(),
        })
    }

    /// Opens the cache in the folder for reading; nothing is created.
    pub(crate) fn look(root: &Path) -> Self {
        let root = root.to_owned();
        Self { root }
    }

    /// Returns the path of a folder of the cache, which may not exist.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Returns a folder of the cache, which is created if it is missing.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf, ImageError> {
        let path = self.root.join(name);
        make_dir(&path)?;
        Ok(path)
    }

    /// Takes the lock. If another run holds it, reports that and waits.
    pub(crate) fn lock(&self, name: &str, progress: &dyn Progress) -> Result<Lock, ImageError> {
        let path = self.lock_file(name);
        let failed = |source| ImageError::File {
            doing: "lock",
            path: path.clone(),
            hint: "make the cache folder writable, or set XDG_CACHE_HOME to one that is",
            source,
        };
        let file = open_lock(&path).map_err(failed)?;
        let mut file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => file,
            Err((file, Errno::EWOULDBLOCK)) => {
                let holder = first_line(&path).unwrap_or_else(|| "unknown".to_owned());
                progress.line(&format!(
                    "waiting for another run (process {holder}), which is busy with `{name}`"
                ));
                let wait = Flock::lock(file, FlockArg::LockExclusive);
                wait.map_err(|(_, error)| failed(error.into()))?
            }
            Err((_, error)) => return Err(failed(error.into())),
        };
        // Only for the message above; the lock does not depend on it.
        let _ = file.set_len(0);
        let _ = writeln!(file, "{}", std::process::id());
        Ok(Lock {
            name: name.to_owned(),
            _file: file,
        })
    }

    fn lock_file(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.lock"))
    }

    /// Returns an empty folder, which only the holder of the lock uses. Removes what killed runs
    /// left, whose locks nobody holds.
    pub(crate) fn temp(&self, lock: &Lock) -> Result<Unfinished, ImageError> {
        let all = self.root.join(UNFINISHED);
        let others = fs::read_dir(&all).into_iter().flatten().flatten();
        for other in others.filter(|it| *it.file_name() != *lock.name) {
            let file = open_lock(&self.lock_file(&other.file_name().to_string_lossy()));
            let held = file.map(|file| Flock::lock(file, FlockArg::LockExclusiveNonblock));
            if let Ok(Ok(_unused)) = held {
                // One that cannot be removed only takes room.
                let _ = remove_dir(&other.path());
            }
        }
        let path = all.join(&lock.name);
        remove_dir(&path)?;
        temporary::register(&path);
        make_dir(&path)?;
        Ok(Unfinished { path })
    }

    /// Returns a number that an earlier run stored.
    pub(crate) fn recall(&self, name: &str) -> Option<u64> {
        first_line(&self.root.join(name))?.parse().ok()
    }

    /// Stores a number for later runs.
    pub(crate) fn remember(&self, name: &str, value: u64) {
        // It is only used for an estimate.
        let _ = fs::write(self.root.join(name), value.to_string());
    }
}

/// Removes all folders except the last used ones.
pub(crate) fn prune(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    let used = |entry: &fs::DirEntry| entry.metadata().and_then(|m| m.modified()).ok();
    let mut images: Vec<_> = entries.flatten().map(|e| (used(&e), e.path())).collect();
    images.sort();
    let surplus = images.len().saturating_sub(KEEP);
    for (_, path) in images.into_iter().take(surplus) {
        // The next run tries again.
        let _ = fs::remove_dir_all(path);
    }
}

/// Returns the SHA-256 of the parts in hexadecimal. The length of each part is included, so that
/// different lists of parts have different hashes.
pub fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.len().to_le_bytes());
        hasher.update(part);
    }
    hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Creates the folder and its parents.
pub(crate) fn make_dir(path: &Path) -> Result<(), ImageError> {
    fs::create_dir_all(path).map_err(|source| ImageError::File {
        doing: "create",
        path: path.to_owned(),
        hint: "make the folder above it writable, or set XDG_CACHE_HOME to one that is",
        source,
    })
}

/// Removes the folder if it exists.
pub(crate) fn remove_dir(path: &Path) -> Result<(), ImageError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(ImageError::File {
            doing: "remove",
            path: path.to_owned(),
            hint: "remove it by hand and run again",
            source,
        }),
        _ => Ok(()),
    }
}

/// Moves a file or folder inside the cache.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), ImageError> {
    fs::rename(from, to).map_err(|source| ImageError::File {
        doing: "move to its place",
        path: from.to_owned(),
        hint: "make the cache folder writable, or set XDG_CACHE_HOME to one that is",
        source,
    })
}

/// Reads a text.
pub(crate) fn read(path: &Path) -> Result<String, ImageError> {
    fs::read_to_string(path).map_err(|source| ImageError::File {
        doing: "read",
        path: path.to_owned(),
        hint: "make it readable, or remove the cache folder and run again",
        source,
    })
}

/// Writes a file.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<(), ImageError> {
    fs::write(path, content).map_err(|source| ImageError::File {
        doing: "write",
        path: path.to_owned(),
        hint: "make room on the disk, or set XDG_CACHE_HOME to a folder with 3 GB free",
        source,
    })
}

/// Copies a file.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), ImageError> {
    fs::copy(from, to)
        .map(|_| ())
        .map_err(|source| ImageError::File {
            doing: "copy",
            path: from.to_owned(),
            hint: "make room on the disk, or set XDG_CACHE_HOME to a folder with 3 GB free",
            source,
        })
}

/// Returns the hash of a kernel image.
pub(crate) fn key_of(kernel: &Path) -> Result<String, ImageError> {
    let bytes = fs::read(kernel).map_err(|source| ImageError::File {
        doing: "read",
        path: kernel.to_owned(),
        hint: "give a kernel image that exists and is readable",
        source,
    })?;
    Ok(hash([&bytes[..]]))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::sync::mpsc::{Sender, channel};
    use tempfile::TempDir;

    /// Passes on the message that a lock is waited for.
    struct Teller(Sender<String>);

    impl Progress for Teller {
        fn stage(&self, _text: &str) {}
        fn steps(&self, _done: u64, _total: Option<u64>) {}
        fn line(&self, text: &str) {
            let _ = self.0.send(text.to_owned());
        }
    }

    pub(crate) fn fixture() -> (TempDir, Cache) {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::open(&root.path().join("deep/cache")).unwrap();
        (root, cache)
    }

    #[test]
    fn the_second_waits_for_the_first() {
        let (_root, cache) = fixture();
        let first = cache.lock("build", &Silent).unwrap();
        let (told, tells) = channel();
        let (got, gets) = channel();
        let second = cache.clone();
        let thread = std::thread::spawn(move || {
            let lock = second.lock("build", &Teller(told)).unwrap();
            got.send(()).unwrap();
            drop(lock);
        });
        let message = tells.recv().unwrap();
        assert!(
            message.contains(&std::process::id().to_string()),
            "{message}"
        );
        assert!(gets.try_recv().is_err(), "two runs hold the lock");
        drop(first);
        gets.recv().unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn locks_of_other_names_do_not_wait() {
        let (_root, cache) = fixture();
        let _first = cache.lock("build", &Silent).unwrap();
        let _second = cache.lock("apt", &Silent).unwrap();
    }

    #[test]
    fn what_a_killed_run_left_goes() {
        let (_root, cache) = fixture();
        let half = killed(&cache, "build").join("half");
        fs::write(&half, "x").unwrap();
        let temp = cache.temp(&cache.lock("build", &Silent).unwrap()).unwrap();
        assert!(!half.exists());
        assert!(temp.path().exists());
    }

    /// The folder of a run that did not end by itself: kill -9 does not run destructors.
    fn killed(cache: &Cache, name: &str) -> PathBuf {
        let temp = cache.temp(&cache.lock(name, &Silent).unwrap()).unwrap();
        let path = temp.path().to_owned();
        std::mem::forget(temp);
        path
    }

    #[test]
    fn what_a_run_did_not_finish_goes_with_it() {
        let (root, cache) = fixture();
        let temp = cache.temp(&cache.lock("build", &Silent).unwrap()).unwrap();
        fs::write(temp.path().join("half"), "x").unwrap();
        drop(temp);
        let left = fs::read_dir(root.path().join("deep/cache").join(UNFINISHED)).unwrap();
        assert_eq!(left.count(), 0);
    }

    #[test]
    fn what_another_killed_run_left_goes_and_what_a_run_uses_stays() {
        let (_root, cache) = fixture();
        let left = killed(&cache, "dead");
        let alive = cache.lock("alive", &Silent).unwrap();
        let used = cache.temp(&alive).unwrap();
        let own = cache.temp(&cache.lock("own", &Silent).unwrap()).unwrap();
        assert!(!left.exists());
        assert!(used.path().exists() && own.path().exists());
    }

    #[test]
    fn only_the_last_images_stay() {
        let (_root, cache) = fixture();
        let folder = cache.folder("images").unwrap();
        let start = std::time::SystemTime::UNIX_EPOCH;
        for age in 1..=5 {
            make_dir(&folder.join(age.to_string())).unwrap();
            let time = start + std::time::Duration::from_secs(1000 - age);
            File::open(folder.join(age.to_string()))
                .unwrap()
                .set_modified(time)
                .unwrap();
        }
        prune(&folder);
        let left = |age: u64| folder.join(age.to_string()).exists();
        assert_eq!(
            (1..=5).map(left).collect::<Vec<_>>(),
            [true, true, true, false, false]
        );
    }

    #[test]
    fn parts_do_not_run_into_one_another() {
        assert_ne!(hash([&b"ab"[..], b"c"]), hash([&b"a"[..], b"bc"]));
    }
}
