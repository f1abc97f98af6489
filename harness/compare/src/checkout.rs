//! Checks out revisions beside a tree, which is not changed. A checkout stays in the cache, so that
//! the next build of it is incremental.

use std::{
    ffi::OsStr,
    fs::{self, File, TryLockError},
    io,
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
    process::Command,
};

use vm_images::{cache_dir, hash};

/// Identity of the commits that a series makes in a checkout.
const COMMITTER: [&str; 4] = [
    "-c",
    "user.name=iommufd conformance",
    "-c",
    "user.email=conformance@localhost",
];

/// Why there is no checkout.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    #[error("`git {command}` in {} failed: {why}", folder.display())]
    Git {
        folder: PathBuf,
        command: String,
        /// git's message.
        why: String,
    },
    #[error("the series {} does not apply to {revision}: {why}", series.display())]
    Series {
        series: PathBuf,
        revision: String,
        /// git's message.
        why: String,
    },
    #[error("another command uses the checkout {}; wait for its end", folder.display())]
    InUse { folder: PathBuf },
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
}

/// A checkout of a tree for one purpose, which nobody else uses meanwhile.
#[derive(Debug)]
pub struct Checkout {
    tree: PathBuf,
    folder: PathBuf,
    _lock: File,
}

impl Checkout {
    /// Opens the checkout of a git tree, or makes one that shares its objects.
    pub fn open(tree: &Path, purpose: &str) -> Result<Self, CheckoutError> {
        Self::open_below(&cache_dir().join("checkouts"), tree, purpose)
    }

    /// The same in a folder for checkouts.
    fn open_below(all: &Path, tree: &Path, purpose: &str) -> Result<Self, CheckoutError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| CheckoutError::Io { path, error }
        };
        let tree = fs::canonicalize(tree).map_err(failed(tree))?;
        let key = hash([tree.as_os_str().as_bytes()]);
        let folder = all.join(&key[..16]).join(purpose);
        fs::create_dir_all(&folder).map_err(failed(&folder))?;
        let checkout = Self {
            _lock: lock(&folder)?,
            tree,
            folder,
        };
        match checkout.folder.join(".git").exists() {
            // What a git that was killed has left of its own lock.
            true => drop(fs::remove_file(checkout.folder.join(".git/index.lock"))),
            false => checkout.clone()?,
        }
        Ok(checkout)
    }

    fn clone(&self) -> Result<(), CheckoutError> {
        let mut args: Vec<&OsStr> = ["clone", "--quiet", "--shared", "--no-checkout"]
            .iter()
            .map(AsRef::as_ref)
            .collect();
        args.extend([self.tree.as_os_str(), self.folder.as_os_str()]);
        git(&self.tree, &args).map(drop)
    }

    /// The folder with the files.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the commit that a revision of the tree stands for.
    pub fn resolve(&self, revision: &str) -> Result<String, CheckoutError> {
        let commit = format!("{revision}^{{commit}}");
        git_text(
            &self.tree,
            &[
                "rev-parse",
                "--verify",
                "--quiet",
                "--end-of-options",
                &commit,
            ],
        )
        .map_err(|error| unknown_revision(error, revision))
    }

    /// Checks out a revision of the tree. Files that it shares with the last one stay as they are.
    pub fn switch(&self, revision: &str) -> Result<(), CheckoutError> {
        let commit = self.resolve(revision)?;
        git_text(
            &self.folder,
            &["checkout", "--quiet", "--force", "--detach", &commit],
        )?;
        Ok(())
    }

    /// Applies the patches of an mbox, as b4 writes them, on top of a revision.
    pub fn apply(&self, series: &Path, revision: &str) -> Result<(), CheckoutError> {
        self.switch(revision)?;
        let path = fs::canonicalize(series).map_err(|error| CheckoutError::Io {
            path: series.to_owned(),
            error,
        })?;
        let path = path.display().to_string();
        let mut args = COMMITTER.to_vec();
        args.extend(["am", "--quiet", "--3way", &path]);
        git_text(&self.folder, &args).map(drop).map_err(|error| {
            // What has been applied of the series is thrown away by the next switch.
            let _ = git_text(&self.folder, &["am", "--abort"]);
            CheckoutError::Series {
                series: series.to_owned(),
                revision: revision.to_owned(),
                why: error.why(),
            }
        })
    }

    /// Runs `git bisect`, and returns what it says.
    pub fn bisect(&self, words: &[&str]) -> Result<String, CheckoutError> {
        if words.first() == Some(&"start") {
            // One that was interrupted is over.
            git_text(&self.folder, &["bisect", "reset", "HEAD"])?;
        }
        let args: Vec<_> = ["bisect"].iter().chain(words).copied().collect();
        match git_text(&self.folder, &args) {
            // git says so by its exit code where only skipped commits are left.
            Err(CheckoutError::Git { why, .. }) if why.contains("'skip'ped") => Ok(why),
            told => told,
        }
    }

    /// The commit that is checked out.
    pub fn head(&self) -> Result<String, CheckoutError> {
        git_text(&self.folder, &["rev-parse", "HEAD"])
    }

    /// The title of a commit.
    pub fn title(&self, commit: &str) -> Result<String, CheckoutError> {
        git_text(
            &self.tree,
            &["show", "--no-patch", "--format=%h (\"%s\")", commit],
        )
    }
}

