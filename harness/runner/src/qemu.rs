//! The QEMU binary: its features, its command line for a platform, and running processes.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::CommandExt},
    },
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Mutex, OnceLock,
        mpsc::{Sender, channel},
    },
};

use nix::{
    fcntl::{FcntlArg, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{prctl, signal::Signal},
};

use vm_images::x86::{CONSOLE, KVM_PROCESSOR, TCG_PROCESSOR};

use crate::accel::nested;
use crate::host_clock;
use crate::monitor::Monitor;
use crate::platform::{DeviceSpec, GroupSpec, Model, Options, Platform};
use crate::qemu_choice::NoQemu;

/// A QEMU binary and its features.
#[derive(Debug)]
pub struct Qemu {
    path: PathBuf,
    /// First line of `--version`.
    pub version: String,
    options: Mutex<BTreeMap<String, Option<Vec<String>>>>,
}

/// Why QEMU could not be used.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// The binary does not run.
    #[error(
        "running {path}: {error}; install QEMU with ./scripts/bootstrap, or give another binary \
         with --qemu PATH"
    )]
    NotThere {
        /// What was run.
        path: PathBuf,
        /// Why it failed.
        error: io::Error,
    },
    /// The binary is another program.
    #[error(
        "{path} is not QEMU: `{path} --version` {answer}; install QEMU with ./scripts/bootstrap, \
         or give another binary with --qemu PATH"
    )]
    OtherProgram {
        /// What was run.
        path: PathBuf,
        /// Its output and exit status.
        answer: String,
    },
    /// The binary lacks what the platform needs.
    #[error(
        "{version} has no {what}, which platform {platform} needs; give another QEMU with \
             --qemu PATH, or choose another platform"
    )]
    Lacks {
        /// The binary.
        version: String,
        /// A device, or an option of one.
        what: String,
        /// The platform.
        platform: String,
    },
    /// None that can be had fits the platform.
    #[error(transparent)]
    None(#[from] NoQemu),
    /// Starting the machine failed.
    #[error("starting QEMU: {0}")]
    Start(#[from] io::Error),
}

/// Accelerator of a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accel {
    Kvm,
    Tcg,
}

impl std::fmt::Display for Accel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Kvm => "kvm",
            Self::Tcg => "tcg",
        })
    }
}

/// All parts of a machine.
#[derive(Debug, Clone)]
pub struct Machine<'a> {
    /// The platform.
    pub platform: &'a Platform,
    /// The accelerator.
    pub accel: Accel,
    /// The kernel image.
    pub kernel: &'a Path,
    /// The initramfs with the agent.
    pub initramfs: &'a Path,
    /// Memory in MiB.
    pub memory: u32,
    /// Added to the kernel's command line.
    pub cmdline: &'a str,
}

/// Command line of a machine, and the groups that this QEMU cannot offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argv {
    /// Arguments, in order.
    pub args: Vec<String>,
    /// Arguments of `-device`, by the name of the device.
    pub devices: BTreeMap<String, String>,
    /// What this QEMU or host lacks for a group or a feature, by its name.
    pub lacking: BTreeMap<String, String>,
}

impl Argv {
    /// Changes the value of an option, if the option is there.
    pub fn set(&mut self, option: &str, change: impl FnOnce(&str) -> String) {
        let at = self.args.iter().position(|arg| arg == option);
        if let Some(value) = at.and_then(|at| self.args.get_mut(at + 1)) {
            *value = change(value);
        }
    }

    /// Returns a line for each thing that this QEMU or host lacks, with what it costs.
    pub fn left_out(&self) -> Vec<String> {
        let is_feature = |name: &&str| wire::FEATURES.iter().any(|(feature, ..)| feature == name);
        let mut groups = BTreeMap::<_, Vec<_>>::new();
        for (group, why) in &self.lacking {
            groups.entry(why).or_default().push(group.as_str());
        }
        let line = |(why, groups): (&String, Vec<&str>)| match groups.as_slice() {
            [name] if is_feature(name) => format!("feature {name} is left out: {why}"),
            [group] => format!("group {group} is left out: {why}"),
            _ => format!("groups {} are left out: {why}", groups.join(", ")),
        };
        groups.into_iter().map(line).collect()
    }
}

