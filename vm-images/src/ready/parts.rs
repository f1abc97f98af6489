//! Where the parts of a kernel are in what the user gives.

use std::path::{Path, PathBuf};

use super::{Origin, ReadyError, archive, kernel_file::KernelFile, tuxmake};
use crate::{
    declared::Places,
    error::ImageError,
    modules::{self, Files, Module, WANTED},
    x86,
};

/// The parts. What is unpacked is in a folder that goes as soon as they are read.
#[derive(Debug)]
pub(super) struct Parts {
    /// The kernel.
    pub kernel: KernelFile,
    /// Its modules.
    pub modules: Modules,
    /// Folders that may have its configuration.
    pub beside: Vec<Place>,
    /// Its uAPI headers.
    pub headers: Places,
    /// What built it, if that is known.
    pub built_by: Option<String>,
}

/// A file or folder, and the name that the user knows it by.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub path: PathBuf,
    pub shown: PathBuf,
}

impl Place {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            shown: path.to_owned(),
        }
    }

    pub(super) fn join(&self, name: impl AsRef<Path>) -> Self {
        Self {
            path: self.path.join(&name),
            shown: self.shown.join(&name),
        }
    }
}

/// Where the modules are.
#[derive(Debug)]
pub(super) enum Modules {
    /// The kernel has none, or they were not given.
    None,
    /// `lib/modules/RELEASE`, or a folder above it.
    Folder(Place),
    /// In the folder of a build.
    Build(Files),
}

impl Parts {
    /// Finds the parts, and unpacks them into a folder.
    pub(super) fn of(origin: &Origin, unpacked: &Path) -> Result<Self, ImageError> {
        match origin {
            Origin::File(kernel) => Ok(Self {
                kernel: KernelFile::open(kernel)?,
                modules: Modules::None,
                beside: beside(kernel),
                headers: Places::default(),
                built_by: None,
            }),
            Origin::Kbuild(folder) => of_kbuild(folder),
            Origin::Tuxmake(folder) => tuxmake::parts(folder, unpacked),
            Origin::Packages(packages) => of_packages(packages, unpacked),
        }
    }
}

/// Returns the folders of an image that may have its configuration: its own, and that of a build.
fn beside(kernel: &Path) -> Vec<Place> {
    let own = kernel.parent().unwrap_or(Path::new(""));
    let build = kernel
        .ancestors()
        .nth(Path::new(x86::BUILT_IMAGE).components().count());
    let is_build = kernel.ends_with(x86::BUILT_IMAGE);
    let folders = [Some(own), build.filter(|_| is_build)];
    folders.into_iter().flatten().map(Place::new).collect()
}

fn of_kbuild(folder: &Path) -> Result<Parts, ImageError> {
    let kernel = folder.join(x86::BUILT_IMAGE);
    if !kernel.is_file() {
        return Err(ImageError::Ready(ReadyError::NoImage {
            path: folder.to_owned(),
            hint: "build it (`make`, or `make O=DIR`) so that arch/x86/boot/bzImage is in it, or \
                   give the source with --linux",
        }));
    }
    Ok(Parts {
        kernel: KernelFile::open(&kernel)?,
        modules: modules::of_build(folder).map_or(Modules::None, Modules::Build),
        beside: vec![Place::new(folder)],
        headers: Places::of_build(folder),
        built_by: None,
    })
}

