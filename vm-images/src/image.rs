//! Kernel images and their sources.

use std::path::{Path, PathBuf};

use uapi::Series;

use crate::tarball::TarballPlace;
use crate::x86;

/// Where to obtain a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The distribution's source package of a series; `None` is the newest that apt can find. Where
    /// apt has none of the reference release, the kernel's own tarball of that takes its place.
    Release(Option<Series>),
    /// A release tarball.
    Tarball(TarballPlace),
    /// A developer's tree. It is built incrementally in a folder of the cache; the tree itself is
    /// not changed.
    Tree(PathBuf),
    /// A ready image, such as one built by a CI.
    Image {
        /// The bzImage.
        kernel: PathBuf,
        /// Its folder of modules, if it has any.
        modules: Option<PathBuf>,
    },
}

/// Folder beside a coverage kernel, for the notes and the source that its counters need.
pub(crate) const COVERAGE: &str = "coverage";
/// Folder beside a kernel for what else its flavour keeps of the build.
pub(crate) const KEPT: &str = "build";

/// A kernel to boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The bzImage.
    pub kernel: PathBuf,
    /// Its .config, if it was built here.
    pub config: Option<PathBuf>,
    /// Its folder of modules, if it has any.
    pub modules: Option<PathBuf>,
    /// The folder with its uAPI headers, such as `linux/iommufd.h`.
    pub headers: Option<PathBuf>,
    /// Its `uname -r`, such as 7.3.4.
    pub release: String,
    /// Key of the image; equal keys mean equal images.
    pub key: String,
    /// Its source: the whole tree, or the parts with `tools/testing/kunit` and the selftests.
    pub source: Option<PathBuf>,
    /// For a coverage kernel: the notes (`.gcno`) and the source of the counted code, at their
    /// paths in the tree.
    pub coverage: Option<PathBuf>,
    /// The folder with what else the flavour keeps of the build, such as vmlinux.
    pub kept: Option<PathBuf>,
}

impl Image {
    /// Returns the image in a folder of the cache, or `None` if there is none.
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
            kept: there(KEPT),
        })
    }
}