impl CheckoutError {
    fn why(self) -> String {
        match self {
            Self::Git { why, .. } => why,
            other => other.to_string(),
        }
    }
}

/// Takes the lock beside a checkout, which ends with this process.
fn lock(folder: &Path) -> Result<File, CheckoutError> {
    let path = folder.with_extension("lock");
    let failed = |error| CheckoutError::Io {
        path: path.clone(),
        error,
    };
    let file = File::create(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(CheckoutError::InUse {
            folder: folder.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

fn unknown_revision(error: CheckoutError, revision: &str) -> CheckoutError {
    match error {
        CheckoutError::Git {
            folder,
            command,
            why,
        } if why.is_empty() => CheckoutError::Git {
            folder,
            command,
            why: format!("it has no revision `{revision}`"),
        },
        other => other,
    }
}

fn git_text(folder: &Path, args: &[&str]) -> Result<String, CheckoutError> {
    let args: Vec<_> = args.iter().map(AsRef::as_ref).collect();
    git(folder, &args)
}

/// Runs git, and returns what it printed.
fn git(folder: &Path, args: &[&OsStr]) -> Result<String, CheckoutError> {
    let failed = |why: String| CheckoutError::Git {
        folder: folder.to_owned(),
        command: args.join(" ".as_ref()).display().to_string(),
        why: why.trim().to_owned(),
    };
    let output = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(args)
        .output();
    let output = output.map_err(|error| failed(error.to_string()))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match (output.status.success(), output.stderr.is_empty()) {
        (true, _) => Ok(said),
        (false, true) => Err(failed(said)),
        (false, false) => Err(failed(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    /// A tree with three commits: the file `text` has `1`, `2` and `3`.
    fn tree() -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        git_text(folder.path(), &["init", "--quiet"]).unwrap();
        for text in ["1", "2", "3"] {
            fs::write(folder.path().join("text"), text).unwrap();
            git_text(folder.path(), &["add", "text"]).unwrap();
            let title = format!("text: say {text}");
            let mut args = COMMITTER.to_vec();
            args.extend(["commit", "--quiet", "--message", &title]);
            git_text(folder.path(), &args).unwrap();
        }
        folder
    }

    fn text(checkout: &Checkout) -> String {
        fs::read_to_string(checkout.folder().join("text")).unwrap()
    }

    #[test]
    fn a_revision_is_checked_out_beside_the_tree() {
        let (tree, all) = (tree(), tempfile::tempdir().unwrap());
        let checkout = Checkout::open_below(all.path(), tree.path(), "base").unwrap();
        checkout.switch("HEAD~2").unwrap();
        assert_eq!(text(&checkout), "1");
        let at = checkout.head().unwrap();
        assert!(checkout.title(&at).unwrap().ends_with("(\"text: say 1\")"));
        assert_eq!(fs::read_to_string(tree.path().join("text")).unwrap(), "3");
        let unknown = checkout.switch("v9").unwrap_err().to_string();
        assert!(unknown.contains("it has no revision `v9`"), "{unknown}");
    }

    #[test]
    fn a_series_is_applied_or_refused() {
        let (tree, all) = (tree(), tempfile::tempdir().unwrap());
        let checkout = Checkout::open_below(all.path(), tree.path(), "head").unwrap();
        let patch = git_text(tree.path(), &["format-patch", "--stdout", "-1", "HEAD"]).unwrap();
        let series = all.path().join("series.mbx");
        fs::write(&series, patch + "\n").unwrap();
        checkout.apply(&series, "HEAD~1").unwrap();
        assert_eq!(text(&checkout), "3");
        let refused = checkout.apply(&series, "HEAD~2").unwrap_err().to_string();
        assert!(
            refused.contains("series.mbx does not apply to HEAD~2"),
            "{refused}"
        );
        // The refused one leaves nothing in the way.
        checkout.switch("HEAD").unwrap();
        assert_eq!(text(&checkout), "3");
    }

    #[test]
    fn a_checkout_has_one_user() {
        let (tree, all) = (tree(), tempfile::tempdir().unwrap());
        let open = |purpose| Checkout::open_below(all.path(), tree.path(), purpose);
        let first = open("base").unwrap();
        assert!(matches!(open("base"), Err(CheckoutError::InUse { .. })));
        assert!(open("head").is_ok());
        drop(first);
        assert!(open("base").is_ok());
    }

    #[test]
    fn git_halves_a_range() {
        let (tree, all) = (tree(), tempfile::tempdir().unwrap());
        let checkout = Checkout::open_below(all.path(), tree.path(), "bisect").unwrap();
        let [good, bad] = ["HEAD~2", "HEAD"].map(|it| checkout.resolve(it).unwrap());
        for last in ["bad", "skip"] {
            checkout.bisect(&["start", &bad, &good]).unwrap();
            assert_eq!(text(&checkout), "2");
            let end = checkout.bisect(&[last]).unwrap();
            let words = match last {
                "bad" => "is the first bad commit",
                _ => "only 'skip'ped commits left",
            };
            assert!(end.contains(words), "{end}");
        }
    }
}