fn of_packages(packages: &[PathBuf], unpacked: &Path) -> Result<Parts, ImageError> {
    for package in packages {
        archive::unpack_package(package, unpacked)?;
    }
    let mut kernels = Vec::new();
    for path in kernels_below(unpacked) {
        let kernel = KernelFile::open(&path)?;
        // Some packages have the same kernel at two places.
        if !kernels
            .iter()
            .any(|it: &KernelFile| it.bytes == kernel.bytes)
        {
            kernels.push(kernel);
        }
    }
    let mut kernel = match (kernels.pop(), kernels.as_slice()) {
        (Some(kernel), []) => kernel,
        (last, _) => {
            let all = kernels.iter().chain(&last).map(|it| it.release.clone());
            let found = all.collect();
            return Err(ImageError::Ready(ReadyError::KernelsInPackages { found }));
        }
    };
    kernel.keep()?;
    kernel.shown = "the packages".into();
    let all = Place {
        path: unpacked.to_owned(),
        shown: PathBuf::from("the packages"),
    };
    let modules = match modules::below(unpacked).is_empty() {
        true => Modules::None,
        false => Modules::Folder(all.clone()),
    };
    let own = Path::new("lib/modules").join(&kernel.release);
    Ok(Parts {
        kernel,
        modules,
        beside: vec![all.join(own), all.join("boot")],
        headers: Places::of_packages(unpacked),
        built_by: None,
    })
}

/// Returns the kernels of unpacked packages: `lib/modules/RELEASE/vmlinuz` and `boot/vmlinuz-*`.
fn kernels_below(unpacked: &Path) -> Vec<PathBuf> {
    let releases = archive::files(&unpacked.join("lib/modules")).into_iter();
    let kernels = releases.map(|release| release.join("vmlinuz"));
    let boot = archive::files(&unpacked.join("boot")).into_iter();
    let boot = boot.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("vmlinuz")
    });
    kernels.chain(boot).filter(|path| path.is_file()).collect()
}

impl Modules {
    /// Modules in a folder, or in a tarball or package, which is unpacked.
    pub(super) fn given(path: &Path, unpacked: &Path) -> Result<Self, ImageError> {
        if path.is_dir() {
            return Ok(Self::Folder(Place::new(path)));
        }
        let into = unpacked.join("modules");
        crate::cache::make_dir(&into)?;
        archive::unpack_modules(path, &into)?;
        Ok(Self::Folder(Place {
            path: into,
            shown: path.to_owned(),
        }))
    }

    /// The folder with the modules of a release.
    pub(super) fn folder(&self, release: &str) -> Result<Option<Place>, ImageError> {
        match self {
            Self::Folder(place) => of_release(place, release).map(Some),
            Self::None | Self::Build(_) => Ok(None),
        }
    }

    /// Returns those that the suite uses.
    pub(super) fn pack(&self, release: &str) -> Result<Vec<Module>, ImageError> {
        let files = match self {
            Self::None => Files::new(),
            Self::Build(files) => files.clone(),
            Self::Folder(place) => {
                let folder = of_release(place, release)?;
                let files = modules::below(&folder.path);
                if files.is_empty() {
                    let path = place.shown.clone();
                    return Err(ImageError::NoModules { path });
                }
                files
            }
        };
        let packed = modules::pack(&WANTED, &files, Some(release));
        match self {
            Self::Folder(place) => packed.map_err(|error| as_shown(error, place)),
            _ => packed,
        }
    }
}

/// Names a file of a tarball by the tarball.
fn as_shown(mut error: ImageError, place: &Place) -> ImageError {
    if let ImageError::Ready(
        ReadyError::OtherModules { path, .. } | ReadyError::DamagedModule { path, .. },
    ) = &mut error
        && let Ok(below) = path.strip_prefix(&place.path)
    {
        *path = place.shown.join(below);
    }
    error
}

