//! What the user gives.

use std::path::{Path, PathBuf};

/// A kernel that somebody else built, as the user gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// What has the kernel.
    pub origin: Origin,
    /// Its modules, if not those of the origin: a folder or a tarball.
    pub modules: Option<PathBuf>,
    /// Its configuration, if not the one that is found.
    pub config: Option<PathBuf>,
}

/// What has the kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A file: bzImage, vmlinuz, or vmlinux with a PVH entry, which may be compressed.
    File(PathBuf),
    /// The folder of a finished build, `make O=DIR` or in place.
    Kbuild(PathBuf),
    /// The folder that tuxmake leaves.
    Tuxmake(PathBuf),
    /// Packages of a distribution, of which one has the kernel.
    Packages(Vec<PathBuf>),
}

impl Given {
    /// The folder of a finished build.
    pub(crate) fn kbuild(&self) -> Option<&Path> {
        match &self.origin {
            Origin::Kbuild(folder) => Some(folder),
            Origin::File(_) | Origin::Tuxmake(_) | Origin::Packages(_) => None,
        }
    }

    /// A kernel file without modules, whose configuration is looked for.
    pub fn file(kernel: PathBuf) -> Self {
        Self {
            origin: Origin::File(kernel),
            modules: None,
            config: None,
        }
    }
}
