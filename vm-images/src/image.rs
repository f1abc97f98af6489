//! What an image is and where it comes from.

use std::path::{Path, PathBuf};

use crate::bzimage::release_of;
use crate::cache::{Cache, cache_dir, hash};
use crate::coverage;
use crate::error::ImageError;
use crate::progress::Progress;
use crate::{release, tree};
use uapi::Series;

/// Where a kernel comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The distribution's source package of a series, as in "6.12"; None is the newest
    /// series that apt can be made to offer.
    Release(Option<String>),
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
            kernel: there(crate::x86::IMAGE)?,
            config: there("config"),
            modules: None,
            headers: there("include"),
            release: release.trim().to_owned(),
            key: key.to_owned(),
            source: there("source"),
            coverage: there(coverage::KEPT),
        })
    }
}

/// The image of a source: from the cache, or made now.
///
/// Two runs at once wait for one another. A run that is killed leaves nothing that a later
/// one would take for an image.
pub fn obtain(
    source: &Source,
    flavour: Flavour,
    progress: &dyn Progress,
) -> Result<Image, ImageError> {
    match source {
        Source::Image { kernel, modules } => ready(kernel, modules.as_deref()),
        Source::Release(series) => {
            let wanted = series.as_deref().map(str::parse::<Series>).transpose()?;
            release::obtain(&Cache::open(&cache_dir())?, wanted, flavour, progress)
        }
        Source::Tree(path) => tree::obtain(&Cache::open(&cache_dir())?, path, flavour, progress),
    }
}

/// The image of a source as far as it is there without building or fetching anything. Of a
/// release that is the newest in the cache, of a tree what was built last.
pub fn built(source: &Source, flavour: Flavour) -> Result<Option<Image>, ImageError> {
    let cache = Cache::look(&cache_dir());
    match source {
        Source::Image { kernel, modules } => ready(kernel, modules.as_deref()).map(Some),
        Source::Release(series) => {
            let wanted = series.as_deref().map(str::parse::<Series>).transpose()?;
            Ok(release::built(&cache, wanted, flavour))
        }
        Source::Tree(path) => tree::built(&cache, path, flavour),
    }
}

/// Checks an image that someone else built.
fn ready(kernel: &Path, modules: Option<&Path>) -> Result<Image, ImageError> {
    let release = release_of(kernel)?;
    if let Some(path) = modules.filter(|path| !path.is_dir()) {
        return Err(ImageError::NoModules {
            path: path.to_owned(),
        });
    }
    Ok(Image {
        kernel: kernel.to_owned(),
        config: None,
        modules: modules.map(Path::to_owned),
        headers: None,
        release,
        key: key_of(kernel)?,
        source: None,
        coverage: None,
    })
}

/// The hash of a kernel image's bytes.
pub(crate) fn key_of(kernel: &Path) -> Result<String, ImageError> {
    let bytes = std::fs::read(kernel).map_err(|source| ImageError::File {
        doing: "read",
        path: kernel.to_owned(),
        hint: "give a kernel image that exists and is readable",
        source,
    })?;
    Ok(hash([&bytes[..]]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use rstest::rstest;

    fn kernel() -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = vec![0; 0x400];
        bytes[0x202..0x206].copy_from_slice(b"HdrS");
        bytes[0x20f] = 2;
        bytes.extend_from_slice(b"6.19.0 (u@h)\0");
        std::fs::write(file.path(), bytes).unwrap();
        file
    }

    #[test]
    fn takes_a_ready_image() {
        let file = kernel();
        let modules = tempfile::tempdir().unwrap();
        let source = Source::Image {
            kernel: file.path().to_owned(),
            modules: Some(modules.path().to_owned()),
        };
        let image = obtain(&source, Flavour::Plain, &Silent).unwrap();
        assert_eq!(image.release, "6.19.0");
        assert_eq!(image.modules.as_deref(), Some(modules.path()));
        assert_eq!(image.key.len(), 64);
    }

    #[rstest]
    #[case(Source::Image { kernel: "/nonexistent".into(), modules: None }, "cannot read")]
    #[case(Source::Release(Some("six".into())), "is not a kernel series")]
    fn says_what_is_wrong(#[case] source: Source, #[case] want: &str) {
        let error = obtain(&source, Flavour::Plain, &Silent)
            .unwrap_err()
            .to_string();
        assert!(error.contains(want), "{error}");
    }

    #[test]
    fn modules_must_be_a_folder() {
        let file = kernel();
        let error = ready(file.path(), Some(file.path())).unwrap_err();
        assert!(matches!(error, ImageError::NoModules { .. }));
    }
}
