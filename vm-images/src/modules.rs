//! Kernel modules for an initramfs: unpacked, and in the order of loading.
//!
//! Packages and build folders have no `modules.dep`, so the dependencies are read from each module.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use memchr::memmem;

use crate::{compression::Compression, error::ImageError, initramfs::Entry, ready::ReadyError};

/// Modules that the suite can use. One that does not exist is built in or missing; the agent's
/// facts show which.
pub(crate) const WANTED: [&str; 18] = [
    "virtio_pci",
    "virtio_console",
    "virtio_iommu",
    "virtio_rng",
    "iommufd",
    "vfio",
    "vfio_iommu_type1",
    "vfio_pci",
    "mdev",
    "vfio_mdev",
    "mtty",
    "pci_stub",
    "pci_pf_stub",
    "iommufd_test",
    "udmabuf",
    "system_heap",
    "kvm_amd",
    "kvm_intel",
];

/// Folder for them in the initramfs, as `NNN-NAME.ko` in the order of loading.
pub const MODULES_DIR: &str = "modules";
/// How a module's file name ends.
const ENDINGS: [&str; 4] = [".ko", ".ko.xz", ".ko.zst", ".ko.gz"];

/// A module, unpacked.
#[derive(Clone, PartialEq, Eq)]
pub struct Module {
    /// Name, such as `vfio_pci`.
    pub name: String,
    /// Content.
    pub content: Vec<u8>,
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.content.len())
    }
}

/// Returns the entries of an initramfs that has the modules, which are in the order of loading.
pub fn module_entries(modules: &[Module]) -> Vec<Entry> {
    if modules.is_empty() {
        return Vec::new();
    }
    let folder = Entry::Dir {
        name: MODULES_DIR.to_owned(),
    };
    let file = |(index, module): (usize, &Module)| Entry::File {
        name: format!("{MODULES_DIR}/{index:03}-{}.ko", module.name),
        mode: 0o644,
        content: module.content.clone(),
    };
    let files = modules.iter().enumerate().map(file);
    std::iter::once(folder).chain(files).collect()
}

/// Files of modules, by name.
pub(crate) type Files = BTreeMap<String, PathBuf>;

/// Returns the wanted modules and their dependencies, dependencies first. A missing one is built
/// in. With a release, all of them have to be of it.
pub(crate) fn pack(
    wanted: &[&str],
    files: &Files,
    release: Option<&str>,
) -> Result<Vec<Module>, ImageError> {
    let mut packer = Packer {
        files,
        release,
        packed: Vec::new(),
        open: Vec::new(),
    };
    for name in wanted {
        packer.add(name)?;
    }
    Ok(packer.packed)
}

struct Packer<'a> {
    files: &'a Files,
    release: Option<&'a str>,
    packed: Vec<Module>,
    /// Modules whose dependencies are being added. Damaged modules may depend on each other.
    open: Vec<String>,
}

impl Packer<'_> {
    /// Adds a module after its dependencies.
    fn add(&mut self, name: &str) -> Result<(), ImageError> {
        let known = self.packed.iter().any(|module| module.name == name)
            || self.open.iter().any(|open| open == name);
        let Some(path) = self.files.get(name).filter(|_| !known) else {
            return Ok(());
        };
        let content = content(path)?;
        self.check(path, &content)?;
        self.open.push(name.to_owned());
        for needed in depends(&content) {
            self.add(&needed)?;
        }
        self.open.pop();
        self.packed.push(Module {
            name: name.to_owned(),
            content,
        });
        Ok(())
    }

    fn check(&self, path: &Path, content: &[u8]) -> Result<(), ImageError> {
        match (self.release, vermagic(content)) {
            (Some(release), Some(found)) if found != release => {
                Err(ImageError::Ready(ReadyError::OtherModules {
                    path: path.to_owned(),
                    found,
                    release: release.to_owned(),
                }))
            }
            _ => Ok(()),
        }
    }
}

fn content(path: &Path) -> Result<Vec<u8>, ImageError> {
    let content = fs::read(path).map_err(|source| ImageError::Given {
        what: "kernel module",
        path: path.to_owned(),
        source,
    })?;
    match Compression::of(&content) {
        None => Ok(content),
        Some(compression) => compression.content(&content).map_err(|source| {
            ImageError::Ready(ReadyError::DamagedModule {
                path: path.to_owned(),
                source,
            })
        }),
    }
}

/// Whether a file name is one of a module.
pub(crate) fn is_module(file: &str) -> bool {
    ENDINGS.iter().any(|ending| file.ends_with(ending))
}

/// Returns all modules below a folder, by name.
pub(crate) fn below(folder: &Path) -> Files {
    let mut found = Files::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // Links lead to the tree of the kernel's source.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(below(&path));
        } else if is_module(&entry.file_name().to_string_lossy()) {
            found.insert(name_of(&path.to_string_lossy()), path);
        }
    }
    found
}

