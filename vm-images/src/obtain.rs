//! Builds an image from its source, or uses the cached one.

use std::path::Path;

use crate::build::Build;
use crate::bzimage::release_of;
use crate::cache::{Cache, cache_dir, key_of};
use crate::error::ImageError;
use crate::image::{Image, Source};
use crate::packed::Packed;
use crate::progress::Progress;
use crate::{release, tarball, tree};

/// Returns the image of a source, from the cache or newly built.
///
/// Concurrent runs wait for each other. A run that is killed leaves nothing that a later one could
/// mistake for an image.
pub fn obtain(
    source: &Source,
    build: &Build,
    progress: &dyn Progress,
) -> Result<Image, ImageError> {
    match source {
        Source::Image { kernel, modules } => ready(kernel, modules.as_deref()),
        Source::Release(series) => {
            let cache = Cache::open(&cache_dir())?;
            let packed = Packed::of_release(&cache, *series, progress)?;
            release::obtain(&cache, &packed, build, progress)
        }
        Source::Tarball(place) => {
            let cache = Cache::open(&cache_dir())?;
            let packed = Packed::of_tarball(&cache, place, progress)?;
            release::obtain(&cache, &packed, build, progress)
        }
        Source::Tree(path) => tree::obtain(&Cache::open(&cache_dir())?, path, build, progress),
    }
}

/// Returns the image of a source if it is available without building or fetching anything: for a
/// release the newest in the cache, for a tree the last build.
pub fn built(source: &Source, build: &Build) -> Result<Option<Image>, ImageError> {
    let cache = Cache::look(&cache_dir());
    match source {
        Source::Image { kernel, modules } => ready(kernel, modules.as_deref()).map(Some),
        Source::Release(series) => Ok(release::built(&cache, *series, build)),
        Source::Tarball(place) => match tarball::kept(&cache, place)? {
            Some(tarball) => release::built_of(&cache, &Packed::Tarball(tarball), build),
            None => Ok(None),
        },
        Source::Tree(path) => tree::built(&cache, path, build),
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
        kept: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn plain() -> Build {
        Build::of(Path::new(env!("CARGO_MANIFEST_DIR")), crate::DEFAULT).unwrap()
    }

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
        let image = obtain(&source, &plain(), &Silent).unwrap();
        assert_eq!(image.release, "6.19.0");
        assert_eq!(image.modules.as_deref(), Some(modules.path()));
        assert_eq!(image.key.len(), 64);
    }

    #[test]
    fn says_what_cannot_be_read() {
        let error = ready(Path::new("/nonexistent"), None).unwrap_err();
        assert!(
            error.to_string().contains("cannot read the kernel image"),
            "{error}"
        );
    }

    #[test]
    fn modules_must_be_a_folder() {
        let file = kernel();
        let error = ready(file.path(), Some(file.path())).unwrap_err();
        assert!(matches!(error, ImageError::NoModules { .. }));
    }
}
