//! Detects memory that is still pinned or accounted after a case has closed everything.

use std::{
    fs::{self, File},
    os::fd::AsRawFd,
};

use crate::sysfs;

/// Counters of a process that are 0 once its last iommufd, container and device is closed.
const ACCOUNTED: [&str; 2] = ["VmLck", "VmPin"];
/// Prefixes in `/proc/self/maps` of files whose mappings keep a device or an iommu_fd alive.
const DEVICE_FILES: [&str; 3] = ["/dev/", "anon_inode:", "/dmabuf:"];
/// Standard input, output and error.
const FIRST_FD: u32 = 3;

/// Closes everything except `keep`, and unmaps devices. Returns what is still accounted to this
/// process.
pub fn let_go(keep: &File) -> Vec<String> {
    close_all_but(keep.as_raw_fd() as u32);
    if accounted().is_empty() {
        return Vec::new();
    }
    // A mapping of a device keeps the device open, and with it the memory that it can access.
    unmap_devices();
    accounted()
}

fn close_all_but(keep: u32) {
    for (first, last) in [(FIRST_FD, keep - 1), (keep + 1, u32::MAX)] {
        if first <= last {
            // SAFETY: the process executes no more ops; nothing of it uses a descriptor again.
            unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
        }
    }
}

fn accounted() -> Vec<String> {
    accounted_in(&sysfs::read("/proc/self/status"))
}

fn accounted_in(status: &str) -> Vec<String> {
    status
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.trim()))
        .filter(|(name, value)| ACCOUNTED.contains(name) && *value != "0 kB")
        .map(|(name, value)| format!("{name} is {value} with everything closed"))
        .collect()
}

fn unmap_devices() {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for (start, length) in maps.lines().filter_map(device_mapping) {
        // SAFETY: the process executes no more ops; nothing of it uses the mapping again.
        unsafe { libc::munmap(start as *mut libc::c_void, length) };
    }
}

/// Returns the start and length of a mapping, if it is one of a device.
fn device_mapping(line: &str) -> Option<(usize, usize)> {
    let file = line.split_whitespace().nth(5)?;
    if !DEVICE_FILES.iter().any(|prefix| file.starts_with(prefix)) {
        return None;
    }
    let (start, end) = line.split_whitespace().next()?.split_once('-')?;
    let start = usize::from_str_radix(start, 16).ok()?;
    let end = usize::from_str_radix(end, 16).ok()?;
    Some((start, end.checked_sub(start)?))
}

/// Returns the number of pages of user memory that are pinned for DMA in the whole guest, from the
/// beginning of `/proc/vmstat`. Returns `None` if the text does not have the counters.
pub fn pinned_in(vmstat: &str) -> Option<i64> {
    let count = |name: &str| {
        let whole = vmstat.split_inclusive('\n').filter(|it| it.ends_with('\n'));
        let mut lines = whole.filter_map(|line| line.split_once(' '));
        let (_, value) = lines.find(|(known, _)| *known == name)?;
        value.trim_end().parse::<i64>().ok()
    };
    Some(count("nr_foll_pin_acquired")? - count("nr_foll_pin_released")?)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::nothing("Name:\tx\nVmLck:\t       0 kB\nVmPin:\t       0 kB\n", &[])]
    #[case::pinned("VmLck:\t       0 kB\nVmPin:\t       8 kB\n", &["VmPin is 8 kB with everything closed"])]
    #[case::locked("VmLck:\t       4 kB\nVmRSS:\t 100 kB\n", &["VmLck is 4 kB with everything closed"])]
    fn accounted_memory_is_named(#[case] status: &str, #[case] want: &[&str]) {
        assert_eq!(accounted_in(status), want);
    }

    #[rstest]
    #[case::cdev("7f0000001000-7f0000003000 rw-s 00000000 00:05 9   /dev/vfio/devices/vfio0", Some((0x7f00_0000_1000, 0x2000)))]
    #[case::group("7f0000001000-7f0000002000 rw-s 00000000 00:05 9   anon_inode:[vfio-device]", Some((0x7f00_0000_1000, 0x1000)))]
    #[case::own("7f0000001000-7f0000002000 r-xp 00000000 00:02 9   /init", None)]
    #[case::anonymous("7f0000001000-7f0000002000 rw-p 00000000 00:00 0", None)]
    #[case::empty("", None)]
    #[case::nonsense("x y z 0 1 /dev/null", None)]
    fn mappings_of_devices_are_told(#[case] line: &str, #[case] want: Option<(usize, usize)>) {
        assert_eq!(device_mapping(line), want);
    }

    #[rstest]
    #[case::told(
        "nr_free_pages 5\nnr_foll_pin_acquired 7\nnr_foll_pin_released 4\n",
        Some(3)
    )]
    #[case::cut("nr_foll_pin_acquired 17\nnr_foll_pin_released 1", None)]
    #[case::nothing("", None)]
    fn pins_are_what_was_acquired_and_not_released(
        #[case] vmstat: &str,
        #[case] want: Option<i64>,
    ) {
        assert_eq!(pinned_in(vmstat), want);
    }
}
