//! The parts of an emulated host that do not come from this machine: a distribution's kernel with
//! KVM, and a static busybox. Both are packages that are unpacked into the cache.

use std::{
    fs,
    path::{Path, PathBuf},
    slice,
};

use crate::{
    apt::{self, Deb, Suite},
    cache::{Cache, cache_dir, remove_dir, rename},
    error::ImageError,
    initramfs::Entry,
    modules::{self, module_entries},
    process::{check, command},
    progress::Progress,
};

/// Metapackage of the distribution's newest kernel for virtual machines.
const KERNEL: &str = crate::x86::HOST_KERNEL;
const BUSYBOX: &str = "busybox-static";
/// Modules that have to be loaded before a guest can be started, unless they are built in.
const MODULES: [&str; 5] = ["virtio_pci", "virtio_blk", "irqbypass", "kvm", "kvm_amd"];

/// The parts of an emulated host.
#[derive(Debug)]
pub struct HostParts {
    /// The kernel.
    pub kernel: PathBuf,
    /// Its modules, below [`crate::MODULES_DIR`] in the order of loading.
    pub modules: Vec<Entry>,
    /// A static busybox.
    pub busybox: PathBuf,
    /// Name and version of the kernel's package.
    pub name: String,
}

/// Returns the parts, and fetches those that are missing.
pub fn host_parts(progress: &dyn Progress) -> Result<HostParts, ImageError> {
    let cache = Cache::open(&cache_dir())?;
    let kernel = match apt::kernel(&cache, KERNEL, Suite::Backports, progress) {
        Err(ImageError::NoPackage { .. }) => apt::kernel(&cache, KERNEL, Suite::Release, progress)?,
        found => found?,
    };
    let busybox = apt::named(&cache, BUSYBOX, Suite::Release, progress)?;
    let unpacked = unpacked(&cache, &kernel, progress)?;
    let programs = self::unpacked(&cache, slice::from_ref(&busybox), progress)?;
    Ok(HostParts {
        kernel: kernel_in(&unpacked)?,
        modules: module_entries(&modules::pack(&MODULES, &modules::below(&unpacked), None)?),
        busybox: either(&programs, &["usr/bin/busybox", "bin/busybox"])?,
        name: title(&kernel),
    })
}

/// Names packages by the first one.
fn title(packages: &[Deb]) -> String {
    let first = packages.first();
    first.map_or_else(String::new, |deb| format!("{} {}", deb.name, deb.version))
}

/// Returns the folder with the contents of packages, which is named for the first one.
fn unpacked(
    cache: &Cache,
    packages: &[Deb],
    progress: &dyn Progress,
) -> Result<PathBuf, ImageError> {
    let place = cache
        .folder("host")?
        .join(title(packages).replace(' ', "_"));
    if place.exists() {
        return Ok(place);
    }
    let lock = cache.lock("build-host", progress)?;
    let temp = cache.temp(&lock)?;
    let made = temp.path().join("made");
    for package in packages {
        let archive = apt::download(cache, package, progress)?;
        progress.stage(&format!("unpacking {}", package.name));
        let hint = "make room on the disk, or set XDG_CACHE_HOME to a folder with 3 GB free\n";
        check(command("dpkg-deb").arg("-x").arg(&archive).arg(&made), hint)?;
        // It can be fetched again.
        let _ = fs::remove_file(archive);
    }
    remove_dir(&place)?;
    rename(&made, &place)?;
    Ok(place)
}

/// Returns the kernel of unpacked packages: `boot/vmlinuz-RELEASE`, or
/// `usr/lib/modules/RELEASE/vmlinuz` where it is a package of its own.
fn kernel_in(unpacked: &Path) -> Result<PathBuf, ImageError> {
    let boot = below(&unpacked.join("boot"));
    let releases = ["usr/lib/modules", "lib/modules"].map(|name| below(&unpacked.join(name)));
    let releases = releases.into_iter().flatten();
    let mut kernels = boot
        .into_iter()
        .chain(releases.map(|it| it.join("vmlinuz")));
    let is_kernel = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with("vmlinuz") && path.is_file()
    };
    kernels.find(is_kernel).ok_or_else(|| absent(unpacked))
}

fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

fn either(folder: &Path, names: &[&str]) -> Result<PathBuf, ImageError> {
    let mut paths = names.iter().map(|name| folder.join(name));
    paths
        .find(|path| path.exists())
        .ok_or_else(|| absent(folder))
}

fn absent(path: &Path) -> ImageError {
    ImageError::File {
        doing: "find",
        path: path.to_owned(),
        hint: "the package has changed; remove it from the cache folder and run again",
        source: std::io::ErrorKind::NotFound.into(),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::one_package("boot/vmlinuz-6.12.95+deb12-cloud-amd64")]
    #[case::several("usr/lib/modules/7.3.4+deb13-cloud-amd64/vmlinuz")]
    #[case::without_usr("lib/modules/7.3.4/vmlinuz")]
    fn the_kernel_is_found(#[case] name: &str) {
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("boot/config-6.12.95");
        for path in [&other, &folder.path().join(name)] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        assert_eq!(kernel_in(folder.path()).unwrap(), folder.path().join(name));
    }

    #[test]
    fn packages_without_a_kernel_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let error = kernel_in(folder.path()).unwrap_err();
        assert!(
            error.to_string().contains("the package has changed"),
            "{error}"
        );
    }
}
