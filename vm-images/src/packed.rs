//! Sources that have to be unpacked: the distribution's package, or a release tarball.

use std::fs;
use std::path::{Path, PathBuf};

use crate::apt::{self, Package};
use crate::cache::{Cache, SOURCE, make_dir};
use crate::error::{ImageError, after};
use crate::process::{check, command};
use crate::progress::Progress;
use crate::tarball::{self, Tarball, TarballPlace};
use crate::{tree, x86};
use uapi::Series;

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

const HINT: &str = "if a program for the compression is missing, install it; otherwise make room \
                    on the disk, or set XDG_CACHE_HOME to a folder with 3 GB free\n";

/// A source that has to be unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packed {
    /// The distribution's package.
    Package(Package),
    /// A release tarball.
    Tarball(Tarball),
}

impl Packed {
    /// Finds the source of a series; `None` is the newest. Where apt has no source of the reference
    /// release, the kernel's own tarball of it takes its place.
    pub(crate) fn of_release(
        cache: &Cache,
        wanted: Option<Series>,
        progress: &dyn Progress,
    ) -> Result<Self, ImageError> {
        match Offered::of_release(cache, wanted, progress)? {
            Offered::Package(package) => Ok(Self::Package(package)),
            Offered::Tarball { place, reason } => {
                if tarball::kept(cache, &place)?.is_none() {
                    progress.line(&reason);
                }
                Self::of_tarball(cache, &place, progress)
            }
        }
    }

    /// Finds a tarball, and fetches it if it is not there.
    pub(crate) fn of_tarball(
        cache: &Cache,
        place: &TarballPlace,
        progress: &dyn Progress,
    ) -> Result<Self, ImageError> {
        Ok(Self::Tarball(tarball::find(cache, place, progress)?))
    }

    /// Returns its name, for messages and as a part of the key.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Package(package) => &package.deb.name,
            Self::Tarball(tarball) => &tarball.name,
        }
    }

    /// Returns what differs between two sources of one name.
    pub(crate) fn version(&self) -> &str {
        match self {
            Self::Package(package) => &package.deb.version,
            Self::Tarball(tarball) => tarball.checksum.as_str(),
        }
    }

    pub(crate) fn series(&self) -> Series {
        match self {
            Self::Package(package) => package.series,
            Self::Tarball(tarball) => tarball.series,
        }
    }

    /// Unpacks the source. Returns the file that is not needed any more once the image is built:
    /// apt can fetch a package again, but a tarball may be the user's, or have taken several runs.
    pub(crate) fn unpack(
        &self,
        cache: &Cache,
        temp: &Path,
        source: &Path,
        progress: &dyn Progress,
    ) -> Result<Option<PathBuf>, ImageError> {
        match self {
            Self::Package(package) => {
                // Another build may fetch the package, or remove it at its end.
                let lock = cache.lock(SOURCE, progress)?;
                let archive = apt::download(cache, &package.deb, progress)?;
                progress.stage(&format!("unpacking {}", package.deb.name));
                let inner = in_package(&archive, package, temp)?;
                drop(lock);
                extract(&inner, source)?;
                Ok(Some(archive))
            }
            Self::Tarball(tarball) => {
                progress.stage(&format!("unpacking {}", tarball.name));
                extract(&tarball.path, source).map_err(|error| {
                    let error = corrupt(&tarball.path, error);
                    if matches!(error, ImageError::NotATarball { .. }) {
                        tarball::forget(cache, &tarball.path);
                    }
                    error
                })?;
                check_series(tarball, source)?;
                Ok(None)
            }
        }
    }
}

/// Where the source of a release would come from.
enum Offered {
    Package(Package),
    Tarball { place: TarballPlace, reason: String },
}

impl Offered {
    fn of_release(
        cache: &Cache,
        wanted: Option<Series>,
        progress: &dyn Progress,
    ) -> Result<Self, ImageError> {
        let reference = uapi::SERIES;
        let found = match apt::find(cache, wanted, progress) {
            Ok(package) if wanted.is_some() || package.series >= reference => {
                return Ok(Self::Package(package));
            }
            found => found,
        };
        Ok(Self::Tarball {
            reason: why_tarball(found, wanted, reference)?,
            place: TarballPlace::reference()?,
        })
    }
}

