//! Images of a released series, from the distribution's source package.

use std::fs;
use std::path::{Path, PathBuf};

use crate::apt::{Package, download, find};
use crate::build::Build;
use crate::cache::{Cache, copy, hash, make_dir, rename, write};
use crate::error::ImageError;
use crate::fragment::{self, Setting};
use crate::image::Image;
use crate::kbuild::{self, Kbuild};
use crate::process::{check, command};
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

/// Parts of the source that no guest kernel needs, as tar patterns. Leaving them out halves the
/// disk space and the time. Makefiles and Kconfig files are kept, because every build reads them.
const UNUSED: &[&str] = &[
    "*/Documentation/devicetree/*",
    "*/drivers/gpu/drm/*/*.[ch]",
    "*/drivers/iio/*.[ch]",
    "*/drivers/infiniband/*.[ch]",
    "*/drivers/media/*.[ch]",
    "*/drivers/net/ethernet/*.[ch]",
    "*/drivers/net/wireless/*.[ch]",
    "*/drivers/scsi/*.[ch]",
    "*/drivers/staging/*.[ch]",
    "*/sound/*.[ch]",
];

/// Returns the image of the series, or of the newest one.
pub(crate) fn obtain(
    cache: &Cache,
    wanted: Option<Series>,
    build: &Build,
    progress: &dyn Progress,
) -> Result<Image, ImageError> {
    let package = find(cache, wanted, progress)?;
    let settings = build.settings(package.series)?;
    let toolchain = build.toolchain()?;
    toolchain.check()?;
    let (kind, key) = (
        kind(build),
        key(&package, &settings, &toolchain.versions()?),
    );
    if let Some(image) = cache.image(&kind, &key) {
        return Ok(image);
    }
    let lock = cache.lock("build", progress)?;
    // Another run may have built it while this one waited.
    if let Some(image) = cache.image(&kind, &key) {
        return Ok(image);
    }
    let temp = cache.temp(&lock)?;
    let source = temp.path().join("source");
    let archive = download(cache, &package.deb, progress)?;
    unpack(&archive, &package, temp.path(), &source, progress)?;
    let objects = temp.path().join("objects");
    let kbuild = Kbuild::plain(source.clone(), objects, toolchain);
    let made = compile(
        cache,
        &kbuild,
        &package.deb.name,
        &settings,
        &build.flavour.traits.keep,
        temp.path(),
        progress,
    )?;
    keep_source(&source, &made.join("source"))?;
    let image = cache.publish(&made, &kind, &key)?;
    // It is large and can be fetched again.
    let _ = fs::remove_file(archive);
    progress.stage("removing the objects");
    drop(temp);
    Ok(image)
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
fn key(package: &Package, settings: &[Setting], toolchain: &str) -> String {
    let settings = fragment::text(settings);
    hash(
        [
            RECIPE,
            &package.deb.name,
            &package.deb.version,
            &settings,
            toolchain,
        ]
        .map(str::as_bytes),
    )
}

/// Unpacks the source archive in the package.
pub(crate) fn unpack(
    archive: &Path,
    package: &Package,
    temp: &Path,
    source: &Path,
    progress: &dyn Progress,
) -> Result<(), ImageError> {
    progress.stage(&format!("unpacking {}", package.deb.name));
    let outer = temp.join("package");
    let hint = "make room on the disk, or set XDG_CACHE_HOME to a folder with 3 GB free\n";
    check(command("dpkg-deb").arg("-x").arg(archive).arg(&outer), hint)?;
    let inner =
        find_archive(&outer.join("usr/src")).ok_or_else(|| ImageError::NoArchiveInPackage {
            package: package.deb.name.clone(),
        })?;
    make_dir(source)?;
    let mut tar = command("tar");
    // Newer versions of xz can unpack on all cores.
    tar.env("XZ_DEFAULTS", "--threads=0");
    tar.arg("--wildcards").args(
        UNUSED
            .iter()
            .chain(&x86::OTHERS)
            .map(|pattern| format!("--exclude={pattern}")),
    );
    tar.arg("-xf")
        .arg(inner)
        .arg("-C")
        .arg(source)
        .arg("--strip-components=1");
    check(&mut tar, hint)
}

/// Returns the `linux-source-*.tar.*` in the folder or below it.
fn find_archive(folder: &Path) -> Option<std::path::PathBuf> {
    let paths: Vec<_> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    let is_archive = |path: &&std::path::PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        path.is_file() && name.starts_with("linux-source-") && name.contains(".tar.")
    };
    let deeper = || {
        paths
            .iter()
            .filter(|path| path.is_dir())
            .find_map(|path| find_archive(path))
    };
    paths.iter().find(is_archive).cloned().or_else(deeper)
}

/// Compiles the kernel, and returns the folder with the results.
fn compile(
    cache: &Cache,
    kbuild: &Kbuild,
    package: &str,
    settings: &[Setting],
    keep: &[PathBuf],
    temp: &Path,
    progress: &dyn Progress,
) -> Result<PathBuf, ImageError> {
    progress.stage(&format!("configuring {package}"));
    kbuild.configure(settings)?;
    let release = kbuild.release()?;
    progress.stage(&format!("compiling Linux {release}"));
    // Outside of the temporary folder, so that it can be read after a failure.
    let log = cache.folder("logs")?.join(format!("{package}.log"));
    let total = kbuild::expected(cache.recall("steps"));
    cache.remember("steps", kbuild.compile(&log, Some(total), progress)?);
    progress.stage("installing the headers");
    let made = temp.join("image");
    kbuild.headers(&made.join("include"))?;
    copy(&kbuild.kernel(), &made.join(x86::IMAGE))?;
    copy(&kbuild.config(), &made.join("config"))?;
    write(&made.join("release"), &release)?;
    kbuild.keep_extras(keep, &made)?;
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

    fn package(version: &str) -> Package {
        Package {
            deb: crate::apt::Deb {
                name: "linux-source-7.3".into(),
                version: version.into(),
                folder: "apt".into(),
            },
            series: Series { major: 7, minor: 3 },
        }
    }

    #[test]
    fn the_key_changes_with_what_goes_in() {
        let plain = Build::of(Path::new(env!("CARGO_MANIFEST_DIR")), crate::DEFAULT).unwrap();
        let settings = plain.settings(Series { major: 7, minor: 3 }).unwrap();
        let first = key(&package("7.3.4-1"), &settings, "gcc 12");
        assert_eq!(first, key(&package("7.3.4-1"), &settings, "gcc 12"));
        assert_ne!(first, key(&package("7.3.5-1"), &settings, "gcc 12"));
        assert_ne!(first, key(&package("7.3.4-1"), &settings[1..], "gcc 12"));
        assert_ne!(first, key(&package("7.3.4-1"), &settings, "gcc 13"));
    }

    #[test]
    fn finds_the_archive_in_either_place() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(find_archive(root.path()), None);
        let deep = root.path().join("linux-source-6.8.0");
        fs::create_dir(&deep).unwrap();
        let deep = deep.join("linux-source-6.8.0.tar.bz2");
        fs::write(&deep, "").unwrap();
        assert_eq!(find_archive(root.path()), Some(deep));
        let flat = root.path().join("linux-source-7.3.tar.xz");
        fs::write(&flat, "").unwrap();
        assert_eq!(find_archive(root.path()), Some(flat));
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
