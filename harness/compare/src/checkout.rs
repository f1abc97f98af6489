//! Checks out revisions beside a tree, which is not changed. A checkout stays in the cache, so that
//! the next build of it is incremental.

use std::{
    fs, io,
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
    #[error("{}: {error}", path.display())]
    Io { path: PathBuf, error: io::Error },
}

/// A checkout of a tree for one purpose.
#[derive(Debug)]
pub struct Checkout {
    tree: PathBuf,
    folder: PathBuf,
}

impl Checkout {
    /// Opens the checkout of a git tree, or makes one that shares its objects.
    pub fn open(tree: &Path, purpose: &str) -> Result<Self, CheckoutError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| CheckoutError::Io { path, error }
        };
        let tree = fs::canonicalize(tree).map_err(failed(tree))?;
        let key = hash([tree.as_os_str().as_bytes()]);
        let folder = cache_dir().join("checkouts").join(&key[..16]).join(purpose);
        let checkout = Self { tree, folder };
        if !checkout.folder.join(".git").exists() {
            fs::create_dir_all(&checkout.folder).map_err(failed(&checkout.folder))?;
            let (from, to) = (checkout.tree.as_os_str(), checkout.folder.as_os_str());
            let clone = ["clone".as_ref(), "--quiet".as_ref(), "--shared".as_ref()];
            let mut args = clone.to_vec();
            args.extend(["--no-checkout".as_ref(), from, to]);
            git(&checkout.tree, &args)?;
        }
        Ok(checkout)
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
fn git(folder: &Path, args: &[&std::ffi::OsStr]) -> Result<String, CheckoutError> {
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
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        false => Err(failed(String::from_utf8_lossy(&output.stderr).into_owned())),
    }
}
