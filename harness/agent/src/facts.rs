//! Facts of the guest for the handshake.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::Read,
    os::fd::AsRawFd,
    path::Path,
};

use nix::errno::Errno;
use wire::{Device, Facts, Group};

use crate::{survey::Survey, sysfs};

/// Collects everything that the host needs to compile a case.
pub fn collect(survey: &mut Survey) -> Facts {
    let config = config();
    let uname = nix::sys::utsname::uname().ok();
    let field = |get: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        uname
            .as_ref()
            .map(|u| get(u).to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    Facts {
        release: field(nix::sys::utsname::UtsName::release),
        version: field(nix::sys::utsname::UtsName::version),
        machine: field(nix::sys::utsname::UtsName::machine),
        cmdline: sysfs::read("/proc/cmdline"),
        features: features(),
        config,
        devices: devices(),
        groups: groups(),
        known_ioctls: known_ioctls(),
        world: survey.world(Vec::new()),
        uptime_ms: uptime_ms(),
    }
}

fn uptime_ms() -> u64 {
    let text = sysfs::read("/proc/uptime");
    let seconds = text.split(' ').next().and_then(|s| s.parse::<f64>().ok());
    (seconds.unwrap_or(0.0) * 1000.0) as u64
}

/// Asks an iommufd for each ioctl with a struct of 0 bytes: it is too short for one that is known,
/// which comes before any other check, and one that is not known is no ioctl at all.
fn known_ioctls() -> Option<BTreeSet<u32>> {
    let iommufd = File::options().read(true).write(true).open("/dev/iommu");
    let iommufd = iommufd.ok()?;
    let requests = wire::PROBED.map(|nr| u32::from_be_bytes([0, 0, b';', nr]));
    let known = requests.filter(|request| {
        let size = 0_u32;
        // SAFETY: the kernel reads at most the four bytes of `size`, which say that there is
        // nothing behind them.
        let end = unsafe { libc::ioctl(iommufd.as_raw_fd(), (*request).into(), &raw const size) };
        end == -1 && Errno::last() != Errno::ENOTTY
    });
    Some(known.collect())
}

/// Returns `/proc/config.gz` as names and values; empty if the kernel does not have it.
fn config() -> BTreeMap<String, String> {
    let mut text = String::new();
    if let Ok(file) = File::open("/proc/config.gz") {
        let _ = flate2::read::GzDecoder::new(file).read_to_string(&mut text);
    }
    text.lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| name.starts_with("CONFIG_"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn devices() -> Vec<Device> {
    let pci = sysfs::names("/sys/bus/pci/devices")
        .into_iter()
        .map(pci_device);
    let mdev = sysfs::names("/sys/bus/mdev/devices")
        .into_iter()
        .map(mdev_device);
    pci.chain(mdev).collect()
}

fn pci_device(name: String) -> Device {
    let sysfs = sysfs::pci(&name);
    let id = |file| {
        let text = sysfs::read(sysfs.join(file));
        u16::from_str_radix(text.trim_start_matches("0x"), 16).unwrap_or(0)
    };
    Device {
        path: bridge_path(&sysfs),
        id: (id("vendor"), id("device")),
        group: group_of(&sysfs),
        driver: sysfs::link_name(sysfs.join("driver")),
        name,
    }
}

fn mdev_device(name: String) -> Device {
    let sysfs = Path::new("/sys/bus/mdev/devices").join(&name);
    Device {
        path: String::new(),
        id: (0, 0),
        group: group_of(&sysfs),
        driver: sysfs::link_name(sysfs.join("driver")),
        name,
    }
}

fn group_of(sysfs: &Path) -> Option<u32> {
    sysfs::link_name(sysfs.join("iommu_group"))?.parse().ok()
}

/// Converts `pci0000:00/0000:00:06.0/0000:01:01.0` to `06.0/01.0`: the firmware chooses bus
/// numbers, the platform file slots.
fn bridge_path(sysfs: &Path) -> String {
    let real = fs::canonicalize(sysfs).unwrap_or_default();
    real.components()
        .map(|part| part.as_os_str().to_string_lossy())
        .filter(|part| part.len() == "0000:00:00.0".len() && part.as_bytes()[4] == b':')
        .map(|part| part["0000:00:".len()..].to_owned())
        .collect::<Vec<_>>()
        .join("/")
}

fn groups() -> Vec<Group> {
    let root = Path::new("/sys/kernel/iommu_groups");
    let mut groups: Vec<_> = sysfs::names(root)
        .into_iter()
        .filter_map(|name| {
            let directory = root.join(&name);
            Some(Group {
                number: name.parse().ok()?,
                kind: sysfs::read(directory.join("type")),
                devices: sysfs::names(directory.join("devices")),
            })
        })
        .collect();
    groups.sort_by_key(|group| group.number);
    groups
}

fn features() -> BTreeMap<String, Result<(), String>> {
    wire::FEATURES
        .iter()
        .map(|(name, path, why)| {
            let there = Path::new(path).exists();
            (
                (*name).to_owned(),
                if there {
                    Ok(())
                } else {
                    Err((*why).to_owned())
                },
            )
        })
        .collect()
}
