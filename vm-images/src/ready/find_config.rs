//! Finds the configuration of a kernel, without booting it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{ReadyError, kernel_file::KernelFile, parts::Place};
use crate::{error::ImageError, kernel_config::KernelConfig};

/// The largest file that is read as a configuration.
const LARGEST: u64 = 16 << 20;

/// Reads the configuration that the user gives. It has to be the kernel's: of its version, and, if
/// the kernel has its own in it, the same.
pub(super) fn given(path: &Path, kernel: &KernelFile) -> Result<KernelConfig, ImageError> {
    let config = read_config(path)?;
    let release = kernel.release.clone();
    let path = path.to_owned();
    if !config.is_of(&release) {
        return Err(ImageError::Ready(ReadyError::OtherConfig {
            path,
            version: config.version,
            release,
        }));
    }
    match own(kernel).and_then(|own| own.difference(&config.options)) {
        None => Ok(config),
        Some(differing) => Err(ImageError::Ready(ReadyError::NotTheKernelsConfig {
            path,
            differing,
        })),
    }
}

/// The configuration in the kernel, which cannot be of another one.
fn own(kernel: &KernelFile) -> Option<KernelConfig> {
    let place = format!("in {}", kernel.shown.display());
    let text = kernel.config.as_deref()?;
    KernelConfig::parse(text, &place).ok()
}

/// Reads a file as the configuration of a kernel, whatever its version.
pub fn read_config(path: &Path) -> Result<KernelConfig, ImageError> {
    let failed = |source| ImageError::Given {
        what: "kernel configuration",
        path: path.to_owned(),
        source,
    };
    if fs::metadata(path).map_err(failed)?.len() > LARGEST {
        return Err(bad(path, "it is too large".to_owned()));
    }
    let bytes = fs::read(path).map_err(failed)?;
    let text = String::from_utf8_lossy(&bytes);
    KernelConfig::parse(&text, &path.to_string_lossy()).map_err(|problem| bad(path, problem))
}

fn bad(path: &Path, problem: String) -> ImageError {
    ImageError::Ready(ReadyError::NotAConfig {
        path: path.to_owned(),
        problem,
    })
}

/// Looks for the configuration: in the kernel, beside it, with its
/// modules, and where this machine has those of its own kernels. One of another version is passed
/// over.
pub(super) fn search(
    kernel: &KernelFile,
    beside: &[Place],
    modules: Option<&Place>,
) -> Option<KernelConfig> {
    let found = || {
        let mut places = places(&kernel.release, beside, modules).into_iter();
        places.find_map(|place| read(&place, &kernel.release))
    };
    own(kernel).or_else(found)
}

fn read(place: &Place, release: &str) -> Option<KernelConfig> {
    let small = fs::metadata(&place.path).ok()?.len() <= LARGEST;
    let bytes = small.then(|| fs::read(&place.path).ok())??;
    let text = String::from_utf8_lossy(&bytes);
    let config = KernelConfig::parse(&text, &place.shown.to_string_lossy()).ok()?;
    config.is_of(release).then_some(config)
}

/// Returns the files that may have it, the nearest first.
fn places(release: &str, beside: &[Place], modules: Option<&Place>) -> Vec<Place> {
    let full = format!("config-{release}");
    let names = ["config", ".config", "_config", &full];
    let beside = beside
        .iter()
        .flat_map(|folder| names.map(|name| folder.join(name)));
    let installed = Place::new(&Path::new("/lib/modules").join(release));
    let with_modules = modules
        .into_iter()
        .chain([&installed])
        .flat_map(|folder| ["config", "build/.config"].map(|name| folder.join(name)))
        .collect::<Vec<_>>();
    let boot = Place::new(&PathBuf::from("/boot").join(&full));
    beside.chain(with_modules).chain([boot]).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn text(version: &str) -> String {
        format!("# Linux/x86 {version} Kernel Configuration\nCONFIG_A=y\n")
    }

    fn kernel(config: Option<String>) -> KernelFile {
        KernelFile {
            path: "bzImage".into(),
            shown: "bzImage".into(),
            release: "7.3.4-x".to_owned(),
            bytes: Vec::new(),
            config,
            temporary: None,
        }
    }

    #[rstest]
    #[case::beside("beside/config")]
    #[case::hidden("beside/.config")]
    #[case::kernelci("beside/_config")]
    #[case::with_release("beside/config-7.3.4-x")]
    #[case::with_modules("modules/config")]
    #[case::of_the_build("modules/build/.config")]
    fn it_is_found(#[case] name: &str) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text("7.3.4")).unwrap();
        let places = ["beside", "modules"].map(|name| Place::new(&folder.path().join(name)));
        let [beside, modules] = &places;
        let found = search(&kernel(None), std::slice::from_ref(beside), Some(modules));
        assert_eq!(found.unwrap().place, path.to_string_lossy());
    }

    #[test]
    fn the_kernels_own_comes_first_and_another_version_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let beside = [Place::new(folder.path())];
        fs::write(folder.path().join("config"), text("7.3.3")).unwrap();
        assert_eq!(search(&kernel(None), &beside, None), None);
        fs::write(folder.path().join(".config"), text("7.3.4")).unwrap();
        let found = search(&kernel(None), &beside, None).unwrap();
        assert!(found.place.ends_with("/.config"));
        let own = search(&kernel(Some(text("7.3.4"))), &beside, None).unwrap();
        assert_eq!(own.place, "in bzImage");
    }

    #[rstest]
    #[case(
        text("7.3.3"),
        "is the configuration of Linux 7.3.3, but the kernel is 7.3.4-x"
    )]
    #[case("CONFIG_A=y\n".to_owned(), "is not the configuration of an x86 kernel")]
    fn one_that_is_given_has_to_be_right(#[case] text: String, #[case] says: &str) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text).unwrap();
        let error = given(file.path(), &kernel(None)).unwrap_err();
        assert_eq!(error.blame(), crate::Blame::Usage);
        assert!(error.to_string().contains(says), "{error}");
    }

    #[rstest]
    #[case::none(None, None)]
    #[case::the_same(Some("CONFIG_A=y\n"), None)]
    #[case::another_build(Some("CONFIG_A=m\nCONFIG_B=y\n"), Some("differ in CONFIG_A, CONFIG_B"))]
    fn one_that_is_given_is_compared_with_the_kernels_own(
        #[case] own: Option<&str>,
        #[case] says: Option<&str>,
    ) {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), text("7.3.4")).unwrap();
        let head = "# Linux/x86 7.3.4 Kernel Configuration\n";
        let kernel = kernel(own.map(|options| format!("{head}{options}")));
        match (given(file.path(), &kernel), says) {
            (Ok(config), None) => assert_eq!(config.version, "7.3.4"),
            (Err(error), Some(says)) => assert!(error.to_string().contains(says), "{error}"),
            (result, _) => panic!("{result:?}"),
        }
    }
}