/// Kernel command line of every guest. The kernel does not wait for entropy or a console, and a
/// panic ends QEMU. An idle vfio device stays powered, which saves 10 ms for each open. The DMA
/// probe may map the resources of a device that is bound to a driver. The timer check is off: on a
/// busy host too few ticks arrive, and the check would panic. At an NMI, which a guest that hangs
/// gets, the kernel shows the stacks of all processors and of tasks that are blocked. A built-in
/// driver of NVMe does not take the platforms' controllers at boot: with it, Debian's cloud kernel
/// 7.3.4 did not get to the agent where interrupts are remapped.
const CMDLINE: &str = "panic=-1 loglevel=5 random.trust_cpu=on iomem=relaxed \
                       vfio_pci.disable_idle_d3=1 no_timer_check unknown_nmi_panic \
                       panic_print=0xc0 initcall_blacklist=floppy_init,nvme_init";
/// Descriptors in the QEMU process: the port of requests, the port of replies and the monitor.
const FDS: [i32; 3] = [3, 4, 5];

/// Describes how a program ended, with the first line of its output.
fn answer(output: &Output) -> String {
    let said = [&output.stdout, &output.stderr].map(|text| String::from_utf8_lossy(text));
    let mut lines = said.iter().flat_map(|text| text.lines());
    match lines.find(|line| !line.trim().is_empty()) {
        Some(line) => format!("ended with {} and printed `{}`", output.status, line.trim()),
        None => format!("ended with {} and printed nothing", output.status),
    }
}

impl Qemu {
    /// Opens a binary and checks its version.
    pub fn open(path: &Path) -> Result<Self, QemuError> {
        let output = Command::new(path).arg("--version").output();
        let output = output.map_err(|error| QemuError::NotThere {
            path: path.to_owned(),
            error,
        })?;
        let text = String::from_utf8_lossy(&output.stdout);
        let version = text.lines().next().unwrap_or_default().to_owned();
        if !output.status.success() || !version.contains("QEMU") {
            return Err(QemuError::OtherProgram {
                path: path.to_owned(),
                answer: answer(&output),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            version,
            options: Mutex::default(),
        })
    }

    /// The binary, as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the path of the binary. A name without a slash is looked up in PATH.
    pub fn found(&self) -> Result<PathBuf, QemuError> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let bare = self.path.components().count() == 1;
        let mut places: Vec<_> = std::env::split_paths(&path)
            .map(|folder| folder.join(&self.path))
            .filter(|_| bare)
            .collect();
        places.push(self.path.clone());
        let there = places.iter().find_map(|place| place.canonicalize().ok());
        there.ok_or_else(|| QemuError::NotThere {
            path: self.path.clone(),
            error: io::ErrorKind::NotFound.into(),
        })
    }

    /// Returns the options of a device, or `None` if the binary does not have the device.
    fn options_of(&self, device: &str) -> Option<Vec<String>> {
        let mut known = lock(&self.options);
        known
            .entry(device.to_owned())
            .or_insert_with(|| self.ask(device))
            .clone()
    }

    fn ask(&self, device: &str) -> Option<Vec<String>> {
        let output = Command::new(&self.path)
            .args(["-device", &format!("{device},help")])
            .output()
            .ok()?;
        let text = String::from_utf8_lossy(&output.stdout);
        let options = text.lines().filter_map(|line| line.trim().split_once('='));
        // For an unknown device QEMU prints an error and nothing else, and ends with success.
        let known = output.status.success() && !text.trim().is_empty();
        known.then(|| options.map(|(name, _)| name.to_owned()).collect())
    }

    /// Returns `device,option=value,...` with option names that this binary knows. The error is the
    /// missing device or option.
    fn device(&self, device: &str, options: &Options, id: &str) -> Result<String, String> {
        let known = self
            .options_of(device)
            .ok_or_else(|| format!("device `{device}`"))?;
        let mut text = device.to_owned();
        for (names, value) in options {
            let name = names
                .split('|')
                .find(|name| known.iter().any(|known| known == name))
                .ok_or_else(|| format!("option `{names}` of device `{device}`"))?;
            text.push_str(&format!(
                ",{name}={}",
                value.to_string().replace("{id}", id)
            ));
        }
        Ok(text)
    }

