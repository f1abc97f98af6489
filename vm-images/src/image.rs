//! Kernel images and their sources.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use uapi::Header;

use crate::{declared::Places, kernel_config::KernelConfig, modules::Module, x86};

/// Folder beside a coverage kernel, for the notes and the source that its counters need.
pub(crate) const COVERAGE: &str = "coverage";
/// Folder beside a kernel for what else its flavour keeps of the build.
pub(crate) const KEPT: &str = "build";

/// A kernel to boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// The file that QEMU boots: bzImage or vmlinux.
    pub kernel: PathBuf,
    /// Its configuration, if it is known.
    pub config: Option<KernelConfig>,
    /// The modules that the suite uses, in the order of loading.
    pub modules: Vec<Module>,
    /// The folder with its uAPI headers, such as `linux/iommufd.h`.
    pub headers: Option<PathBuf>,
    /// What its headers declare, with that of the mock if the source is there.
    pub declared: Option<Arc<Header>>,
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
    /// What built it and from which source, if somebody else did and says so.
    pub built_by: Option<String>,
    /// Holds the kernel if it was unpacked for this image.
    pub(crate) temporary: Option<Temporary>,
}

/// A folder that is removed with the last image that needs it.
#[derive(Debug, Clone)]
pub(crate) struct Temporary(pub(crate) Arc<TempDir>);

impl PartialEq for Temporary {
    fn eq(&self, other: &Self) -> bool {
        self.0.path() == other.0.path()
    }
}

impl Eq for Temporary {}

impl Image {
    /// Whether the file that QEMU boots goes with this image.
    pub(crate) fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// Returns the image in a folder of the cache, or `None` if there is none.
    pub(crate) fn load(root: &Path, key: &str) -> Option<Self> {
        let there = |name: &str| Some(root.join(name)).filter(|path| path.exists());
        let release = std::fs::read_to_string(root.join("release")).ok()?;
        let image = Self {
            kernel: there(x86::IMAGE)?,
            config: there("config").and_then(|path| {
                let text = std::fs::read_to_string(&path).ok()?;
                KernelConfig::parse(&text, &path.to_string_lossy()).ok()
            }),
            modules: Vec::new(),
            headers: there("include"),
            declared: None,
            release: release.trim().to_owned(),
            key: key.to_owned(),
            source: there("source"),
            coverage: there(COVERAGE),
            kept: there(KEPT),
            built_by: None,
            temporary: None,
        };
        let source = image.source.clone();
        Some(image.of_source(source))
    }

    /// Returns the image with its source, and what the headers of both declare.
    pub(crate) fn of_source(self, source: Option<PathBuf>) -> Self {
        let places = Places {
            include: self.headers.clone(),
            source: source.clone(),
        };
        Self {
            declared: places.read(&self.release).map(Arc::new),
            source,
            ..self
        }
    }
}
