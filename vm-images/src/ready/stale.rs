//! Sources that are newer than the kernel that was built from them.

use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};

use walkdir::WalkDir;

use crate::x86;

/// What the cases are about, from the top of the tree.
const UNDER_TEST: [&str; 4] = [
    "drivers/iommu",
    "drivers/vfio",
    "include/uapi/linux/iommufd.h",
    "include/uapi/linux/vfio.h",
];

/// Returns a source of the code under test that is newer than the kernel in a folder of a build: the
/// kernel may not be the one that is meant. A file that `git checkout` wrote counts as newer, although
/// it may be what was built.
pub fn newer_source(folder: &Path) -> Option<PathBuf> {
    let built = modified(&folder.join(x86::BUILT_IMAGE))?;
    let tree = fs::canonicalize(folder.join("source")).unwrap_or_else(|_| folder.to_owned());
    let files = UNDER_TEST
        .iter()
        .flat_map(|below| WalkDir::new(tree.join(below)).sort_by_file_name());
    let mut sources = files
        .flatten()
        .map(walkdir::DirEntry::into_path)
        .filter(|path| {
            let name = path.to_string_lossy();
            // make writes X.mod.c for modules, at times after the image.
            (name.ends_with(".c") || name.ends_with(".h")) && !name.ends_with(".mod.c")
        });
    sources.find(|path| modified(path).is_some_and(|at| at > built))
}

fn modified(path: &Path) -> Option<SystemTime> {
    fs::metadata(path).ok()?.modified().ok()
}

#[cfg(test)]
mod tests {
    use std::{fs::File, time::Duration};

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::in_place(false)]
    #[case::other_folder(true)]
    fn a_source_newer_than_the_image_is_found(#[case] apart: bool) {
        let root = tempfile::tempdir().unwrap();
        let tree = root.path().join("tree");
        let build = if apart {
            root.path().join("build")
        } else {
            tree.clone()
        };
        let (image, source) = (
            build.join(x86::BUILT_IMAGE),
            tree.join("drivers/iommu/iommufd/ioas.c"),
        );
        for path in [&image, &source] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
        }
        if apart {
            std::os::unix::fs::symlink(&tree, build.join("source")).unwrap();
        }
        File::create(&image).unwrap();
        let of_source = File::create(&source).unwrap();
        let built = modified(&image).unwrap();
        let second = Duration::from_secs(1);
        of_source.set_modified(built - second).unwrap();
        assert_eq!(newer_source(&build), None);
        of_source.set_modified(built + second).unwrap();
        assert_eq!(
            newer_source(&build),
            Some(fs::canonicalize(source).unwrap())
        );
    }
}
