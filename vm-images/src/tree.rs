//! Images of a developer's tree.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::build::Build;
use crate::cache::{Cache, copy, hash, key_of, make_dir, read, remove_dir, write};
use crate::coverage;
use crate::error::ImageError;
use crate::fragment::{self, Setting};
use crate::image::{COVERAGE, Image};
use crate::kbuild::{self, Kbuild};
use crate::progress::Progress;
use crate::under_test::IOMMUFD;
use crate::x86;
use uapi::Series;

/// Files of a build in place, which make kbuild refuse to build in another folder.
const IN_PLACE: &[&str] = &[".config", "include/config", x86::GENERATED];

/// Builds what has changed since the last build.
pub(crate) fn obtain(
    cache: &Cache,
    path: &Path,
    build: &Build,
    progress: &dyn Progress,
) -> Result<Image, ImageError> {
    let tree = resolve(path)?;
    let series = series_of(&tree)?;
    check_iommufd(&tree, series)?;
    check_clean(&tree)?;
    build.flavour.without_patches()?;
    let toolchain = build.toolchain()?;
    toolchain.check()?;
    let settings = build.settings(series)?;
    let place = place(&tree, build);
    let folder = cache.folder(&place)?;
    let _lock = cache.lock(&place, progress)?;
    let kbuild = Kbuild::checkout(tree.clone(), folder.join("objects"), toolchain);
    progress.stage(&format!("configuring {}", tree.display()));
    configure(&kbuild, &folder, &settings).inspect_err(|_| {
        // Nothing is left of a kernel that was never built with these options.
        if !kbuild.kernel().exists() {
            let _ = remove_dir(&folder);
        }
    })?;
    let release = kbuild.release()?;
    progress.stage(&format!("compiling Linux {release}"));
    let fresh = !kbuild.kernel().exists();
    let total = fresh.then(|| kbuild::expected(cache.recall("steps")));
    let also = &build.flavour.traits.targets;
    kbuild.compile(also, &folder.join("build.log"), total, progress)?;
    collect(cache, &kbuild, build, &tree, &place, &release)
}

/// Returns the last build of a tree.
pub(crate) fn built(
    cache: &Cache,
    path: &Path,
    build: &Build,
) -> Result<Option<Image>, ImageError> {
    let tree = resolve(path)?;
    series_of(&tree)?;
    let mut images = cache.images(&format!("{}/images", place(&tree, build)));
    Ok(images.pop())
}

fn resolve(path: &Path) -> Result<PathBuf, ImageError> {
    fs::canonicalize(path).map_err(|_| ImageError::NotATree {
        path: path.to_owned(),
        problem: "it does not exist",
    })
}

/// Returns the folder for the objects of a tree, a separate one for each kind of build.
fn place(tree: &Path, build: &Build) -> String {
    let hash = hash([tree.as_os_str().as_bytes()]);
    let kind = build.kind();
    let joint = if kind.is_empty() { "" } else { "-" };
    format!("trees/{}{joint}{kind}", &hash[..16])
}

/// Returns the series in the top makefile.
pub(crate) fn series_of(tree: &Path) -> Result<Series, ImageError> {
    let problem = |problem| ImageError::NotATree {
        path: tree.to_owned(),
        problem,
    };
    let makefile = fs::read_to_string(tree.join("Makefile"))
        .map_err(|_| problem("it has no readable Makefile"))?;
    if !tree.join(x86::KCONFIG).is_file() {
        return Err(problem("it has no arch/x86/Kconfig"));
    }
    let number = |name: &str| {
        let value = |line: &str| {
            Some(
                line.strip_prefix(name)?
                    .trim()
                    .strip_prefix('=')?
                    .trim()
                    .parse()
                    .ok(),
            )
        };
        makefile.lines().find_map(value).flatten()
    };
    match (number("VERSION"), number("PATCHLEVEL")) {
        (Some(major), Some(minor)) => Ok(Series { major, minor }),
        _ => Err(problem("its Makefile has no VERSION and PATCHLEVEL")),
    }
}

/// Checks that there is something to test, before minutes of building.
fn check_iommufd(tree: &Path, series: Series) -> Result<(), ImageError> {
    match tree.join(IOMMUFD).is_dir() {
        true => Ok(()),
        false => Err(ImageError::NoIommufd {
            what: tree.display().to_string(),
            series,
        }),
    }
}

fn check_clean(tree: &Path) -> Result<(), ImageError> {
    match IN_PLACE.iter().find(|name| tree.join(name).exists()) {
        None => Ok(()),
        Some(found) => Err(ImageError::TreeBuiltInPlace {
            path: tree.to_owned(),
            found,
        }),
    }
}

