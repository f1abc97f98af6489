//! Images of a released kernel, from the distribution's source package or a release tarball.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::build::Build;
use crate::cache::{Cache, SOURCE, copy, hash, make_dir, rename, write};
use crate::error::ImageError;
use crate::flavour::Flavour;
use crate::fragment::{self, Setting};
use crate::image::Image;
use crate::kbuild::{self, Kbuild};
use crate::packed::Packed;
use crate::patches;
use crate::progress::Progress;
use crate::x86;
use uapi::Series;

/// Version of the build; increment it when the build changes, so that cached images are built
/// again.
const RECIPE: &str = "1";

/// Returns the folder of finished images in the cache. Each kind of build has its own, so that they
/// do not displace each other.
fn kind(build: &Build) -> String {
    match build.kind().as_str() {
        "" => "images".to_owned(),
        name => format!("{name}-images"),
    }
}

/// The parts of the source that are kept with the image: those that kunit.py and the selftests of
/// iommufd and vfio need, and the code under test, for readers of a failure.
const KEPT: &[&str] = &[
    "COPYING",
    "Makefile",
    "Documentation/userspace-api/iommufd.rst",
    "Documentation/driver-api/vfio.rst",
    "drivers/iommu",
    "drivers/vfio",
    "include",
    "scripts",
    "tools/build",
    "tools/include",
    "tools/lib",
    "tools/scripts",
    "tools/testing/kunit",
    "tools/testing/selftests/iommu",
    "tools/testing/selftests/vfio",
    "tools/testing/selftests/kselftest",
];

/// Returns the image of a source, from the cache or newly built.
pub(crate) fn obtain(
    cache: &Cache,
    packed: &Packed,
    build: &Build,
    progress: &dyn Progress,
) -> Result<Image, ImageError> {
    let settings = build.settings(packed.series())?;
    let toolchain = build.toolchain()?;
    toolchain.check()?;
    let (kind, key) = (
        kind(build),
        key(packed, &settings, &build.flavour, &toolchain.versions()?),
    );
    if let Some(image) = cache.image(&kind, &key) {
        return Ok(image);
    }
    // Builds of other kinds need not wait.
    let lock = cache.lock(&format!("build-{kind}"), progress)?;
    // Another run may have built it while this one waited.
    if let Some(image) = cache.image(&kind, &key) {
        return Ok(image);
    }
    let temp = cache.temp(&lock)?;
    let source = temp.path().join("source");
    let surplus = packed.unpack(cache, temp.path(), &source, progress)?;
    patches::apply(&build.flavour.patches, &source, temp.path())?;
    let objects = temp.path().join("objects");
    let kbuild = Kbuild::plain(source.clone(), objects, toolchain);
    let made = compile(
        cache,
        &kbuild,
        packed.name(),
        &settings,
        build,
        temp.path(),
        progress,
    )?;
    keep_source(&source, &made.join("source"))?;
    let image = cache.publish(&made, &kind, &key)?;
    if let Some(archive) = surplus {
        // It is large and can be fetched again.
        let _source = cache.lock(SOURCE, progress)?;
        let _ = fs::remove_file(archive);
    }
    progress.stage("removing the objects");
    drop(temp);
    Ok(image)
}

/// Returns the image of a source, if it is in the cache.
pub(crate) fn built_of(
    cache: &Cache,
    packed: &Packed,
    build: &Build,
) -> Result<Option<Image>, ImageError> {
    let settings = build.settings(packed.series())?;
    let key = key(
        packed,
        &settings,
        &build.flavour,
        &build.toolchain()?.versions()?,
    );
    Ok(cache.image(&kind(build), &key))
}

/// Returns the newest image of the series, or of all, in the cache.
pub(crate) fn built(cache: &Cache, wanted: Option<Series>, build: &Build) -> Option<Image> {
    let fits = |image: &Image| {
        let series = Series::of_release(&image.release);
        wanted.is_none() || series == wanted
    };
    let images = cache.images(&kind(build)).into_iter().filter(fits);
    images.max_by_key(|image| Series::of_release(&image.release))
}

/// Returns the key, which depends on everything that goes into the image.
fn key(packed: &Packed, settings: &[Setting], flavour: &Flavour, toolchain: &str) -> String {
    let settings = fragment::text(settings);
    let words = [
        RECIPE,
        packed.name(),
        packed.version(),
        &settings,
        toolchain,
    ];
    let kept = flavour.traits.keep.iter().map(|path| path.as_os_str());
    let patches = flavour.patches.iter().map(|patch| patch.text.as_bytes());
    let parts = words.into_iter().map(str::as_bytes).chain(patches);
    hash(parts.chain(kept.map(OsStr::as_encoded_bytes)))
}

