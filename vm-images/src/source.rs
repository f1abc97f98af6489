//! Where a kernel comes from.

use std::path::PathBuf;

use uapi::Series;

use crate::error::ImageError;
use crate::ready::Given;
use crate::tarball::TarballPlace;

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
    /// A kernel that somebody else built, such as a CI or a distribution.
    Ready(Given),
}

impl Source {
    /// Returns the series of a kernel that is built here, if it is known before that.
    pub fn series(&self) -> Result<Option<Series>, ImageError> {
        match self {
            Self::Release(series) => Ok(*series),
            Self::Tree(tree) => crate::tree::series_of(tree).map(Some),
            Self::Tarball(place) => place.series().map(Some),
            Self::Ready(_) => Ok(None),
        }
    }
}