/// Creates a new configuration if the fragments have changed. Otherwise only lets Kconfig look for
/// new options: an unchanged .config keeps the rebuild short.
pub(crate) fn configure(
    build: &Kbuild,
    folder: &Path,
    settings: &[Setting],
) -> Result<(), ImageError> {
    let stamp = folder.join("settings");
    let wanted = fragment::text(settings);
    if build.config().exists() && fs::read_to_string(&stamp).is_ok_and(|had| had == wanted) {
        // If an option has moved in the tree, a new configuration may be correct again.
        if build.refresh(settings).is_ok() {
            return Ok(());
        }
    }
    build.configure(settings)?;
    write(&stamp, wanted)
}

/// Copies the image, so that the next build does not change it during a run.
fn collect(
    cache: &Cache,
    kbuild: &Kbuild,
    build: &Build,
    tree: &Path,
    place: &str,
    release: &str,
) -> Result<Image, ImageError> {
    let made = cache.folder(place)?.join("made");
    remove_dir(&made)?;
    make_dir(&made)?;
    copy(&kbuild.kernel(), &made.join(x86::IMAGE))?;
    copy(&kbuild.config(), &made.join("config"))?;
    kbuild.headers(&made.join("include"))?;
    write(&made.join("release"), release)?;
    kbuild.keep_extras(&build.flavour.traits.keep, &made)?;
    let key = image_key(&made)?;
    let kind = format!("{place}/images");
    let image = match cache.image(&kind, &key) {
        Some(image) => image,
        None => cache.publish(&made, &kind, &key)?,
    };
    remove_dir(&made)?;
    Ok(image.of_source(Some(tree.to_owned())))
}

/// Returns the key of the kernel, its configuration, and its coverage notes and source: a new
/// comment moves lines without changing the kernel.
fn image_key(made: &Path) -> Result<String, ImageError> {
    let mut parts = vec![key_of(&made.join(x86::IMAGE))?, read(&made.join("config"))?];
    if made.join(COVERAGE).exists() {
        for path in coverage::kept(made)? {
            parts.push(key_of(&path)?);
        }
    }
    Ok(hash(parts.iter().map(String::as_bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use rstest::rstest;

    fn tree(makefile: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("arch/x86")).unwrap();
        fs::write(root.path().join("arch/x86/Kconfig"), "").unwrap();
        fs::write(root.path().join("Makefile"), makefile).unwrap();
        root
    }

    #[test]
    fn reads_the_series() {
        let root = tree("# x\nVERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\n");
        assert_eq!(series_of(root.path()).unwrap().to_string(), "7.3");
    }

    #[rstest]
    #[case("all:\n", "has no VERSION")]
    #[case("VERSION = x\nPATCHLEVEL = 1\n", "has no VERSION")]
    fn no_tree(#[case] makefile: &str, #[case] want: &str) {
        let error = series_of(tree(makefile).path()).unwrap_err().to_string();
        assert!(error.contains(want), "{error}");
    }

    #[test]
    fn a_missing_tree_is_named() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::open(root.path()).unwrap();
        let plain = Build::of(Path::new(env!("CARGO_MANIFEST_DIR")), crate::DEFAULT).unwrap();
        let error = obtain(&cache, &root.path().join("none"), &plain, &Silent)
            .unwrap_err()
            .to_string();
        assert!(error.contains("none is not a Linux source tree"), "{error}");
    }

    #[test]
    fn a_tree_without_iommufd_is_the_users_mistake() {
        let root = tree("VERSION = 5\nPATCHLEVEL = 15\n");
        let cache = tempfile::tempdir().unwrap();
        let cache = Cache::open(cache.path()).unwrap();
        let plain = Build::of(Path::new(env!("CARGO_MANIFEST_DIR")), crate::DEFAULT).unwrap();
        let error = obtain(&cache, root.path(), &plain, &Silent).unwrap_err();
        assert_eq!(error.blame(), crate::Blame::Usage);
        let text = error.to_string();
        assert!(text.contains("(Linux 5.15) has no iommufd"), "{text}");
    }

    #[rstest]
    #[case(".config")]
    #[case("include/config")]
    fn built_in_place(#[case] leaf: &str) {
        let root = tree("");
        fs::create_dir_all(root.path().join(leaf)).unwrap();
        let error = check_clean(root.path()).unwrap_err().to_string();
        assert!(
            error.contains("mrproper") && error.contains(leaf),
            "{error}"
        );
    }
}
