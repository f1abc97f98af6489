//! What an image is and what it can come from.

use std::path::{Path, PathBuf};

use uapi::Series;

use crate::x86;

/// Where a kernel comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The distribution's source package of a series; None is the newest one that apt can be
    /// made to offer.
    Release(Option<Series>),
    /// A developer's tree. It is built incrementally in a folder of the cache; the tree
    /// itself stays as it is.
    Tree(PathBuf),
    /// A ready image, as a CI gives it.
    Image {
        /// The bzImage.
        kernel: PathBuf,
        /// Its folder of modules, if it has any.
        modules: Option<PathBuf>,
    },
}

/// What a kernel is built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Flavour {
    /// To be tested as it is.
    #[default]
    Plain,
    /// It counts which of its code under test is executed.
    Coverage,
}

/// Folder beside a kernel that counts what it executes, for what its counters need.
pub(crate) const COVERAGE: &str = "coverage";

/// A kernel to boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The bzImage.
    pub kernel: PathBuf,
    /// Its .config, where it was built here.
    pub config: Option<PathBuf>,
    /// Its folder of modules, where it has any.
    pub modules: Option<PathBuf>,
    /// The folder with its user API headers: `linux/iommufd.h` is in it.
    pub headers: Option<PathBuf>,
    /// What `uname -r` says in it, as in 7.3.4.
    pub release: String,
    /// Equal keys are equal images.
    pub key: String,
    /// Its source: the whole tree, or the parts of it which hold `tools/testing/kunit` and
    /// the selftests.
    pub source: Option<PathBuf>,
    /// Of a kernel that counts what is executed: the notes (`.gcno`) and the source of what
    /// it counts, at their places in the tree.
    pub coverage: Option<PathBuf>,
}

impl Image {
    /// The image in a folder of the cache; None where none is.
    pub(crate) fn load(root: &Path, key: &str) -> Option<Self> {
        let there = |name: &str| Some(root.join(name)).filter(|path| path.exists());
        let release = std::fs::read_to_string(root.join("release")).ok()?;
        Some(Self {
            kernel: there(x86::IMAGE)?,
            config: there("config"),
            modules: None,
            headers: there("include"),
            release: release.trim().to_owned(),
            key: key.to_owned(),
            source: there("source"),
            coverage: there(COVERAGE),
        })
    }
}
