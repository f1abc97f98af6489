//! Platforms as data: every file reads, and what a QEMU offers is asked of the binary.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")]

mod common;

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use rstest::rstest;
use runner::{
    options::{root, vm_images_folder},
    platform::{Platform, names},
    qemu::{Accel, Argv, Machine, Qemu, QemuError},
};

/// A program that answers as QEMU does, with these devices and options.
///
/// It is a link to a script that is there already: a program that this process has just
/// written cannot be executed while another thread's child still has it open.
fn fake_qemu(folder: &Path, help: &[(&str, &str)]) -> Qemu {
    for (device, options) in help {
        let lines: String = options
            .split(' ')
            .map(|option| format!("  {option}=<str>\n"))
            .collect();
        let text = format!("{device} options:\n{lines}");
        fs::write(folder.join(format!("{device}.help")), text).unwrap();
    }
    let path = folder.join("qemu");
    symlink(common::fixtures("fake-qemu.sh"), &path).unwrap();
    Qemu::open(&path).unwrap()
}

const DEVICES: [(&str, &str); 12] = [
    ("nvme", "serial cmb_size_mb use-intel-id multifunction"),
    (
        "virtio-rng-pci",
        "disable-legacy iommu_platform ats multifunction",
    ),
    ("virtio-blk-pci", "disable-legacy class drive multifunction"),
    ("pcie-pci-bridge", "addr"),
    ("pcie-root-port", "chassis disable-acs x-speed"),
    ("pxb-pcie", "bus_nr bypass_iommu"),
    ("igb", "netdev"),
    ("edu", "romfile"),
    ("e1000e", "romfile"),
    ("sdhci-pci", "multifunction"),
    ("VGA", "romfile"),
    ("cxl-type3", "volatile-memdev"),
];

/// Such a program with an IOMMU and all devices but these.
fn fake_qemu_without(folder: &Path, iommu: (&str, &str), without: &[&str]) -> Qemu {
    let mut help: Vec<_> = DEVICES
        .iter()
        .copied()
        .filter(|(name, _)| !without.contains(name))
        .collect();
    help.push(iommu);
    fake_qemu(folder, &help)
}

fn argv(iommu: (&str, &str), without: &[&str], platform: &str) -> Result<Argv, QemuError> {
    let folder = tempfile::tempdir().unwrap();
    let qemu = fake_qemu_without(folder.path(), iommu, without);
    let platform = Platform::load(&vm_images_folder(), platform).unwrap();
    qemu.argv(&Machine {
        platform: &platform,
        accel: Accel::Tcg,
        kernel: Path::new("bzImage"),
        initramfs: Path::new("initramfs"),
        memory: 512,
        cmdline: "",
    })
}

#[test]
fn every_platform_can_be_read() {
    let vm_images: PathBuf = vm_images_folder();
    let names = names(&vm_images);
    assert!(names.len() >= 4);
    for name in names {
        let platform = Platform::load(&vm_images, &name).unwrap();
        assert!(!platform.devices.groups.is_empty(), "{name}");
    }
}

#[test]
fn an_unknown_finding_of_a_platform_is_told_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let platforms = folder.path().join("platforms");
    std::fs::create_dir(&platforms).unwrap();
    let stored = root().join("vm-images/platforms/intel-scalable.yaml");
    let text = std::fs::read_to_string(stored).unwrap();
    let text = text.replace("qemu-vtd-scalable-stays", "qemu-vtd-scalable-stay");
    std::fs::write(platforms.join("mine.yaml"), text).unwrap();
    let error = Platform::load(folder.path(), "mine")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("mine.yaml:17:14: unknown finding"),
        "{error}"
    );
    assert!(
        error.contains("did you mean `qemu-vtd-scalable-stays-passthrough`?"),
        "{error}"
    );
}