/// Returns the folder `RELEASE` in a folder or below it.
fn of_release(place: &Place, release: &str) -> Result<Place, ImageError> {
    let above = ["lib/modules", "usr/lib/modules", "modules", ""].map(|name| place.join(name));
    for folder in &above {
        let own = folder.join(release);
        if own.path.is_dir() {
            return Ok(own);
        }
    }
    if has_modules(&place.path) {
        return match installed_as(&place.path).filter(|found| found != release) {
            Some(found) => Err(other(place, found, release)),
            None => Ok(place.clone()),
        };
    }
    let others = above.iter().flat_map(|folder| archive::files(&folder.path));
    let others = others.filter(|folder| has_modules(folder));
    let mut names: Vec<_> = others
        .map(|folder| {
            folder
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    names.dedup();
    match names.is_empty() {
        true => Err(ImageError::NoModules {
            path: place.shown.clone(),
        }),
        false => Err(other(place, names.join(", "), release)),
    }
}

fn other(place: &Place, found: String, release: &str) -> ImageError {
    ImageError::Ready(ReadyError::OtherModules {
        path: place.shown.clone(),
        found,
        release: release.to_owned(),
    })
}

/// Whether modules are installed in this folder, and not only in a folder for each release.
fn has_modules(folder: &Path) -> bool {
    let listed = ["kernel", "modules.dep", "modules.order"];
    let plain = || {
        let mut files = archive::files(folder).into_iter();
        files.any(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.is_file() && modules::is_module(&name)
        })
    };
    listed.iter().any(|name| folder.join(name).exists()) || plain()
}

/// The release that a folder is named for, where `make modules_install` put it.
fn installed_as(folder: &Path) -> Option<String> {
    let above = folder.parent()?.file_name()?;
    let name = folder.file_name()?.to_string_lossy().into_owned();
    (above == "modules").then_some(name)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rstest::rstest;

    use super::*;

    fn with(modules: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for module in modules {
            let path = folder.path().join(module);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "\0vermagic=7.3.4 SMP\0depends=\0").unwrap();
        }
        folder
    }

    const INSTALLED: &str = "lib/modules/7.3.4/kernel/vfio.ko";

    #[rstest]
    #[case::above(INSTALLED, "")]
    #[case::modules(INSTALLED, "lib/modules")]
    #[case::lib(INSTALLED, "lib")]
    #[case::itself(INSTALLED, "lib/modules/7.3.4")]
    #[case::merged_usr("usr/lib/modules/7.3.4/kernel/vfio.ko", "")]
    #[case::plain("vfio.ko", "")]
    #[case::other_name("x/kernel/vfio.ko", "x")]
    fn modules_are_found(#[case] module: &str, #[case] given: &str) {
        let folder = with(&[module]);
        let modules = Modules::Folder(Place::new(&folder.path().join(given)));
        assert_eq!(modules.pack("7.3.4").unwrap().len(), 1);
    }

    #[rstest]
    #[case::above(INSTALLED, "")]
    #[case::modules(INSTALLED, "lib/modules")]
    #[case::lib(INSTALLED, "lib")]
    #[case::itself(INSTALLED, "lib/modules/7.3.4")]
    #[case::plain("vfio.ko", "")]
    fn another_release_is_named(#[case] module: &str, #[case] given: &str) {
        let folder = with(&[module]);
        let modules = Modules::Folder(Place::new(&folder.path().join(given)));
        let error = modules.pack("6.1.0").unwrap_err().to_string();
        assert!(
            error.contains("7.3.4") && error.contains("6.1.0"),
            "{error}"
        );
    }

    #[test]
    fn a_folder_without_modules_is_an_error() {
        let folder = with(&[]);
        let modules = Modules::Folder(Place::new(folder.path()));
        assert!(matches!(
            modules.pack("7.3.4"),
            Err(ImageError::NoModules { .. })
        ));
    }

    #[rstest]
    #[case("build/arch/x86/boot/bzImage", &["build/arch/x86/boot", "build"])]
    #[case("boot/vmlinuz-7", &["boot"])]
    #[case("bzImage", &[""])]
    fn the_configuration_may_be_beside(#[case] kernel: &str, #[case] want: &[&str]) {
        let places = beside(Path::new(kernel));
        let paths: Vec<_> = places
            .iter()
            .map(|place| place.path.to_str().unwrap())
            .collect();
        assert_eq!(paths, want);
    }

    #[test]
    fn an_empty_folder_is_no_build() {
        let folder = with(&[]);
        for origin in [
            Origin::Kbuild(folder.path().to_owned()),
            Origin::Tuxmake(folder.path().to_owned()),
        ] {
            let error = Parts::of(&origin, folder.path()).unwrap_err();
            assert_eq!(error.blame(), crate::Blame::Usage);
            assert!(error.to_string().contains("has no kernel image"), "{error}");
        }
    }
}