/// Names the source that the newest release would be built from.
pub(crate) fn newest(cache: &Cache, progress: &dyn Progress) -> Result<String, ImageError> {
    Ok(match Offered::of_release(cache, None, progress)? {
        Offered::Package(Package { deb, .. }) => format!("{} {}", deb.name, deb.version),
        Offered::Tarball { .. } => tarball::REFERENCE.to_owned(),
    })
}

/// Returns why the tarball of the reference release is taken in place of what apt found; any other
/// error of apt stays one.
fn why_tarball(
    found: Result<Package, ImageError>,
    wanted: Option<Series>,
    reference: Series,
) -> Result<String, ImageError> {
    let fits = wanted.is_none_or(|wanted| wanted == reference);
    let (reason, trouble) = match found {
        Ok(package) => (
            format!("apt has only Linux {}", package.series),
            String::new(),
        ),
        Err(ImageError::NoSeries { update, .. }) if fits => {
            ("apt has no source of it".to_owned(), after(&update))
        }
        Err(ImageError::NoArchive { .. }) if fits => {
            ("apt has no archive".to_owned(), String::new())
        }
        Err(ImageError::NotStarted { .. }) if fits => {
            ("this machine has no apt".to_owned(), String::new())
        }
        Err(ImageError::NotStarted { .. }) => {
            let wanted = wanted.unwrap_or(reference).to_string();
            return Err(ImageError::NoApt { wanted });
        }
        Err(error) => return Err(error),
    };
    Ok(format!(
        "Linux {reference} comes from kernel.org, because {reason}{trouble}"
    ))
}

/// Unpacks the package, and returns the archive in it.
fn in_package(archive: &Path, package: &Package, temp: &Path) -> Result<PathBuf, ImageError> {
    let outer = temp.join("package");
    check(command("dpkg-deb").arg("-x").arg(archive).arg(&outer), HINT)?;
    find_archive(&outer.join("usr/src")).ok_or_else(|| ImageError::NoArchiveInPackage {
        package: package.deb.name.clone(),
    })
}

/// Unpacks an archive that holds one folder.
fn extract(archive: &Path, source: &Path) -> Result<(), ImageError> {
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
        .arg(archive)
        .arg("-C")
        .arg(source)
        .arg("--strip-components=1");
    check(&mut tar, HINT)
}

/// What tar and its helpers print if the machine lacks room or a program for the compression.
const LACKING: [&str; 2] = ["No space left on device", "Cannot exec"];

/// Says of a tarball that tar cannot read that it is none, unless the machine lacks something.
fn corrupt(path: &Path, error: ImageError) -> ImageError {
    match error {
        ImageError::StepFailed { tail, .. } if !LACKING.iter().any(|it| tail.contains(it)) => {
            ImageError::NotATarball {
                path: path.to_owned(),
                problem: tail
                    .lines()
                    .next()
                    .unwrap_or("tar cannot read it")
                    .to_owned(),
            }
        }
        other => other,
    }
}

/// Checks that a tarball holds the series that its name says.
fn check_series(tarball: &Tarball, source: &Path) -> Result<(), ImageError> {
    let found = tree::series_of(source).map_err(|error| match error {
        ImageError::NotATree { problem, .. } => ImageError::NotATarball {
            path: tarball.path.clone(),
            problem: problem.to_owned(),
        },
        other => other,
    })?;
    if found == tarball.series {
        return Ok(());
    }
    Err(ImageError::OtherSeries {
        name: tarball.name.clone(),
        found: found.to_string(),
    })
}

