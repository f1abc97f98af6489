//! Facts about the guest, as the agent sees them.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use serde::{Deserialize, Serialize};

/// Facts that are sent in the handshake.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Release of the kernel, as `uname -r` prints it.
    pub release: String,
    /// Version of its build, as `uname -v` prints it.
    pub version: String,
    /// Architecture, as `uname -m` prints it.
    pub machine: String,
    /// Command line of the kernel: `/proc/cmdline`.
    pub cmdline: String,
    /// Lines `CONFIG_X=y` of `/proc/config.gz`, as name and value; empty if the kernel does not
    /// have it.
    pub config: BTreeMap<String, String>,
    /// PCI devices and mdevs.
    pub devices: Vec<Device>,
    /// IOMMU groups of the guest: `/sys/kernel/iommu_groups`.
    pub groups: Vec<Group>,
    /// Features of the guest, by name: `Ok`, or the reason why one is missing.
    pub features: BTreeMap<String, Result<(), String>>,
    /// Numbers of the ioctls that `/dev/iommu` knows among [`PROBED`]; `None` without the file.
    pub known_ioctls: Option<BTreeSet<u32>>,
    /// State that the guest must have again after each case.
    pub world: World,
    /// Milliseconds from the start of the kernel to the handshake.
    pub uptime_ms: u64,
}

/// Numbers of iommufd's ioctls (`_IOC_NR`): those in use, and room for later ones.
pub const PROBED: RangeInclusive<u8> = 0x80..=0xbf;

/// Features by name: the path that shows each, and the reason if it is missing, which names the
/// options of the kernel that provide it.
pub const FEATURES: &[(&str, &str, &str)] = &[
    ("iommufd", "/dev/iommu", "no /dev/iommu (CONFIG_IOMMUFD)"),
    (
        "vfio_group",
        "/sys/class/vfio",
        "no groups of vfio (CONFIG_VFIO_GROUP)",
    ),
    (
        "vfio_container",
        "/sys/module/vfio_iommu_type1", // iommufd may provide /dev/vfio/vfio as well
        "no container of vfio (CONFIG_VFIO_CONTAINER)",
    ),
    (
        "vfio_cdev",
        "/dev/vfio/devices", // there once a device is on vfio-pci, so after set-up
        "no /dev/vfio/devices (CONFIG_VFIO_DEVICE_CDEV)",
    ),
    (
        "vfio_pci",
        "/sys/bus/pci/drivers/vfio-pci",
        "no vfio-pci driver (CONFIG_VFIO_PCI)",
    ),
    (
        "noiommu",
        "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode",
        "no noiommu mode (CONFIG_VFIO_NOIOMMU)",
    ),
    (
        "mdev_mtty",
        "/sys/class/mdev_bus/mtty",
        "no mtty (CONFIG_SAMPLE_VFIO_MDEV_MTTY)",
    ),
    (
        "pagemap",
        "/proc/self/pagemap",
        "no pagemap (CONFIG_PROC_PAGE_MONITOR)",
    ),
    (
        "hugepages",
        "/sys/kernel/mm/hugepages/hugepages-2048kB",
        "no huge pages of 2 MiB (CONFIG_HUGETLBFS)",
    ),
    (
        "udmabuf",
        "/dev/udmabuf",
        "no /dev/udmabuf (CONFIG_UDMABUF)",
    ),
    (
        "kvm",
        "/dev/kvm",
        "no /dev/kvm (CONFIG_KVM, CONFIG_KVM_AMD)",
    ),
    (
        "failslab",
        "/sys/kernel/debug/failslab",
        "no failslab in debugfs (CONFIG_FAILSLAB, CONFIG_FAULT_INJECTION_DEBUG_FS)",
    ),
    (
        "fail_nth",
        "/proc/self/fail-nth",
        "no /proc/self/fail-nth (CONFIG_FAULT_INJECTION)",
    ),
];

/// One device under `/sys/bus/pci/devices` or `/sys/bus/mdev/devices`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    /// Name on its bus: a PCI address such as `0000:00:04.0`, or an mdev UUID.
    pub name: String,
    /// Slot and function of each bridge on the way and of the device itself, such as `06.0/01.0`,
    /// by which the platform file identifies it. Empty for an mdev.
    pub path: String,
    /// PCI vendor and device id.
    pub id: (u16, u16),
    /// IOMMU group number.
    pub group: Option<u32>,
    /// Driver that it is bound to.
    pub driver: Option<String>,
}

/// One IOMMU group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Number of the group in sysfs.
    pub number: u32,
    /// Type of the default domain: `DMA`, `DMA-FQ`, `identity`, `blocked`, ...
    pub kind: String,
    /// Names of its devices.
    pub devices: Vec<String>,
}