#[rstest]
#[case::old_names("intremap eim x-scalable-mode x-flts", "x-flts=on")]
#[case::new_names("intremap eim scalable-mode fsts", "fsts=on")]
fn an_option_has_the_name_that_the_binary_knows(#[case] options: &str, #[case] wanted: &str) {
    let argv = argv(("intel-iommu", options), &[], "intel-flts").unwrap();
    let iommu = argv.args.iter().find(|arg| arg.starts_with("intel-iommu"));
    assert!(iommu.unwrap().contains(wanted), "{iommu:?}");
    assert!(argv.lacking.is_empty());
}

#[test]
fn a_device_that_is_missing_costs_its_group_only() {
    let argv = argv(("intel-iommu", "intremap eim"), &["igb"], "intel").unwrap();
    let lacking: Vec<_> = argv.lacking.iter().collect();
    assert_eq!(lacking.len(), 1);
    assert_eq!(lacking[0].0, "sriov");
    assert!(
        lacking[0]
            .1
            .contains("QEMU emulator version 99.0 has no device `igb`")
    );
}

/// Older QEMUs lack a device, and distributions build theirs without some.
#[rstest]
#[case::all(&[], &[])]
#[case::one(&["igb"], &["group sriov is left out: QEMU emulator version 99.0 has no device `igb`"])]
#[case::two(&["nvme", "edu"], &[
    "group conventional is left out: QEMU emulator version 99.0 has no device `edu`",
    "groups bridge, direct-mapped, functions, hotplug, lone, noiommu, port, ports, second-hotplug, \
     solo are left out: QEMU emulator version 99.0 has no device `nvme`",
])]
fn what_is_left_out_is_one_line_for_each_reason(#[case] without: &[&str], #[case] want: &[&str]) {
    let argv = argv(
        ("intel-iommu", "intremap eim x-scalable-mode"),
        without,
        "intel",
    )
    .unwrap();
    assert_eq!(argv.left_out(), want);
}

/// A disk takes an option of its own, and before the disk.
#[test]
fn a_disk_has_its_block_device() {
    let argv = argv(("intel-iommu", "intremap eim"), &[], "intel").unwrap();
    let place = |text: &str| argv.args.iter().position(|arg| arg.contains(text));
    let block = place("driver=null-co,node-name=direct-mapped-3");
    let disk = place("virtio-blk-pci,class=1537,disable-legacy=on,drive=direct-mapped-3");
    assert_eq!(argv.args[block.unwrap() - 1], "-blockdev");
    assert!(block < disk, "{:?}", argv.args);
}

#[test]
fn an_iommu_that_is_missing_is_an_error_that_names_it() {
    let error = argv(("intel-iommu", "intremap eim"), &[], "intel-flts").unwrap_err();
    let text = error.to_string();
    assert!(text.contains("fsts|x-flts"), "{text}");
    assert!(text.contains("intel-flts"), "{text}");
}

/// Without DMA nearly every case would be skipped, and the run would be green.
#[rstest]
#[case::all(&[], None)]
#[case::some_groups(&["pxb-pcie"], None)]
#[case::no_engine(&["nvme"], Some("device `nvme`"))]
fn a_qemu_whose_devices_do_no_dma_lacks_the_platform(
    #[case] without: &[&str],
    #[case] want: Option<&str>,
) {
    let folder = tempfile::tempdir().unwrap();
    let qemu = fake_qemu_without(folder.path(), ("intel-iommu", "intremap eim"), without);
    let platform = Platform::load(&vm_images_folder(), "intel").unwrap();
    assert_eq!(qemu.missing(&platform).as_deref(), want);
}

/// Interrupt remapping takes an IOAPIC in user space, and KVM is the same machine as TCG only where
/// every platform has one.
#[test]
fn the_ioapic_is_outside_of_kvm_on_every_platform() {
    let vm_images: PathBuf = vm_images_folder();
    for name in names(&vm_images) {
        let platform = Platform::load(&vm_images, &name).unwrap();
        let chip = platform.machine_options.get("kernel-irqchip");
        let chip = chip.map(ToString::to_string);
        assert_eq!(chip.as_deref(), Some("split"), "{name}");
    }
}
