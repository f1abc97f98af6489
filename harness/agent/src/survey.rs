//! Reads the state that a case must not change. It is read after each case through descriptors that
//! stay open, because under TCG resolving a path takes several times as long as reading the file.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::{
        fd::{FromRawFd, OwnedFd},
        unix::fs::{FileExt, MetadataExt},
    },
    path::Path,
};

use nix::{
    dir::Dir,
    fcntl::{FcntlArg, OFlag, fcntl, open},
    sys::stat::Mode,
};
use wire::World;

use crate::leak;

/// First number of the descriptors that stay open, so that the numbers of a case's descriptors do
/// not depend on the guest's devices.
const KEPT: i32 = 128;
/// Length of /proc/vmstat that includes the counters of pins. The kernel only generates as much as
/// is read.
const VMSTAT: usize = 2048;
/// Links to a folder without folders: its name and its dot.
const OWN_LINKS: u64 = 2;

/// Everything that is read after a case.
pub struct Survey {
    devices: Listing<()>,
    drivers: Listing<Folder>,
    groups: Listing<Line>,
    mock_devices: Listing<()>,
    taint: Kept,
    /// Adds the per-CPU counters to the totals in /proc/vmstat.
    refresh: Kept,
    vmstat: Kept,
    /// Has a folder for each VM.
    kvm: Kept,
}

impl Survey {
    /// Returns a survey that has not opened anything yet.
    pub const fn new() -> Self {
        Self {
            devices: Listing::new("/sys/bus/pci/devices"),
            drivers: Listing::new("/sys/bus/pci/drivers"),
            groups: Listing::new("/sys/kernel/iommu_groups"),
            mock_devices: Listing::new("/sys/bus/iommufd_mock/devices"),
            taint: Kept::new("/proc/sys/kernel/tainted"),
            refresh: Kept::new("/proc/sys/vm/stat_refresh"),
            vmstat: Kept::new("/proc/vmstat"),
            kvm: Kept::new("/sys/kernel/debug/kvm"),
        }
    }

    /// Returns the state that a guest has to have after each case.
    pub fn world(&mut self, leftover_processes: Vec<String>) -> World {
        World {
            drivers: self.drivers(),
            group_types: self.group_types(),
            taint: self.taint.read(32).trim_end().parse().unwrap_or(0),
            leftover_processes,
            pinned_pages: self.pinned_pages(),
            mock_devices: self.mock_devices.look().map(|(name, ())| name).collect(),
            vms: self.kvm.folders(),
        }
    }

    /// Returns the driver of each device. Drivers have links to their devices, and there are fewer
    /// drivers than devices.
    fn drivers(&mut self) -> BTreeMap<String, Option<String>> {
        let devices = self.devices.look();
        let mut drivers: BTreeMap<_, _> = devices.map(|(name, ())| (name, None)).collect();
        for (driver, links) in self.drivers.look() {
            for (link, _) in links.entries() {
                if let Some(of_device) = drivers.get_mut(&link) {
                    *of_device = Some(driver.clone());
                }
            }
        }
        drivers
    }

    fn group_types(&mut self) -> BTreeMap<u32, String> {
        let groups = self.groups.look();
        let kind = |(name, line): (String, &mut Line)| Some((name.parse().ok()?, line.read()));
        groups.filter_map(kind).collect()
    }

    /// Returns the number of pages of user memory that are pinned for DMA in the whole guest.
    fn pinned_pages(&mut self) -> i64 {
        let _ = self.refresh.read(1);
        let part = self.vmstat.read(VMSTAT);
        let whole = || leak::pinned_in(&fs::read_to_string("/proc/vmstat").ok()?);
        leak::pinned_in(&part).or_else(whole).unwrap_or(0)
    }
}

/// A file that stays open after it was first opened.
struct Kept {
    path: &'static str,
    file: Option<File>,
}

impl Kept {
    const fn new(path: &'static str) -> Self {
        Self { path, file: None }
    }

    fn open(&mut self) -> Option<&File> {
        if self.file.is_none() {
            self.file = keep(self.path, OFlag::O_RDONLY).map(File::from);
        }
        self.file.as_ref()
    }

    /// Returns the beginning of its text, or an empty text if it cannot be read.
    fn read(&mut self, most: usize) -> String {
        self.open()
            .map_or_else(String::new, |file| beginning(file, most))
    }