    /// Builds the command line of a machine.
    pub fn argv(&self, machine: &Machine<'_>) -> Result<Argv, QemuError> {
        let platform = machine.platform;
        let iommu = self
            .iommu(platform)
            .map_err(|what| self.lacks(what, platform))?;
        let mut args = self.base(machine);
        args.extend(["-device".to_owned(), iommu]);
        let nested = nested::missing(machine.accel, Path::new(nested::MODULES));
        let nested = nested.map(|why| ("kvm".to_owned(), why));
        let mut lacking: BTreeMap<_, _> = nested.into_iter().collect();
        let mut all = BTreeMap::new();
        for (name, group) in &platform.devices.groups {
            match self.group(platform, name, group) {
                Ok(devices) => {
                    args.extend(behind(platform, name, group));
                    let arguments = devices.iter().map(|(_, it)| it.clone());
                    args.extend(arguments.flat_map(|it| ["-device".to_owned(), it]));
                    all.extend(devices);
                }
                Err(what) => {
                    lacking.insert(name.clone(), format!("{} has no {what}", self.version));
                }
            }
        }
        Ok(Argv {
            args,
            devices: all,
            lacking,
        })
    }

    /// Returns the device or option that this binary lacks and without which the platform does not
    /// exist. What costs only some groups is not among it.
    ///
    /// A platform without a device that does DMA is none: its run would skip nearly every case.
    pub fn missing(&self, platform: &Platform) -> Option<String> {
        let iommu = self.iommu(platform).err();
        iommu.or_else(|| self.missing_engine(platform))
    }

    /// Returns what the first group with a DMA engine lacks, if all of them lack something.
    fn missing_engine(&self, platform: &Platform) -> Option<String> {
        let has_engine = |spec: &DeviceSpec| {
            let model = model(platform, spec);
            model.is_ok_and(|model| model.engine.is_some())
        };
        let groups = platform.devices.groups.iter();
        let mut groups = groups.filter(|(_, group)| group.devices.iter().any(has_engine));
        let (name, group) = groups.next()?;
        let lacks = self.group(platform, name, group).err()?;
        groups
            .all(|(name, group)| self.group(platform, name, group).is_err())
            .then_some(lacks)
    }

    fn iommu(&self, platform: &Platform) -> Result<String, String> {
        self.device(&platform.iommu.device, &platform.iommu.options, "")
    }

    pub(crate) fn lacks(&self, what: String, platform: &Platform) -> QemuError {
        let (version, platform) = (self.version.clone(), platform.name.clone());
        QemuError::Lacks {
            version,
            what,
            platform,
        }
    }

    fn base(&self, machine: &Machine<'_>) -> Vec<String> {
        let platform = machine.platform;
        let mut kind = platform.machine.clone();
        for (name, value) in &platform.machine_options {
            kind.push_str(&format!(",{name}={value}"));
        }
        let cpu = match machine.accel {
            Accel::Kvm => KVM_PROCESSOR,
            Accel::Tcg => TCG_PROCESSOR,
        };
        // A guest of KVM gets the rate from KVM.
        let clock = match machine.accel {
            Accel::Kvm => None,
            Accel::Tcg => host_clock::parameter(),
        };
        let cmdline = format!(
            "{CONSOLE} {CMDLINE} {} {} {}",
            clock.unwrap_or_default(),
            platform.cmdline.join(" "),
            machine.cmdline
        );
        let fixed = format!(
            "-nodefaults -no-user-config -display none -no-reboot -m {} -smp 1 \
             -accel {} -cpu {cpu} -machine {kind}",
            machine.memory, machine.accel
        );
        let mut args: Vec<String> = fixed.split_whitespace().map(str::to_owned).collect();
        let [requests, replies, monitor] = FDS;
        let port = |chardev, name| format!("virtserialport,chardev={chardev},name={name}");
        args.extend(
            [
                "-kernel",
                &machine.kernel.to_string_lossy(),
                "-initrd",
                &machine.initramfs.to_string_lossy(),
                "-append",
                cmdline.trim(),
                "-serial",
                "stdio",
                "-chardev",
                &format!("socket,id=requests,fd={requests}"),
                "-chardev",
                &format!("socket,id=replies,fd={replies}"),
                "-chardev",
                &format!("socket,id=monitor,fd={monitor}"),
                "-mon",
                "chardev=monitor,mode=control",
                "-device",
                "virtio-serial-pci,addr=2.0",
                "-device",
                &port("requests", wire::REQUESTS),
                "-device",
                &port("replies", wire::REPLIES),
            ]
            .map(str::to_owned),
        );
        args
    }