/// Returns the `linux-source-*.tar.*` in the folder or below it.
fn find_archive(folder: &Path) -> Option<PathBuf> {
    let paths: Vec<_> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    let is_archive = |path: &&PathBuf| {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apt::Deb;
    use crate::progress::Silent;
    use rstest::rstest;

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

    /// A small tree in a tarball of this name.
    fn tarball(root: &Path, name: &str, option: &str) -> PathBuf {
        let top = root.join("linux-7.3.4");
        for (file, content) in [
            ("Makefile", "VERSION = 7\nPATCHLEVEL = 3\n"),
            ("arch/x86/Kconfig", ""),
            ("arch/x86/boot/main.c", ""),
            ("arch/arm64/Kconfig", ""),
            ("arch/arm64/mm/fault.c", ""),
            ("drivers/media/x.c", ""),
            ("drivers/media/Kconfig", ""),
        ] {
            let path = top.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let mut tar = command("tar");
        tar.arg(option).arg("-cf").arg(root.join(name));
        check(tar.arg("-C").arg(root).arg("linux-7.3.4"), "").unwrap();
        root.join(name)
    }

    fn unpacked(place: &Path) -> Result<PathBuf, ImageError> {
        let root = place.parent().unwrap();
        let cache = Cache::open(&root.join("cache")).unwrap();
        let packed = Packed::of_tarball(&cache, &TarballPlace::File(place.to_owned()), &Silent)?;
        let source = root.join("source");
        packed.unpack(&cache, root, &source, &Silent)?;
        Ok(source)
    }

    #[rstest]
    #[case("linux-7.3.4.tar.xz", "--xz")]
    #[case("linux-7.3.4.tar.gz", "--gzip")]
    fn a_tarball_is_unpacked_without_what_no_guest_needs(#[case] name: &str, #[case] option: &str) {
        let root = tempfile::tempdir().unwrap();
        let place = tarball(root.path(), name, option);
        let source = unpacked(&place).unwrap();
        for file in [
            "arch/x86/boot/main.c",
            "arch/arm64/Kconfig",
            "drivers/media/Kconfig",
        ] {
            assert!(source.join(file).exists(), "{file}");
        }
        for file in ["arch/arm64/mm/fault.c", "drivers/media/x.c"] {
            assert!(!source.join(file).exists(), "{file}");
        }
        assert!(place.exists());
    }

    #[test]
    fn a_name_of_another_series_is_named() {
        let root = tempfile::tempdir().unwrap();
        let place = tarball(root.path(), "linux-6.12.tar.gz", "--gzip");
        let error = unpacked(&place).unwrap_err().to_string();
        assert!(error.contains("linux-6.12 holds Linux 7.3"), "{error}");
    }

    #[test]
    fn another_archive_is_named() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("x")).unwrap();
        let place = root.path().join("linux-7.3.4.tar");
        let mut tar = command("tar");
        tar.arg("-cf").arg(&place).arg("-C").arg(root.path());
        check(tar.arg("x"), "").unwrap();
        let error = unpacked(&place).unwrap_err().to_string();
        assert!(error.contains("is not a tarball of Linux"), "{error}");
    }

    #[test]
    fn what_is_no_archive_is_named() {
        let root = tempfile::tempdir().unwrap();
        let place = root.path().join("linux-7.3.4.tar.xz");
        fs::write(&place, "text").unwrap();
        let error = unpacked(&place).unwrap_err().to_string();
        assert!(error.contains("is not a tarball of Linux"), "{error}");
    }

    const REFERENCE: Series = Series { major: 7, minor: 3 };
    const OTHER: Series = Series {
        major: 6,
        minor: 12,
    };

    fn older() -> Result<Package, ImageError> {
        let deb = Deb {
            name: "linux-source-6.8.0".into(),
            version: "6.8.0-1".into(),
            folder: "apt".into(),
        };
        Ok(Package {
            deb,
            series: Series { major: 6, minor: 8 },
        })
    }

    fn none() -> Result<Package, ImageError> {
        Err(ImageError::NoSeries {
            wanted: None,
            suites: Vec::new(),
            offered: Vec::new(),
            update: "Err: x\n".into(),
        })
    }

    fn no_apt() -> Result<Package, ImageError> {
        Err(ImageError::NotStarted {
            program: "apt-get".into(),
            source: std::io::ErrorKind::NotFound.into(),
        })
    }

    #[rstest]
    #[case::older(older(), None, Ok("apt has only Linux 6.8"))]
    #[case::none(none(), None, Ok("could not be fetched:\nErr: x"))]
    #[case::none_of_it(none(), Some(REFERENCE), Ok("apt has no source of it"))]
    #[case::no_apt(no_apt(), None, Ok("this machine has no apt"))]
    #[case::other_without_apt(no_apt(), Some(OTHER), Err("the source of Linux 6.12"))]
    #[case::other(none(), Some(OTHER), Err("--source"))]
    fn the_tarball_takes_the_place_of_the_reference_release_only(
        #[case] found: Result<Package, ImageError>,
        #[case] wanted: Option<Series>,
        #[case] want: Result<&str, &str>,
    ) {
        match (why_tarball(found, wanted, REFERENCE), want) {
            (Ok(reason), Ok(says)) => assert!(reason.contains(says), "{reason}"),
            (Err(error), Err(says)) => assert!(error.to_string().contains(says), "{error}"),
            (got, _) => panic!("{got:?}"),
        }
    }
}