/// Returns the modules that a finished build lists, by name. `None` if it has no list, which is
/// written last.
pub(crate) fn of_build(folder: &Path) -> Option<Files> {
    let list = fs::read_to_string(folder.join("modules.order")).ok()?;
    let file = |line: &str| {
        // Since 6.3 the list has the objects that the modules are linked from.
        let path = folder.join(line.trim()).with_extension("ko");
        path.is_file().then(|| (name_of(line), path))
    };
    Some(list.lines().filter_map(file).collect())
}

/// Returns the name of a module: `vfio_pci` for `kernel/drivers/vfio/pci/vfio-pci.ko.xz`.
fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path).trim();
    let ends = file.find(".ko").or_else(|| file.rfind(".o"));
    let stem = ends.and_then(|at| file.get(..at)).unwrap_or(file);
    stem.replace('-', "_")
}

/// Returns the value of a field that modinfo shows.
fn modinfo(content: &[u8], key: &str) -> Option<String> {
    let key = format!("\0{key}=");
    let at = memmem::find(content, key.as_bytes())?;
    let rest = content.get(at + key.len()..)?;
    let value = rest.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// Returns the names of the modules that a module needs.
fn depends(content: &[u8]) -> Vec<String> {
    let value = modinfo(content, "depends").unwrap_or_default();
    let value = value.replace('-', "_");
    let names = value.split(',').filter(|name| !name.is_empty());
    names.map(str::to_owned).collect()
}

/// Returns the release that a module was built for, such as `7.3.4` of `7.3.4 SMP mod_unload`.
fn vermagic(content: &[u8]) -> Option<String> {
    let value = modinfo(content, "vermagic")?;
    value.split(' ').next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    fn folder(modules: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, depends) in modules {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let text = format!("\0vermagic=7.3.4 SMP \0depends={depends}\0");
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn names(modules: &[Module]) -> Vec<&str> {
        modules.iter().map(|module| module.name.as_str()).collect()
    }

    #[rstest]
    #[case(b"ELF\0license=GPL\0depends=kvm,irq-bypass\0name=x\0", &["kvm", "irq_bypass"])]
    #[case(b"ELF\0depends=\0name=x\0", &[])]
    #[case(b"ELF\0depends=a", &["a"])]
    #[case(b"ELF", &[])]
    fn a_module_says_what_it_depends_on(#[case] content: &[u8], #[case] want: &[&str]) {
        assert_eq!(depends(content), want);
    }

    #[test]
    fn modules_come_behind_what_they_need_and_nothing_else_comes() {
        let folder = folder(&[
            ("kvm-amd.ko", "kvm,ccp"),
            ("kvm.ko", "irqbypass"),
            ("deep/irqbypass.ko", ""),
            ("ccp.ko", ""),
            ("btrfs.ko", "xor"),
        ]);
        let packed = pack(
            &["kvm_amd", "built_in"],
            &below(folder.path()),
            Some("7.3.4"),
        );
        let packed = packed.unwrap();
        assert_eq!(names(&packed), ["irqbypass", "kvm", "ccp", "kvm_amd"]);
        let entries = module_entries(&packed);
        assert!(
            matches!(&entries[4], Entry::File { name, .. } if name == "modules/003-kvm_amd.ko")
        );
    }

    #[test]
    fn a_circle_ends() {
        let folder = folder(&[("a.ko", "b"), ("b.ko", "a")]);
        let packed = pack(&["a"], &below(folder.path()), None).unwrap();
        assert_eq!(names(&packed), ["b", "a"]);
    }

    #[test]
    fn a_module_of_another_kernel_is_an_error_that_names_both() {
        let folder = folder(&[("vfio.ko", "")]);
        let error = pack(&["vfio"], &below(folder.path()), Some("7.3.5")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("7.3.4") && text.contains("7.3.5"), "{text}");
        assert_eq!(error.blame(), crate::Blame::Usage);
    }

    #[test]
    fn a_build_folder_lists_its_modules() {
        let folder = folder(&[("d/vfio-pci.ko", ""), ("d/vfio.ko", ""), ("stale.ko", "")]);
        let list = folder.path().join("modules.order");
        fs::write(list, "d/vfio-pci.o\nd/vfio.ko\nd/gone.o\n").unwrap();
        let files = of_build(folder.path()).unwrap();
        assert_eq!(files.keys().collect::<Vec<_>>(), ["vfio", "vfio_pci"]);
        assert!(files.values().all(|path| path.is_file()));
    }

    #[test]
    fn a_damaged_module_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("vfio.ko.xz"), b"\xfd7zXZ\0 half").unwrap();
        let error = pack(&["vfio"], &below(folder.path()), None).unwrap_err();
        assert!(
            error.to_string().contains("vfio.ko.xz is damaged"),
            "{error}"
        );
    }

    proptest! {
        #[test]
        fn never_panics(content in prop::collection::vec(any::<u8>(), 0..100), key in 0usize..3) {
            let key: &[u8] = [&b"\0depends="[..], b"\0vermagic=", b""][key];
            let bytes = [key, &content].concat();
            let _ = (depends(&bytes), vermagic(&bytes));
            let _ = name_of(&String::from_utf8_lossy(&content));
        }
    }
}
