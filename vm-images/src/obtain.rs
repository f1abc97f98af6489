//! Builds an image from its source, or uses the cached one.

use crate::build::{Build, Compiler};
use crate::cache::{Cache, cache_dir};
use crate::error::ImageError;
use crate::image::Image;
use crate::kbuild::Toolchain;
use crate::packed::{self, Packed};
use crate::progress::Progress;
use crate::source::Source;
use crate::{ready, release, tarball, tree};

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
        Source::Ready(given) => {
            if let Some(newer) = given.kbuild().and_then(ready::newer_source) {
                let newer = newer.display();
                progress.line(&format!(
                    "note: {newer} is newer than the kernel that was built from it; is `make` due?"
                ));
            }
            ready::image(given)
        }
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

/// Names the source of the newest release and the compilers of this machine: images of one build
/// differ if one of them does.
pub fn ingredients(progress: &dyn Progress) -> Result<String, ImageError> {
    let source = packed::newest(&Cache::open(&cache_dir())?, progress)?;
    let compilers = [Compiler::Gcc, Compiler::Llvm(None)];
    let versions = |compiler| Toolchain::of(&compiler, false)?.versions();
    // A compiler that is missing is told by the build that needs it.
    let versions = compilers.map(|it| versions(it).unwrap_or_default());
    Ok(format!("{source}\n{}", versions.concat()))
}

/// Returns the image of a source if it is available without building or fetching anything: for a
/// release the newest in the cache, for a tree the last build.
pub fn built(source: &Source, build: &Build) -> Result<Option<Image>, ImageError> {
    let cache = Cache::look(&cache_dir());
    match source {
        // What has to be unpacked for this would be gone at once.
        Source::Ready(given) => Ok(Some(ready::image(given)?).filter(|it| !it.is_temporary())),
        Source::Release(series) => Ok(release::built(&cache, *series, build)),
        Source::Tarball(place) => match tarball::kept(&cache, place)? {
            Some(tarball) => release::built_of(&cache, &Packed::Tarball(tarball), build),
            None => Ok(None),
        },
        Source::Tree(path) => tree::built(&cache, path, build),
    }
}
