//! Modules of a ready kernel that a guest needs, in the order of loading.
//!
//! A distribution's kernel has thousands of modules; `modules.dep` lists the dependencies of each.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{error::ImageError, initramfs::Entry};

/// Modules that the suite can use. One that does not exist is built in or missing; the agent's
/// facts show which.
const WANTED: [&str; 14] = [
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
    "iommufd_test",
    "udmabuf",
];

/// Folder for them in the initramfs, as `NNN-NAME.ko` in the order of loading.
pub const MODULES_DIR: &str = "modules";

/// Packs the wanted modules below `folder`, which is the result of `make modules_install`
/// (`.../lib/modules/RELEASE`) or a parent folder of it.
pub fn pack_modules(folder: &Path) -> Result<Vec<Entry>, ImageError> {
    let dep = find_dep(folder).ok_or_else(|| ImageError::NoModules {
        path: folder.to_owned(),
    })?;
    let text = crate::cache::read(&dep)?;
    let root = dep.parent().unwrap_or(folder);
    let mut entries = vec![Entry::Dir {
        name: MODULES_DIR.to_owned(),
    }];
    for (index, path) in in_order(&text).into_iter().enumerate() {
        let from = root.join(&path);
        let content = fs::read(&from).map_err(|source| ImageError::File {
            doing: "read",
            path: from.clone(),
            hint: "modules.dep lists it; install all modules of this kernel",
            source,
        })?;
        let file = path.rsplit('/').next().unwrap_or(&path);
        entries.push(Entry::File {
            name: format!("{MODULES_DIR}/{index:03}-{file}"),
            mode: 0o644,
            content,
        });
    }
    Ok(entries)
}

/// Returns `modules.dep` in a folder, or in the first release below it.
fn find_dep(folder: &Path) -> Option<PathBuf> {
    let releases = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let mut places = vec![folder.to_owned()];
    places.extend(releases(folder));
    places.extend(releases(&folder.join("lib/modules")));
    places
        .into_iter()
        .map(|place| place.join("modules.dep"))
        .find(|path| path.exists())
}

/// Returns the paths of the wanted modules and their dependencies, dependencies first.
fn in_order(dep: &str) -> Vec<String> {
    let lines = dep.lines().filter_map(|line| line.split_once(':'));
    let table: BTreeMap<String, (&str, Vec<&str>)> = lines
        .map(|(path, needs)| (name_of(path), (path, needs.split_whitespace().collect())))
        .collect();
    let mut order: Vec<String> = Vec::new();
    for (path, needs) in WANTED.iter().filter_map(|name| table.get(*name)) {
        // modules.dep lists all dependencies; those to load first are at the end.
        for path in needs.iter().rev().chain([path]) {
            if !order.iter().any(|known| known == path) {
                order.push((*path).to_owned());
            }
        }
    }
    order
}

/// Returns the name of a module: `vfio_pci` for `kernel/drivers/vfio/pci/vfio-pci.ko.xz`.
pub(crate) fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.split(".ko").next().unwrap_or(file).replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEP: &str = "\
kernel/drivers/vfio/vfio.ko: kernel/drivers/iommu/iommufd/iommufd.ko
kernel/drivers/iommu/iommufd/iommufd.ko:
kernel/drivers/vfio/pci/vfio-pci.ko.xz: kernel/drivers/vfio/pci/vfio-pci-core.ko kernel/drivers/vfio/vfio.ko kernel/virt/lib/irqbypass.ko kernel/drivers/iommu/iommufd/iommufd.ko
kernel/drivers/vfio/pci/vfio-pci-core.ko: kernel/drivers/vfio/vfio.ko kernel/virt/lib/irqbypass.ko kernel/drivers/iommu/iommufd/iommufd.ko
kernel/fs/btrfs/btrfs.ko: kernel/lib/xor.ko
";

    #[test]
    fn dependencies_come_first_and_once_and_nothing_else_comes() {
        let names: Vec<_> = in_order(DEP).iter().map(|path| name_of(path)).collect();
        assert_eq!(
            names,
            ["iommufd", "vfio", "irqbypass", "vfio_pci_core", "vfio_pci"]
        );
    }

    #[test]
    fn a_folder_without_modules_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(pack_modules(folder.path()).is_err());
    }
}
