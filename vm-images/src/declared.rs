//! What the headers of a kernel declare.

use std::{
    fs,
    path::{Path, PathBuf},
};

use uapi::{Header, IOMMUFD_H, MOCK_H, Series, VFIO_H};

/// Folder of the mock's header in a source tree.
const MOCK: &str = "drivers/iommu/iommufd";
/// Folder of the headers in a source tree before they are installed.
const SOURCE: &str = "include/uapi";
/// The link from a folder of objects to its source tree.
const LINK: &str = "source";

/// Where the headers of a kernel may be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    /// Installed headers: a folder with `linux/iommufd.h`.
    pub include: Option<PathBuf>,
    /// The source tree, or as much of it as is at hand.
    pub source: Option<PathBuf>,
}

impl Places {
    /// The folder of a build: its objects are in the source tree, or link to it.
    pub(crate) fn of_build(objects: &Path) -> Self {
        let include = objects.join("usr/include");
        let trees = [objects.to_owned(), objects.join(LINK)];
        Self {
            include: Some(include).filter(|path| path.join(IOMMUFD_H).is_file()),
            source: trees.into_iter().find(|tree| has_headers(tree)),
        }
    }

    /// The folder that packages are unpacked in: one of them may have the headers for programs, or
    /// those for modules, which have the others too.
    pub(crate) fn of_packages(unpacked: &Path) -> Self {
        let include = unpacked.join("usr/include");
        let sources = fs::read_dir(unpacked.join("usr/src"));
        let mut sources = sources.into_iter().flatten().flatten();
        Self {
            include: Some(include).filter(|path| path.join(IOMMUFD_H).is_file()),
            source: sources
                .find(|tree| has_headers(&tree.path()))
                .map(|tree| tree.path()),
        }
    }

    /// Reads the headers for a kernel of this release. Those that say that they are of another
    /// series do not count, and a kernel whose headers are not at hand declares nothing.
    pub(crate) fn read(&self, release: &str) -> Option<Header> {
        let include = self.include.as_deref();
        let include = include.filter(|include| is_of(include, release));
        let source = self.source.as_ref().map(|tree| tree.join(SOURCE));
        let folders = [include, source.as_deref()];
        let mut folders = folders.into_iter().flatten();
        let folder = folders.find(|folder| folder.join(VFIO_H).is_file())?;
        let mock = self.source.as_ref();
        let mock = mock.map(|tree| tree.join(MOCK).join(MOCK_H));
        // The numbers of the later ones are made from those of the first.
        let paths = [IOMMUFD_H, VFIO_H].map(|name| folder.join(name));
        let texts = paths.into_iter().chain(mock).map(fs::read_to_string);
        let texts: Vec<_> = texts.filter_map(Result::ok).collect();
        Some(Header::scan(&texts.concat()))
    }
}

fn has_headers(tree: &Path) -> bool {
    tree.join(SOURCE).join(VFIO_H).is_file()
}

/// Whether installed headers are of the series of a release, as far as they say.
fn is_of(include: &Path, release: &str) -> bool {
    let Ok(version) = fs::read_to_string(include.join("linux/version.h")) else {
        return true;
    };
    let header = Header::scan(&version);
    let part = |name: &str| {
        let number = header.number(&format!("LINUX_VERSION_{name}"));
        number.and_then(|number| number.try_into().ok())
    };
    let (Some(major), Some(minor)) = (part("MAJOR"), part("PATCHLEVEL")) else {
        return true;
    };
    Series::of_release(release).is_none_or(|series| series == Series { major, minor })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    const VFIO: &str = "#define VFIO_TYPE (';')\n#define VFIO_NEW _IO(VFIO_TYPE, 100 + 9)\n";
    const IOMMUFD: &str = "enum { IOMMUFD_CMD_BASE = 0x80, IOMMUFD_CMD_NEW };\n";
    const MOCKED: &str = "#define IOMMU_TEST_NEW _IO(0x3b, IOMMUFD_CMD_BASE + 33)\n";
    const VERSION: &str = "#define LINUX_VERSION_MAJOR 7\n#define LINUX_VERSION_PATCHLEVEL 3\n";

    #[test]
    fn headers_of_a_build_are_installed_or_in_its_source() {
        let root = tempfile::tempdir().unwrap();
        let objects = root.path().join("objects");
        write(
            root.path(),
            &[
                ("tree/include/uapi/linux/vfio.h", VFIO),
                ("tree/drivers/iommu/iommufd/iommufd_test.h", MOCKED),
                ("objects/.config", ""),
            ],
        );
        std::os::unix::fs::symlink(root.path().join("tree"), objects.join(LINK)).unwrap();
        let header = Places::of_build(&objects).read("7.3.4").unwrap();
        assert_eq!(header.number("VFIO_NEW"), Some(0x3b6d));
        assert!(!header.has("IOMMUFD_CMD_NEW"));

        let include = [
            ("objects/usr/include/linux/vfio.h", ""),
            ("objects/usr/include/linux/iommufd.h", IOMMUFD),
            ("objects/usr/include/linux/version.h", VERSION),
        ];
        write(root.path(), &include);
        let header = Places::of_build(&objects).read("7.3.4").unwrap();
        assert!(!header.has("VFIO_NEW"));
        assert_eq!(header.number("IOMMU_TEST_NEW"), Some(0x3ba1));
        // Left there by a build of another release.
        let header = Places::of_build(&objects).read("7.4.0-rc1").unwrap();
        assert!(header.has("VFIO_NEW"));
    }

    #[test]
    fn a_package_may_have_the_headers() {
        let root = tempfile::tempdir().unwrap();
        let read = || Places::of_packages(root.path()).read("6.12.117-amd64");
        assert_eq!(read(), None);
        let path = "usr/src/linux-headers-6.12.117-common/include/uapi/linux/vfio.h";
        write(root.path(), &[("usr/src/empty/x", ""), (path, VFIO)]);
        assert!(read().unwrap().has("VFIO_NEW"));
    }
}
