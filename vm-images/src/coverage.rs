//! Kernels with gcov counters for the code under test.
//!
//! Such a kernel is always built by clang, because gcc's gcov merges a `return -Exxx` with
//! neighbouring lines.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cache::{copy, make_dir};
use crate::error::ImageError;
use crate::image::COVERAGE;
use crate::process;

/// The folders of the kernel whose code is counted, without their subfolders.
pub const MEASURED: &[&str] = &["drivers/iommu/iommufd", "drivers/vfio", "drivers/vfio/pci"];

/// Programs that a build by clang uses, all of one version.
const TOOLS: &[&str] = &[
    "clang",
    "ld.lld",
    "llvm-ar",
    "llvm-nm",
    "llvm-objcopy",
    "llvm-strip",
    "llvm-cov",
];

/// The LLVM programs of one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Llvm {
    /// Suffix of each program's name: `-19`, or nothing.
    suffix: String,
}

impl Llvm {
    /// Finds the newest version with every program in PATH.
    pub fn find() -> Result<Self, ImageError> {
        let mut suffixes: Vec<String> = versions().iter().rev().map(|v| format!("-{v}")).collect();
        suffixes.push(String::new());
        let complete = |suffix: &String| process::missing(&names(suffix)).is_empty();
        let found = suffixes.into_iter().find(complete);
        found
            .map(|suffix| Self { suffix })
            .ok_or(ImageError::NoLlvm { programs: TOOLS })
    }

    /// Returns the name of a program of this version.
    pub fn program(&self, name: &str) -> String {
        format!("{name}{}", self.suffix)
    }

    /// Returns the value of make's variable `LLVM`.
    pub(crate) fn value(&self) -> &str {
        match self.suffix.as_str() {
            "" => "1",
            suffix => suffix,
        }
    }

    /// Returns the arguments of make for a kernel built by clang, with paths of the tree in its
    /// notes and counters in the measured folders only.
    pub(crate) fn make_arguments(&self, source: &Path) -> [String; 3] {
        // The paths in gcov notes are those of debug information.
        let from = source.display();
        [
            format!("LLVM={}", self.value()),
            format!("KCFLAGS=-fdebug-prefix-map={from}/= -fdebug-compilation-dir=."),
            // make expands this in each folder, so that the makefiles need no change.
            format!(
                "GCOV_PROFILE=$(if $(filter {},$(obj)),y)",
                MEASURED.join(" ")
            ),
        ]
    }
}

fn names(suffix: &str) -> Vec<String> {
    TOOLS.iter().map(|tool| format!("{tool}{suffix}")).collect()
}

/// Returns the versions of clang in PATH, in ascending order.
fn versions() -> Vec<u32> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut versions: Vec<u32> = std::env::split_paths(&path)
        .filter_map(|folder| fs::read_dir(folder).ok())
        .flatten()
        .flatten()
        .filter_map(|entry| version_of(entry.file_name().to_str()?))
        .collect();
    versions.sort_unstable();
    versions.dedup();
    versions
}

/// Returns the version in a name such as `clang-19`.
fn version_of(program: &str) -> Option<u32> {
    program.strip_prefix("clang-")?.parse().ok()
}

/// Copies the notes and the source of counted code to the folder of an image.
pub(crate) fn keep(source: &Path, objects: &Path, image: &Path) -> Result<(), ImageError> {
    for folder in MEASURED {
        let to = image.join(COVERAGE).join(folder);
        make_dir(&to)?;
        copy_files(&objects.join(folder), "gcno", &to)?;
        copy_files(&source.join(folder), "c", &to)?;
        copy_files(&source.join(folder), "h", &to)?;
    }
    Ok(())
}

/// Copies the files with the extension, without subfolders.
fn copy_files(from: &Path, extension: &str, to: &Path) -> Result<(), ImageError> {
    for path in files(from)? {
        if let Some(name) = path.file_name()
            && path.extension().is_some_and(|found| found == extension)
        {
            copy(&path, &to.join(name))?;
        }
    }
    Ok(())
}

/// Returns all copied files in order, which are part of the key of an image.
pub(crate) fn kept(image: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let mut all = Vec::new();
    for folder in MEASURED {
        all.extend(files(&image.join(COVERAGE).join(folder))?);
    }
    Ok(all)
}

/// Returns the files of a folder in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let failed = |source| ImageError::File {
        doing: "read",
        path: folder.to_owned(),
        hint: "give a kernel source with iommufd and vfio",
        source,
    };
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("clang-19", Some(19))]
    #[case("clang", None)]
    #[case("clang-cpp-19", None)]
    #[case("clang-format-19", None)]
    fn knows_a_version(#[case] program: &str, #[case] want: Option<u32>) {
        assert_eq!(version_of(program), want);
    }

    #[rstest]
    #[case("-19", "LLVM=-19", "llvm-cov-19")]
    #[case("", "LLVM=1", "llvm-cov")]
    fn make_gets_the_version(#[case] suffix: &str, #[case] want: &str, #[case] cov: &str) {
        let llvm = Llvm {
            suffix: suffix.to_owned(),
        };
        let arguments = llvm.make_arguments(Path::new("/src"));
        assert_eq!(arguments[0], want);
        assert!(arguments[1].contains("-fdebug-prefix-map=/src/= "));
        assert_eq!(llvm.program("llvm-cov"), cov);
    }

    #[test]
    fn make_expands_the_folders_where_it_is() {
        let llvm = Llvm {
            suffix: String::new(),
        };
        let folder = tempfile::tempdir().unwrap();
        let makefile = "all:\n\t@$(MAKE) -s -f $(firstword $(MAKEFILE_LIST)) one obj=drivers/vfio\n\
                        \t@$(MAKE) -s -f $(firstword $(MAKEFILE_LIST)) one obj=drivers/vfio/mdev\n\
                        one:\n\t@echo '$(obj):$(GCOV_PROFILE)'\n";
        fs::write(folder.path().join("Makefile"), makefile).unwrap();
        let mut make = process::command("make");
        make.arg("-s").arg("-C").arg(folder.path());
        make.arg(&llvm.make_arguments(Path::new("/src"))[2]);
        let text = process::output(&mut make, "").unwrap();
        assert!(text.contains("drivers/vfio:y\n"), "{text}");
        assert!(text.contains("drivers/vfio/mdev:\n"), "{text}");
    }

    #[test]
    fn keeps_notes_and_source_at_their_places() {
        let root = tempfile::tempdir().unwrap();
        let (source, objects) = (root.path().join("s"), root.path().join("o"));
        for folder in MEASURED {
            fs::create_dir_all(source.join(folder)).unwrap();
            fs::create_dir_all(objects.join(folder)).unwrap();
            fs::write(source.join(folder).join("a.c"), "").unwrap();
            fs::write(source.join(folder).join("Makefile"), "").unwrap();
            fs::write(objects.join(folder).join("a.gcno"), "").unwrap();
            fs::write(objects.join(folder).join("a.o"), "").unwrap();
        }
        let image = root.path().join("image");
        keep(&source, &objects, &image).unwrap();
        let names = kept(&image).unwrap();
        let names: Vec<_> = names
            .iter()
            .map(|path| {
                path.strip_prefix(image.join(COVERAGE))
                    .unwrap()
                    .to_str()
                    .unwrap()
            })
            .collect();
        assert_eq!(
            names[..2],
            ["drivers/iommu/iommufd/a.c", "drivers/iommu/iommufd/a.gcno"]
        );
        assert_eq!(names.len(), 6);
    }
}