    fn group(
        &self,
        platform: &Platform,
        name: &str,
        group: &GroupSpec,
    ) -> Result<Vec<(String, String)>, String> {
        let bridges = group
            .bridges
            .iter()
            .map(|bridge| (bridge, bridge_id(&bridge.at)));
        let devices = group
            .devices
            .iter()
            .enumerate()
            .map(|(index, device)| (device, device_id(name, index)));
        bridges
            .chain(devices)
            .map(|(spec, id)| Ok((id.clone(), self.placed(platform, group, spec, &id)?)))
            .collect()
    }

    fn placed(
        &self,
        platform: &Platform,
        group: &GroupSpec,
        spec: &DeviceSpec,
        id: &str,
    ) -> Result<String, String> {
        let model = model(platform, spec)?;
        let mut text = self.device(&model.device, &model.options, id)?;
        let (bus, slot) = match spec.at.rsplit_once('/') {
            Some((bridge, slot)) => (format!(",bus={}", bridge_id(bridge)), slot),
            // Without this, QEMU would choose the bus of another host bridge.
            None => (",bus=pcie.0".to_owned(), spec.at.as_str()),
        };
        text.push_str(&format!(",id={id}{bus},addr={slot}"));
        if is_first_of_many(group, spec) {
            text.push_str(",multifunction=on");
        }
        Ok(text)
    }

    /// Starts a machine. Its serial console and QEMU's error messages go to `console`.
    pub fn start(&self, argv: &Argv, console: &Path) -> Result<Running, QemuError> {
        let log = File::create(console)?;
        let (requests, its_requests) = UnixStream::pair()?;
        let (replies, its_replies) = UnixStream::pair()?;
        let (monitor, its_monitor) = UnixStream::pair()?;
        let monitor = Monitor::new(monitor, argv.devices.clone())?;
        let mut command = Command::new(&self.path);
        command
            .args(&argv.args)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        let its = [its_requests, its_replies, its_monitor];
        inherit(&mut command, its.map(OwnedFd::from));
        let child = spawn(command).map_err(|error| QemuError::NotThere {
            path: self.path.clone(),
            error,
        })?;
        register(child.id());
        Ok(Running {
            child,
            requests,
            replies,
            monitor,
        })
    }

    /// Returns the command line quoted for a shell.
    pub fn shown(&self, argv: &Argv) -> String {
        let quoted = argv.args.iter().map(|arg| {
            if arg.contains(' ') {
                format!("'{arg}'")
            } else {
                arg.clone()
            }
        });
        let mut text = self.path.to_string_lossy().into_owned();
        for arg in quoted {
            text.push_str(if arg.starts_with('-') { " \\\n  " } else { " " });
            text.push_str(&arg);
        }
        text
    }
}

/// Starts a process from a thread that lives as long as this program does.
///
/// A child with a parent-death signal dies with the *thread* that started it, and guests
/// outlive the threads that run cases.
fn spawn(command: Command) -> io::Result<Child> {
    type Job = (Command, Sender<io::Result<Child>>);
    static KEEPER: OnceLock<Mutex<Sender<Job>>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (to, from) = channel::<Job>();
        std::thread::spawn(move || {
            for (mut command, answer) in from {
                let _ = answer.send(command.spawn());
            }
        });
        Mutex::new(to)
    });
    let (answer, child) = channel();
    let gone = || io::Error::other("the thread that starts processes has ended");
    let job = (command, answer);
    lock(keeper).send(job).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}

static RUNNING: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

fn register(pid: u32) {
    lock(&RUNNING).insert(pid);
}

