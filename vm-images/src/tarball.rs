//! Release tarballs of the kernel, as files or on a server.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::cache::Cache;
use crate::download::{self, Address, Fetched};
use crate::download_error::{BadAddress, Checksum};
use crate::error::ImageError;
use crate::progress::Progress;
use crate::under_test::FIRST_SERIES;
use uapi::Series;

/// The release of [`uapi::SERIES`] that the suite was written against.
pub(crate) const REFERENCE: &str = "7.3.4";
/// The folder of the cache for what was fetched.
const FOLDER: &str = "download";

/// Where a release tarball is: a file, or its address on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TarballPlace {
    /// A file of this machine.
    File(PathBuf),
    /// A file on a server, which is fetched once.
    Url(Address),
}

impl TarballPlace {
    /// The reference release, where the kernel's developers publish it.
    pub(crate) fn reference() -> Result<Self, ImageError> {
        let folder = format!(
            "https://cdn.kernel.org/pub/linux/kernel/v{}.x",
            uapi::SERIES.major
        );
        Ok(format!("{folder}/linux-{REFERENCE}.tar.xz").parse()?)
    }
}

impl TarballPlace {
    /// Returns the series that its name says.
    pub(crate) fn series(&self) -> Result<Series, ImageError> {
        match self {
            Self::File(path) => series_in(&path.file_name().unwrap_or_default().to_string_lossy()),
            Self::Url(from) => series_in(from.name()),
        }
    }
}

impl FromStr for TarballPlace {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Self, BadAddress> {
        match text.contains("://") {
            true => Ok(Self::Url(text.parse()?)),
            false => Ok(Self::File(text.into())),
        }
    }
}

/// A tarball that is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tarball {
    pub(crate) path: PathBuf,
    /// Its name without the endings, such as linux-7.3.4.
    pub(crate) name: String,
    pub(crate) checksum: Checksum,
    pub(crate) series: Series,
}

/// Returns the tarball, and fetches it if it is not there.
pub(crate) fn find(
    cache: &Cache,
    place: &TarballPlace,
    progress: &dyn Progress,
) -> Result<Tarball, ImageError> {
    match place {
        TarballPlace::File(path) => of_file(path),
        TarballPlace::Url(from) => {
            // Before minutes of fetching.
            place.series()?;
            let _lock = cache.lock(FOLDER, progress)?;
            let variables = |name: &str| std::env::var(name).ok();
            let fetched = download::fetch(&cache.folder(FOLDER)?, from, &variables, progress)?;
            of_fetched(from.name(), fetched)
        }
    }
}

/// Returns the tarball if nothing has to be fetched for it.
pub(crate) fn kept(cache: &Cache, place: &TarballPlace) -> Result<Option<Tarball>, ImageError> {
    match place {
        TarballPlace::File(path) => of_file(path).map(Some),
        TarballPlace::Url(from) => {
            let fetched = download::fetched(&cache.path(FOLDER), from);
            fetched.map(|it| of_fetched(from.name(), it)).transpose()
        }
    }
}

/// Removes a tarball that was fetched and cannot be unpacked, so that the next run fetches it again:
/// where no checksum is published, the server may have sent another file. One of the user stays.
pub(crate) fn forget(cache: &Cache, path: &Path) {
    if path.starts_with(cache.path(FOLDER)) {
        // One that stays gives the same error again.
        let _ = std::fs::remove_file(path);
    }
}

fn of_file(path: &Path) -> Result<Tarball, ImageError> {
    let failed = |source| ImageError::Given {
        what: "tarball",
        path: path.to_owned(),
        source,
    };
    // Before a complaint about its name.
    if std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Err(ImageError::FolderAsTarball {
            path: path.to_owned(),
        });
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    Ok(Tarball {
        series: series_in(&name)?,
        // A local file is the user's own, and there is nothing to compare it with; its content
        // decides about the image.
        checksum: Checksum::of_file(path).map_err(failed)?,
        name: stem(&name),
        path: path.to_owned(),
    })
}

