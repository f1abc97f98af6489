//! The parts of an emulated host that do not come from this machine: a distribution's kernel with
//! KVM, and a static busybox. Both are packages that are unpacked into the cache.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    apt::{self, Deb, Suite},
    cache::{Cache, cache_dir, remove_dir, rename},
    error::ImageError,
    initramfs::Entry,
    modules::{self, MODULES_DIR},
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
        modules: modules_of(&unpacked)?,
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

/// Returns the wanted modules and their dependencies in the order of loading, decompressed for
/// kernels that cannot do that. A package has no `modules.dep`, so the dependencies are read from
/// each module.
fn modules_of(folder: &Path) -> Result<Vec<Entry>, ImageError> {
    let files = module_files(folder);
    let mut loaded: Vec<(String, Vec<u8>)> = Vec::new();
    for name in MODULES {
        load(name, &files, &mut loaded)?;
    }
    let entries = loaded.into_iter().enumerate();
    let folder = Entry::Dir {
        name: MODULES_DIR.to_owned(),
    };
    let file = |(index, (name, content))| Entry::File {
        name: format!("{MODULES_DIR}/{index:03}-{name}.ko"),
        mode: 0o644,
        content,
    };
    Ok(std::iter::once(folder).chain(entries.map(file)).collect())
}

/// Adds a module after its dependencies. A missing one is built in.
fn load(
    name: &str,
    files: &BTreeMap<String, PathBuf>,
    loaded: &mut Vec<(String, Vec<u8>)>,
) -> Result<(), ImageError> {
    let known = loaded.iter().any(|(known, _)| known == name);
    let Some(path) = files.get(name).filter(|_| !known) else {
        return Ok(());
    };
    let content = content(path)?;
    for needed in depends(&content) {
        load(&needed, files, loaded)?;
    }
    loaded.push((name.to_owned(), content));
    Ok(())
}

/// Returns all modules below a folder, by name.
fn module_files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // Links lead to the tree of the kernel's headers.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(module_files(&path));
        } else if path.to_string_lossy().contains(".ko") {
            found.insert(modules::name_of(&path.to_string_lossy()), path);
        }
    }
    found
}

fn content(path: &Path) -> Result<Vec<u8>, ImageError> {
    let content = fs::read(path).map_err(|source| ImageError::File {
        doing: "read",
        path: path.to_owned(),
        hint: "remove it from the cache folder and run again",
        source,
    })?;
    match path.extension() {
        Some(ending) if ending == "xz" => unxz(&content),
        _ => Ok(content),
    }
}

/// Returns the names in `depends=` of a module.
fn depends(content: &[u8]) -> Vec<String> {
    const KEY: &[u8] = b"\0depends=";
    let at = content.windows(KEY.len()).position(|window| window == KEY);
    let rest = at.and_then(|at| content.get(at + KEY.len()..));
    let value = rest.and_then(|rest| rest.split(|byte| *byte == 0).next());
    let value = String::from_utf8_lossy(value.unwrap_or_default()).replace('-', "_");
    let names = value.split(',').filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

fn unxz(content: &[u8]) -> Result<Vec<u8>, ImageError> {
    let failed = |source| ImageError::File {
        doing: "decompress",
        path: "a kernel module".into(),
        hint: "remove the cache folder and run again",
        source,
    };
    let file = tempfile::NamedTempFile::new().map_err(failed)?;
    fs::write(file.path(), content).map_err(failed)?;
    let output = command("xz")
        .args(["--decompress", "--stdout", "--format=xz"])
        .stdin(file.reopen().map_err(failed)?)
        .output()
        .map_err(failed)?;
    match output.status.success() {
        true => Ok(output.stdout),
        false => Err(failed(std::io::ErrorKind::InvalidData.into())),
    }
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

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(b"ELF\0license=GPL\0depends=kvm,irq-bypass\0name=x\0", &["kvm", "irq_bypass"])]
    #[case(b"ELF\0depends=\0name=x\0", &[])]
    #[case(b"ELF", &[])]
    fn a_module_says_what_it_depends_on(#[case] content: &[u8], #[case] want: &[&str]) {
        assert_eq!(depends(content), want);
    }

    #[test]
    fn modules_come_behind_what_they_need() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, depends: &str| {
            let text = format!("\0depends={depends}\0");
            fs::write(folder.path().join(name), text).unwrap();
        };
        write("kvm-amd.ko", "kvm,ccp");
        write("kvm.ko", "irqbypass");
        write("irqbypass.ko", "");
        write("ccp.ko", "");
        let entries = modules_of(folder.path()).unwrap();
        let names: Vec<_> = entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::File { name, .. } => Some(name.as_str()),
                _ => None,
            })
            .collect();
        let want = ["000-irqbypass", "001-kvm", "002-ccp", "003-kvm_amd"];
        assert_eq!(names, want.map(|name| format!("modules/{name}.ko")));
    }
}