    /// Returns how many folders it has, if it is a folder: each has a link to it. That is much faster
    /// than a list of what else is there.
    fn folders(&mut self) -> u64 {
        let metadata = self.open().and_then(|folder| folder.metadata().ok());
        metadata.map_or(0, |it| it.nlink().saturating_sub(OWN_LINKS))
    }
}

/// A folder that is listed repeatedly.
struct Folder(Option<Dir>);

impl Folder {
    fn open(path: &Path) -> Self {
        let folder = keep(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY);
        Self(folder.and_then(|folder| Dir::from_fd(folder).ok()))
    }

    /// Returns the names and inodes of its current entries, or nothing if it cannot be read.
    fn entries(&mut self) -> impl Iterator<Item = (String, u64)> {
        let entries = self.0.iter_mut().flat_map(Dir::iter).flatten();
        let named = entries.map(|it| (it.file_name().to_string_lossy().into_owned(), it.ino()));
        named.filter(|(name, _)| name != "." && name != "..")
    }
}

/// A file of one line that is read repeatedly.
struct Line(Option<File>);

impl Line {
    /// Returns an empty text if the file cannot be read.
    fn read(&self) -> String {
        let text = self.0.as_ref().map(|file| beginning(file, 64));
        text.unwrap_or_default().trim_end().to_owned()
    }
}

/// A file or folder that is kept open for each member of a folder.
trait Member {
    fn open(path: &Path) -> Self;
    /// Whether it is open. If not, it is opened again at the next listing.
    fn is_open(&self) -> bool;
}

impl Member for () {
    fn open(_: &Path) -> Self {}
    fn is_open(&self) -> bool {
        true
    }
}

impl Member for Folder {
    fn open(path: &Path) -> Self {
        Self::open(path)
    }

    fn is_open(&self) -> bool {
        self.0.is_some()
    }
}

/// The type of an IOMMU group.
impl Member for Line {
    fn open(path: &Path) -> Self {
        Self(keep(path.join("type"), OFlag::O_RDONLY).map(File::from))
    }

    fn is_open(&self) -> bool {
        self.0.is_some()
    }
}

/// A folder of sysfs, and what is kept open for its members. A member that was removed and added
/// again has another inode, and is opened again.
struct Listing<T> {
    path: &'static str,
    folder: Folder,
    members: BTreeMap<String, (u64, T)>,
}

impl<T: Member> Listing<T> {
    const fn new(path: &'static str) -> Self {
        Self {
            path,
            folder: Folder(None),
            members: BTreeMap::new(),
        }
    }

    /// Returns the current members.
    fn look(&mut self) -> impl Iterator<Item = (String, &mut T)> {
        if self.folder.0.is_none() {
            self.folder = Folder::open(Path::new(self.path));
        }
        let mut before = std::mem::take(&mut self.members);
        for (name, inode) in self.folder.entries() {
            let known = before.remove(&name);
            let known = known.filter(|(known, kept)| *known == inode && kept.is_open());
            let anew = || (inode, T::open(&Path::new(self.path).join(&name)));
            let member = known.unwrap_or_else(anew);
            self.members.insert(name, member);
        }
        let members = self.members.iter_mut();
        members.map(|(name, (_, kept))| (name.clone(), kept))
    }
}

fn beginning(file: &File, most: usize) -> String {
    let mut buffer = vec![0; most];
    let read = file.read_at(&mut buffer, 0).unwrap_or(0);
    buffer.truncate(read);
    String::from_utf8(buffer).unwrap_or_default()
}

/// Opens a file beyond the descriptors of cases.
fn keep(path: impl AsRef<Path>, how: OFlag) -> Option<OwnedFd> {
    let first = open(path.as_ref(), how | OFlag::O_CLOEXEC, Mode::empty()).ok()?;
    let kept = fcntl(&first, FcntlArg::F_DUPFD_CLOEXEC(KEPT)).ok()?;
    // SAFETY: a new descriptor that nobody else owns.
    Some(unsafe { OwnedFd::from_raw_fd(kept) })
}

/// In the process of a case: closes all kept descriptors. Their owners must not be used or dropped
/// in this process afterwards.
pub fn close_kept() {
    // SAFETY: see above; the process ends without running the destructors of what it inherited.
    unsafe { libc::syscall(libc::SYS_close_range, KEPT, u32::MAX, 0) };
}