/// Returns the number of machines that this process has started and not yet reaped.
pub fn running() -> usize {
    lock(&RUNNING).len()
}

/// Kills every machine of this process. Ctrl-C does this first.
pub fn kill_all() {
    for pid in lock(&RUNNING).iter() {
        let pid = nix::unistd::Pid::from_raw(pid.cast_signed());
        let _ = nix::sys::signal::kill(pid, Signal::SIGKILL);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Gives the child the descriptors as [`FDS`]. The child has its own process group, so that only the
/// runner receives Ctrl-C, and dies with the thread that started it.
fn inherit(command: &mut Command, descriptors: [OwnedFd; FDS.len()]) {
    command.process_group(0);
    let move_all = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // Each descriptor may have the number that another one needs.
        let mut copies = FDS;
        for (copy, descriptor) in copies.iter_mut().zip(&descriptors) {
            *copy = fcntl(
                descriptor,
                FcntlArg::F_DUPFD_CLOEXEC(FDS[FDS.len() - 1] + 1),
            )?;
        }
        for (from, to) in copies.into_iter().zip(FDS) {
            // SAFETY: dup2 to a descriptor that nothing in the child uses yet.
            nix::errno::Errno::result(unsafe { libc::dup2(from, to) })?;
        }
        Ok(())
    };
    // SAFETY: only async-signal-safe calls between fork and exec.
    unsafe { command.pre_exec(move_all) };
}

/// Name of a bridge in QEMU, derived from its PCI path.
pub fn bridge_id(at: &str) -> String {
    format!("bridge-{}", at.replace(['/', '.'], "-"))
}

/// Name of a device in QEMU; also its serial number.
pub fn device_id(group: &str, index: usize) -> String {
    format!("{group}-{index}")
}

/// Returns the model of a device.
pub fn model<'a>(platform: &'a Platform, spec: &DeviceSpec) -> Result<&'a Model, String> {
    let model = platform.devices.models.get(&spec.model);
    model.ok_or_else(|| format!("model `{}` in its topology", spec.model))
}

/// Returns the arguments for what is behind a group's devices: block devices and memory.
fn behind(platform: &Platform, name: &str, group: &GroupSpec) -> Vec<String> {
    let mut args = Vec::new();
    for (index, spec) in group.devices.iter().enumerate() {
        let Ok(model) = model(platform, spec) else {
            continue;
        };
        let kinds = [("-blockdev", &model.blockdev), ("-object", &model.object)];
        for (kind, options) in kinds {
            let options = options.iter();
            let options = options.map(|it| it.replace("{id}", &device_id(name, index)));
            args.extend(options.flat_map(|options| [kind.to_owned(), options]));
        }
    }
    args
}

fn is_first_of_many(group: &GroupSpec, spec: &DeviceSpec) -> bool {
    let Some(slot) = spec.at.strip_suffix(".0") else {
        return false;
    };
    let same = |other: &&DeviceSpec| {
        other
            .at
            .rsplit_once('.')
            .is_some_and(|(other_slot, _)| other_slot == slot)
    };
    let all = group.bridges.iter().chain(&group.devices);
    all.filter(same).count() > 1
}

/// A running machine; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// The agent's port for requests.
    pub requests: UnixStream,
    /// The agent's port for replies.
    pub replies: UnixStream,
    /// Its monitor.
    pub monitor: Monitor,
}

impl Running {
    /// Returns the exit status, if QEMU has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Kills and reaps QEMU.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        lock(&RUNNING).remove(&self.child.id());
    }

    /// Returns the process id, for tests that kill QEMU.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits up to five seconds for QEMU to end, after it has closed its ports.
    pub fn wait_for_end(&mut self) {
        let pid = nix::unistd::Pid::from_raw(self.child.id().cast_signed());
        // SAFETY: plain system call on a child that is not reaped yet.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0) };
        if let Ok(fd) = i32::try_from(fd)
            && fd >= 0
        {
            // SAFETY: a new descriptor that nobody else owns.
            let fd = unsafe { <OwnedFd as std::os::fd::FromRawFd>::from_raw_fd(fd) };
            let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
            let _ = poll(&mut fds, PollTimeout::from(5000_u16));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}
