//! The guest's environment: file systems, modules, the ports, power-off.

use std::{
    ffi::CString,
    fs::{self, File, OpenOptions},
    io,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
    time::Duration,
};

use nix::{
    mount::{MsFlags, mount},
    sys::{
        reboot::{RebootMode, reboot},
        signal::{SigHandler, Signal, signal},
    },
};

/// Source, target, type, and whether it is required, in order.
const MOUNTS: [(&str, &str, &str, bool); 6] = [
    ("proc", "/proc", "proc", true),
    ("sysfs", "/sys", "sysfs", true),
    ("devtmpfs", "/dev", "devtmpfs", true),
    ("tmpfs", "/tmp", "tmpfs", false),
    ("debugfs", "/sys/kernel/debug", "debugfs", false),
    ("hugetlbfs", "/dev/hugepages", "hugetlbfs", false),
];

/// Mounts the file systems that facts and ops rely on.
pub fn mount_all() -> io::Result<()> {
    for (source, target, kind, needed) in MOUNTS {
        // A missing mount point in sysfs cannot be created; the mount then reports the error.
        let _ = fs::create_dir_all(target);
        let done = mount(
            Some(source),
            target,
            Some(kind),
            MsFlags::empty(),
            None::<&str>,
        );
        match done {
            Err(errno) if needed && errno != nix::errno::Errno::EBUSY => {
                return Err(io::Error::other(format!(
                    "mounting {kind} on {target}: {errno}"
                )));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Number of huge pages for the cases. They are reserved before memory is fragmented.
const HUGE_PAGES: &str = "8";

/// Fills the pool of huge pages. If the kernel has none, the facts say so.
pub fn reserve_huge_pages() {
    let _ = crate::sysfs::write("/proc/sys/vm/nr_hugepages", HUGE_PAGES);
}

/// Folder of the modules in the initramfs, named in the order of loading.
const MODULES: &str = "/modules";
/// `MODULE_INIT_COMPRESSED_FILE`: the kernel unpacks it.
const COMPRESSED: libc::c_int = 4;

/// Loads the modules of the initramfs. An error is printed to the console, and the facts then lack
/// what the module provides, with a reason.
pub fn load_modules() {
    let cmdline = crate::sysfs::read("/proc/cmdline");
    for name in crate::sysfs::names(MODULES) {
        let parameters = parameters_of(&name, &cmdline);
        if let Err(error) = load_module(&Path::new(MODULES).join(&name), &parameters) {
            eprintln!("conformance agent: module {name}: {error}");
        }
    }
}

fn load_module(path: &Path, parameters: &str) -> io::Result<()> {
    let file = File::open(path)?;
    let parameters = CString::new(parameters)?;
    let plain = path.extension().is_some_and(|ending| ending == "ko");
    let flags = if plain { 0 } else { COMPRESSED };
    let fd = file.as_raw_fd();
    // SAFETY: plain system call on a descriptor and a C string that outlive it.
    let done = unsafe { libc::syscall(libc::SYS_finit_module, fd, parameters.as_ptr(), flags) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Returns the parameters of a module on the kernel's command line, as modprobe would pass them:
/// for `007-vfio-pci.ko` the values of `vfio_pci.NAME=VALUE`.
fn parameters_of(file: &str, cmdline: &str) -> String {
    let module = file.split_once('-').map_or(file, |(_, module)| module);
    let module = module
        .split(".ko")
        .next()
        .unwrap_or(module)
        .replace('-', "_");
    let own = cmdline.split_whitespace().filter_map(|word| {
        let (name, parameter) = word.split_once('.')?;
        (name.replace('-', "_") == module).then_some(parameter)
    });
    own.collect::<Vec<_>>().join(" ")
}

const PORTS: &str = "/sys/class/virtio-ports";

/// The agent's connection to the host.
pub struct Ports {
    /// Frames of [`wire::Request`].
    pub requests: File,
    /// Frames of [`wire::Reply`].
    pub replies: File,
}

impl Ports {
    /// Opens the virtio-serial ports. QEMU tells of a port and of its name in messages that the kernel
    /// takes up while it boots on. The deadline is the host's, which knows how slow it is: it gives
    /// up a guest that does not say hello, or tries another one.
    pub fn open() -> io::Result<Self> {
        let requests = open_port(wire::REQUESTS, OpenOptions::new().read(true))?;
        let replies = open_port(wire::REPLIES, OpenOptions::new().write(true))?;
        Ok(Self { requests, replies })
    }
}

fn open_port(name: &str, how: &OpenOptions) -> io::Result<File> {
    loop {
        if let Some(port) = find_port(name)? {
            return how.open(port);
        }
        // sysfs does not notify watchers of a directory.
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The folder is there as soon as the kernel has the driver.
fn find_port(port: &str) -> io::Result<Option<PathBuf>> {
    for entry in fs::read_dir(PORTS)?.flatten() {
        let name = fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if name.trim() == port {
            return Ok(Some(Path::new("/dev").join(entry.file_name())));
        }
    }
    Ok(None)
}

/// Makes SIGTERM end the agent, which PID 1 ignores by default.
pub fn die_of_sigterm() -> nix::Result<()> {
    extern "C" fn exit(_: i32) {
        // SAFETY: async-signal-safe, and nothing is left to be done.
        unsafe { libc::_exit(1) };
    }
    // SAFETY: the handler only exits.
    unsafe { signal(Signal::SIGTERM, SigHandler::Handler(exit)) }.map(drop)
}

/// Ends the guest; QEMU exits with it.
pub fn power_off() {
    let _ = reboot(RebootMode::RB_POWER_OFF);
    // Without ACPI power-off the kernel only halts; a restart ends QEMU under -no-reboot.
    let _ = reboot(RebootMode::RB_AUTOBOOT);
}

#[cfg(test)]
mod tests {
    use super::parameters_of;

    #[test]
    fn a_module_gets_its_own_parameters() {
        let cmdline = "console=ttyS0 vfio_pci.disable_idle_d3=1 vfio-pci.nointxmask=0 vfio.x=1";
        let wanted = "disable_idle_d3=1 nointxmask=0";
        assert_eq!(parameters_of("007-vfio-pci.ko.xz", cmdline), wanted);
        assert_eq!(parameters_of("001-irqbypass.ko", cmdline), "");
    }
}
