//! Flavours of a kernel: what it is built with, and what its guests need. Each is data: a file
//! `kernels/NAME.yaml` and a fragment `kernels/NAME.config`, which is merged on top of
//! `kernels/base.config`.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use wire::KernelCheck;

use crate::cache::read;
use crate::error::ImageError;
use crate::patches::{self, Patch};

/// Folder of the flavours.
const FOLDER: &str = "kernels";
/// The fragment of every image.
const BASE: &str = "base.config";
/// The flavour that is built unless another one is requested.
pub const DEFAULT: &str = "default";
/// The flavour with gcov counters.
pub const COVERAGE: &str = "coverage";

/// A flavour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flavour {
    /// Name of its files.
    pub name: String,
    /// What its guests need, and what the build keeps.
    pub traits: Traits,
    /// Fragments, the base first. Later ones override earlier ones.
    pub(crate) fragments: Vec<Fragment>,
    /// Patches of the source, in order.
    pub(crate) patches: Vec<Patch>,
}

/// The text of a fragment, with the name of its file for messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fragment {
    pub(crate) name: String,
    pub(crate) text: String,
    /// Whether the user gave it.
    pub(crate) of_user: bool,
}

/// The file of a flavour.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Traits {
    /// What it is for, in one line.
    pub summary: String,
    /// Memory of a guest in MiB.
    #[serde(default = "memory")]
    pub memory: u32,
    /// Processors of a guest, unless the user gives their number.
    #[serde(default = "one")]
    pub processors: u32,
    /// Seconds from the start of QEMU to the agent's first message, under TCG on a busy machine.
    /// Later deadlines follow from the time that the boot took.
    #[serde(default = "boot_seconds")]
    pub boot_seconds: u64,
    /// Added to the kernel's command line.
    #[serde(default)]
    pub cmdline: Vec<String>,
    /// Whether the code under test has gcov counters. Such a kernel is always built by clang.
    #[serde(default)]
    pub gcov: bool,
    /// Targets of make beside the image.
    #[serde(default)]
    pub targets: Vec<String>,
    /// Files and folders of the build to keep beside the image.
    #[serde(default)]
    pub keep: Vec<PathBuf>,
    /// Folder with patches of the source, beside the flavours.
    #[serde(default)]
    pub patches: Option<PathBuf>,
    /// Clauses of the plan that the kernel conforms to although Linux does not. A run in which one
    /// does not fails.
    #[serde(default)]
    pub conforms: Vec<String>,
    /// Checks of the kernel that switch themselves off when they fail, and have to be on when a
    /// guest ends.
    #[serde(default)]
    pub alive: Vec<KernelCheck>,
}

fn memory() -> u32 {
    512
}

fn one() -> u32 {
    1
}

fn boot_seconds() -> u64 {
    120
}

impl Flavour {
    /// Returns the flavour with gcov counters, which those of the flavour [`COVERAGE`] are.
    #[must_use]
    pub fn counted(self, coverage: Self) -> Self {
        let base = |fragment: &&Fragment| !self.fragments.contains(fragment);
        let own = coverage.fragments.iter().filter(base).cloned();
        Self {
            name: format!("{}-{}", self.name, coverage.name),
            fragments: self.fragments.iter().cloned().chain(own).collect(),
            traits: Traits {
                gcov: true,
                ..self.traits
            },
            patches: self.patches,
        }
    }

    /// Reads a flavour in the folder of this crate.
    pub fn load(vm_images: &Path, name: &str) -> Result<Self, ImageError> {
        let folder = vm_images.join(FOLDER);
        let path = folder.join(format!("{name}.yaml"));
        if !path.is_file() {
            return Err(ImageError::NoFlavour {
                name: name.to_owned(),
                known: Self::names(vm_images),
            });
        }
        let text = read(&path)?;
        let traits: Traits =
            serde_yaml::from_str(&text).map_err(|error| ImageError::BadFlavour {
                path: path.clone(),
                problem: error.to_string(),
            })?;
        let own = format!("{name}.config");
        let mut fragments = vec![Self::base(vm_images)?];
        if folder.join(&own).exists() {
            fragments.push(Fragment::read(&folder.join(&own), false)?);
        }
        let patches = traits.patches.as_ref();
        let patches = patches.map(|own| patches::read_all(&folder.join(own)));
        let patches = patches.transpose()?.unwrap_or_default();
        Ok(Self {
            name: name.to_owned(),
            traits,
            fragments,
            patches,
        })
    }

    /// Checks that a source that is no release may be built with this flavour.
    pub(crate) fn without_patches(&self) -> Result<(), ImageError> {
        match self.patches.is_empty() {
            true => Ok(()),
            false => Err(ImageError::PatchesOfRelease {
                flavour: self.name.clone(),
            }),
        }
    }

    /// Reads the fragment of every image.
    pub(crate) fn base(vm_images: &Path) -> Result<Fragment, ImageError> {
        Fragment::read(&vm_images.join(FOLDER).join(BASE), false)
    }

    /// Returns the names of all flavours, in order.
    pub fn names(vm_images: &Path) -> Vec<String> {
        let entries = fs::read_dir(vm_images.join(FOLDER)).into_iter().flatten();
        let name = |path: PathBuf| {
            let is_yaml = path.extension().is_some_and(|ending| ending == "yaml");
            is_yaml.then(|| path.file_stem()?.to_str().map(str::to_owned))?
        };
        let mut names: Vec<_> = entries
            .flatten()
            .filter_map(|entry| name(entry.path()))
            .collect();
        names.sort();
        names
    }
}

impl Fragment {
    pub(crate) fn read(path: &Path, of_user: bool) -> Result<Self, ImageError> {
        let name = path.file_name().unwrap_or(path.as_os_str());
        Ok(Self {
            name: name.to_string_lossy().into_owned(),
            text: fs::read_to_string(path).map_err(|source| ImageError::Given {
                what: "fragment of kernel configuration",
                path: path.to_owned(),
                source,
            })?,
            of_user,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn every_flavour_of_the_project_can_be_read() {
        let names = Flavour::names(&own());
        assert!(names.iter().any(|name| name == DEFAULT), "{names:?}");
        for name in names {
            let flavour = Flavour::load(&own(), &name).unwrap();
            assert!(!flavour.traits.summary.is_empty(), "{name}");
            assert_eq!(flavour.traits.gcov, name == COVERAGE, "{name}");
        }
    }

    #[test]
    fn every_fragment_belongs_to_a_flavour() {
        let names = Flavour::names(&own());
        for entry in fs::read_dir(own().join(FOLDER)).unwrap().flatten() {
            let file = entry.file_name().into_string().unwrap();
            let stem = file.split('.').next().unwrap().to_owned();
            assert!(file == BASE || names.contains(&stem), "{file}");
        }
    }

    #[test]
    fn an_unknown_flavour_is_an_error_that_lists_the_others() {
        let error = Flavour::load(&own(), "nosuch").unwrap_err().to_string();
        assert!(
            error.contains("nosuch") && error.contains("debug"),
            "{error}"
        );
    }

    #[test]
    fn a_mistake_in_a_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(FOLDER)).unwrap();
        let file = folder.path().join(FOLDER).join("x.yaml");
        fs::write(&file, "summary: x\nmemroy: 3\n").unwrap();
        let error = Flavour::load(folder.path(), "x").unwrap_err().to_string();
        assert!(
            error.contains("x.yaml") && error.contains("memroy"),
            "{error}"
        );
    }
}