/// State that a case may change and has to restore.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct World {
    /// Driver of each device.
    pub drivers: BTreeMap<String, Option<String>>,
    /// Default domain type of each group.
    pub group_types: BTreeMap<u32, String>,
    /// Taint flags of the kernel, as bits: `/proc/sys/kernel/tainted`.
    pub taint: u64,
    /// Processes of the case that outlived it; each may hold a vfio or iommufd descriptor.
    pub leftover_processes: Vec<String>,
    /// Pages of user memory that are pinned for DMA: `nr_foll_pin_acquired` less
    /// `nr_foll_pin_released` of `/proc/vmstat`.
    pub pinned_pages: i64,
    /// Devices of the iommufd mock bus; each belongs to an iommu_fd that is open.
    pub mock_devices: Vec<String>,
    /// Virtual machines of KVM.
    pub vms: u64,
}

/// Set by actions that a case may request (noiommu, sysrq), so it is not a complaint of the kernel.
const TAINT_USER: u64 = 1 << 6;

/// The kernel has warned.
pub const TAINT_WARN: u64 = 1 << 9;
/// The kernel has found memory that is not as it should be.
pub const TAINT_BAD_PAGE: u64 = 1 << 5;
/// The kernel has killed a process for an Oops.
pub const TAINT_DIE: u64 = 1 << 7;
/// Taint that comes with a complaint in the log.
pub const TAINT_OF_COMPLAINTS: u64 = TAINT_WARN | TAINT_BAD_PAGE | TAINT_DIE;

impl World {
    /// Describes the differences between this state and `later`, one in each line.
    pub fn changes(&self, later: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        diff("driver of", &self.drivers, &later.drivers, &mut changes);
        diff(
            "default domain of group",
            &self.group_types,
            &later.group_types,
            &mut changes,
        );
        let (before, after) = (self.taint & !TAINT_USER, later.taint & !TAINT_USER);
        if before != after {
            changes.push(format!("kernel taint: {before:#x} became {after:#x}"));
        }
        for process in &later.leftover_processes {
            changes.push(format!("still running: {process}"));
        }
        if self.pinned_pages != later.pinned_pages {
            let (before, after) = (self.pinned_pages, later.pinned_pages);
            changes.push(format!("pinned pages: {before} became {after}"));
        }
        for device in &later.mock_devices {
            changes.push(format!("still there: mock device {device}"));
        }
        if self.vms != later.vms {
            changes.push(format!("VMs of KVM: {} became {}", self.vms, later.vms));
        }
        changes
    }
}

/// Returns the bits that a change of the kernel's taint adds, if a line of [`World::changes`] is one.
pub fn added_taint(change: &str) -> Option<u64> {
    let (before, after) = change
        .strip_prefix("kernel taint: ")?
        .split_once(" became ")?;
    let bits = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    Some(bits(after)? & !bits(before)?)
}

fn diff<K: Ord + std::fmt::Display, V: PartialEq + std::fmt::Debug>(
    what: &str,
    before: &BTreeMap<K, V>,
    after: &BTreeMap<K, V>,
    changes: &mut Vec<String>,
) {
    for (key, old) in before {
        match after.get(key) {
            None => changes.push(format!("{what} {key}: gone (was {old:?})")),
            Some(new) if new != old => {
                changes.push(format!("{what} {key}: {old:?} became {new:?}"));
            }
            Some(_) => {}
        }
    }
    for key in after.keys().filter(|key| !before.contains_key(key)) {
        changes.push(format!("{what} {key}: new"));
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing(World::default(), &[])]
    #[case::what_the_case_was_for(World { taint: TAINT_USER, ..World::default() }, &[])]
    #[case::taint(World { taint: 0x200, ..World::default() }, &["kernel taint: 0x0 became 0x200"])]
    #[case::pins(World { pinned_pages: 2, ..World::default() }, &["pinned pages: 0 became 2"])]
    #[case::mock(
        World { mock_devices: vec!["iommufd_mock0".to_owned()], ..World::default() },
        &["still there: mock device iommufd_mock0"],
    )]
    #[case::process(
        World { leftover_processes: vec!["process 7".to_owned()], ..World::default() },
        &["still running: process 7"],
    )]
    fn what_a_case_leaves_behind_is_named(#[case] later: World, #[case] want: &[&str]) {
        assert_eq!(World::default().changes(&later), want);
    }

    #[test]
    fn a_change_of_the_taint_is_read_back() {
        let tainted = |taint| World {
            taint,
            ..World::default()
        };
        let changes = tainted(0x280).changes(&tainted(0x2a0));
        assert_eq!(added_taint(&changes[0]), Some(0x20));
        assert_eq!(added_taint("pinned pages: 0 became 2"), None);
    }
}
