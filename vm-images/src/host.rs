//! The parts of an emulated host that do not come from this machine: a distribution's kernel with
//! KVM, and a static busybox. Both are packages that are unpacked into the cache.

use std::{
    fs,
    path::{Path, PathBuf},
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
    let kernel = match apt::named(&cache, KERNEL, Suite::Backports, progress) {
        Err(ImageError::NoPackage { .. }) => apt::named(&cache, KERNEL, Suite::Release, progress)?,
        found => found?,
    };
    let busybox = apt::named(&cache, BUSYBOX, Suite::Release, progress)?;
    let unpacked = unpacked(&cache, &kernel, progress)?;
    let programs = self::unpacked(&cache, &busybox, progress)?;
    Ok(HostParts {
        kernel: first(&unpacked.join("boot"), "vmlinuz-")?,
        modules: module_entries(&modules::pack(&MODULES, &modules::below(&unpacked), None)?),
        busybox: either(&programs, &["usr/bin/busybox", "bin/busybox"])?,
        name: format!("{} {}", kernel.name, kernel.version),
    })
}

/// Returns the folder with the contents of a package.
fn unpacked(cache: &Cache, package: &Deb, progress: &dyn Progress) -> Result<PathBuf, ImageError> {
    let place = cache.folder("host")?;
    let place = place.join(format!("{}_{}", package.name, package.version));
    if place.exists() {
        return Ok(place);
    }
    let lock = cache.lock("build", progress)?;
    let temp = cache.temp(&lock)?;
    let archive = apt::download(cache, package, progress)?;
    progress.stage(&format!("unpacking {}", package.name));
    let made = temp.path().join("made");
    let hint = "make room on the disk, or set XDG_CACHE_HOME to a folder with 3 GB free\n";
    check(command("dpkg-deb").arg("-x").arg(&archive).arg(&made), hint)?;
    remove_dir(&place)?;
    rename(&made, &place)?;
    // It can be fetched again.
    let _ = fs::remove_file(archive);
    Ok(place)
}

fn first(folder: &Path, starts: &str) -> Result<PathBuf, ImageError> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path());
    let named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with(starts)
    };
    paths
        .find(named)
        .ok_or_else(|| absent(&folder.join(format!("{starts}*"))))
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