/// Compiles the kernel, and returns the folder with the results.
fn compile(
    cache: &Cache,
    kbuild: &Kbuild,
    package: &str,
    settings: &[Setting],
    build: &Build,
    temp: &Path,
    progress: &dyn Progress,
) -> Result<PathBuf, ImageError> {
    progress.stage(&format!("configuring {package}"));
    kbuild.configure(settings)?;
    let release = kbuild.release()?;
    progress.stage(&format!("compiling Linux {release}"));
    // Outside of the temporary folder, so that it can be read after a failure.
    let name = format!("{package}-{}.log", kind(build));
    let log = cache.folder("logs")?.join(name);
    let total = kbuild::expected(cache.recall("steps"));
    let traits = &build.flavour.traits;
    let steps = kbuild.compile(&traits.targets, &log, Some(total), progress)?;
    cache.remember("steps", steps);
    progress.stage("installing the headers");
    let made = temp.join("image");
    kbuild.headers(&made.join("include"))?;
    copy(&kbuild.kernel(), &made.join(x86::IMAGE))?;
    copy(&kbuild.config(), &made.join("config"))?;
    write(&made.join("release"), &release)?;
    kbuild.keep_extras(&traits.keep, &made)?;
    Ok(made)
}

/// Moves the parts of the source that are kept.
fn keep_source(from: &Path, to: &Path) -> Result<(), ImageError> {
    for part in KEPT.iter().chain(&x86::KEPT) {
        move_part(&from.join(part), &to.join(part))?;
    }
    // The common parts of the selftests are beside the folders of single ones.
    let common = "tools/testing/selftests";
    for entry in fs::read_dir(from.join(common))
        .into_iter()
        .flatten()
        .flatten()
    {
        if entry.path().is_file() {
            move_part(&entry.path(), &to.join(common).join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Moves a file or folder; not every series has every part.
fn move_part(from: &Path, to: &Path) -> Result<(), ImageError> {
    if !from.exists() {
        return Ok(());
    }
    to.parent().map_or(Ok(()), make_dir)?;
    rename(from, to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apt::Package;

    fn package(version: &str) -> Packed {
        Packed::Package(Package {
            deb: crate::apt::Deb {
                name: "linux-source-7.3".into(),
                version: version.into(),
                folder: "apt".into(),
            },
            series: Series { major: 7, minor: 3 },
        })
    }

    #[test]
    fn the_key_changes_with_what_goes_in() {
        let plain = Build::of(Path::new(env!("CARGO_MANIFEST_DIR")), crate::DEFAULT).unwrap();
        let settings = plain.settings(Series { major: 7, minor: 3 }).unwrap();
        let flavour = &plain.flavour;
        let first = key(&package("7.3.4-1"), &settings, flavour, "gcc 12");
        assert_eq!(
            first,
            key(&package("7.3.4-1"), &settings, flavour, "gcc 12")
        );
        assert_ne!(
            first,
            key(&package("7.3.5-1"), &settings, flavour, "gcc 12")
        );
        assert_ne!(
            first,
            key(&package("7.3.4-1"), &settings[1..], flavour, "gcc 12")
        );
        assert_ne!(
            first,
            key(&package("7.3.4-1"), &settings, flavour, "gcc 13")
        );
        let keep = vec!["vmlinux".into()];
        let mut more = flavour.clone();
        more.traits.keep = keep;
        assert_ne!(first, key(&package("7.3.4-1"), &settings, &more, "gcc 12"));
        let mut more = flavour.clone();
        more.patches.push(patches::Patch {
            name: "0001.patch".to_owned(),
            text: "x".to_owned(),
        });
        assert_ne!(first, key(&package("7.3.4-1"), &settings, &more, "gcc 12"));
    }

    #[test]
    fn keeps_what_is_there() {
        let root = tempfile::tempdir().unwrap();
        let (from, to) = (root.path().join("from"), root.path().join("to"));
        for file in [
            "tools/testing/kunit/kunit.py",
            "tools/testing/selftests/lib.mk",
            "net/core/sock.c",
        ] {
            fs::create_dir_all(from.join(file).parent().unwrap()).unwrap();
            fs::write(from.join(file), "").unwrap();
        }
        keep_source(&from, &to).unwrap();
        assert!(to.join("tools/testing/kunit/kunit.py").exists());
        assert!(to.join("tools/testing/selftests/lib.mk").exists());
        assert!(!to.join("net").exists());
    }
}