fn of_fetched(name: &str, fetched: Fetched) -> Result<Tarball, ImageError> {
    Ok(Tarball {
        series: series_in(name)?,
        checksum: fetched.checksum,
        name: stem(name),
        path: fetched.path,
    })
}

/// Returns the name without `.tar.xz` and the like.
fn stem(name: &str) -> String {
    let stem = name.split(".tar").next().unwrap_or(name);
    stem.trim_end_matches(".tgz").to_owned()
}

/// Returns the series in the name of a tarball, such as linux-7.3.4.tar.xz or v7.4-rc1.tar.gz. It
/// has to be known before the image, because options of the configuration depend on it.
fn series_in(name: &str) -> Result<Series, ImageError> {
    let numbers = name
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .filter(|word| word.split('.').nth(1).is_some_and(|it| !it.is_empty()));
    let series = numbers
        .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()))
        .find_map(Series::of_release);
    match series {
        Some(series) if series < FIRST_SERIES => Err(ImageError::NoIommufd {
            what: name.to_owned(),
            series,
        }),
        Some(series) => Ok(series),
        None => Err(ImageError::NoSeriesInName {
            name: name.to_owned(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    #[test]
    fn the_reference_release_is_of_the_series_of_the_tables() {
        let place = TarballPlace::reference().unwrap();
        let want = "https://cdn.kernel.org/pub/linux/kernel/v7.x/linux-7.3.4.tar.xz";
        assert_eq!(place, want.parse().unwrap());
        assert_eq!(Series::of_release(REFERENCE), Some(uapi::SERIES));
    }

    #[rstest]
    #[case("linux-7.3.4.tar.xz", Some("7.3"), "linux-7.3.4")]
    #[case("linux-7.3.tar.zst", Some("7.3"), "linux-7.3")]
    #[case("linux-source-6.12.tar.bz2", Some("6.12"), "linux-source-6.12")]
    #[case("v7.4-rc1.tar.gz", Some("7.4"), "v7.4-rc1")]
    #[case("x86_64-linux-7.4-rc1.tgz", Some("7.4"), "x86_64-linux-7.4-rc1")]
    #[case("linux-next.tar.gz", None, "linux-next")]
    #[case("linux-7.tar.gz", None, "linux-7")]
    #[case("linux-6.2.tar.xz", Some("6.2"), "linux-6.2")]
    #[case("linux-6.1.76.tar.xz", None, "linux-6.1.76")]
    fn a_name_says_the_series(#[case] name: &str, #[case] want: Option<&str>, #[case] short: &str) {
        let series = series_in(name).ok().map(|series| series.to_string());
        assert_eq!(series.as_deref(), want);
        assert_eq!(stem(name), short);
    }

    proptest! {
        #[test]
        fn no_name_panics(name in "\\PC*") {
            let _ = (series_in(&name), stem(&name));
        }
    }

    #[test]
    fn a_file_is_known_by_its_content() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("linux-7.3.4.tar.xz");
        std::fs::write(&path, "a").unwrap();
        let first = of_file(&path).unwrap();
        std::fs::write(&path, "b").unwrap();
        assert_ne!(of_file(&path).unwrap().checksum, first.checksum);
    }

    #[rstest]
    #[case("none/linux-7.3.tar.xz", "cannot read")]
    #[case("", "--linux")]
    #[case("linux.tar.xz", "linux-7.3.4.tar.xz")]
    #[case("linux-6.1.tar.xz", "linux-6.1.tar.xz (Linux 6.1) has no iommufd")]
    fn what_is_no_tarball_is_named(#[case] path: &str, #[case] says: &str) {
        let root = tempfile::tempdir().unwrap();
        for name in ["linux.tar.xz", "linux-6.1.tar.xz"] {
            std::fs::write(root.path().join(name), "x").unwrap();
        }
        let error = of_file(&root.path().join(path)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}
