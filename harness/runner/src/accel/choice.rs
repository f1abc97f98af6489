//! From what was asked for to what runs.

use std::{fs, path::PathBuf};

use clap::ValueEnum;
use nix::sys::utsname::uname;
use vm_images::{Progress, cache_dir};

use crate::{
    accel::{
        device::{self, DEVICE, DeviceError},
        memory::{Memory, TrialResult},
        probe::{Failed, probe},
    },
    qemu::{Accel, Machine, Qemu},
};

/// `--accel`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum AccelChoice {
    /// KVM if it runs this kernel, which is tried once; otherwise TCG.
    #[default]
    Auto,
    /// KVM, or an error. It is tried again, whatever an earlier trial showed.
    Kvm,
    /// TCG, QEMU's emulation.
    Tcg,
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The accelerator.
    pub accel: Accel,
    /// Where it is not KVM: why, in one line.
    pub why_not_kvm: Option<String>,
}

impl Chosen {
    pub const KVM: Self = Self {
        accel: Accel::Kvm,
        why_not_kvm: None,
    };

    /// Emulation, for a reason, which is made one line.
    pub fn tcg(why_not_kvm: impl ToString) -> Self {
        let why = why_not_kvm.to_string();
        let words = why.split(|c: char| c.is_whitespace() || c.is_control());
        let words: Vec<_> = words.filter(|word| !word.is_empty()).collect();
        Self {
            accel: Accel::Tcg,
            why_not_kvm: Some(words.join(" ")),
        }
    }
}

/// Why KVM cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoKvm {
    /// The device is of no use.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// It was tried, and the kernel did not come up.
    #[error("tried with this kernel: {why}; its console is in {}", console.display())]
    Refused {
        /// In one line.
        why: String,
        /// Of the trial.
        console: PathBuf,
    },
    /// It was tried less than a day ago.
    #[error(
        "tried with this kernel less than a day ago: {why}; its console is in {}, and `--accel kvm` tries again",
        console.display()
    )]
    Remembered {
        /// In one line.
        why: String,
        /// Of the trial.
        console: PathBuf,
    },
    /// The QEMU of the trial was killed, by Ctrl-C or by somebody else: that says nothing of KVM.
    #[error("the trial with this kernel was cut short: its QEMU was killed")]
    CutShort,
    /// There is no place for a trial's console.
    #[error("no place for the console of a trial of KVM: {0}")]
    NoPlace(String),
}

/// Chooses the accelerator for a machine, trying KVM if that was not done yet.
pub fn choose(
    choice: AccelChoice,
    qemu: &Qemu,
    machine: &Machine<'_>,
    image: &str,
    progress: &dyn Progress,
) -> Result<Chosen, NoKvm> {
    let trial = Trial {
        qemu,
        machine,
        memory: memory(qemu, machine, image),
        progress,
    };
    match choice {
        AccelChoice::Tcg => Ok(Chosen::tcg("--accel tcg")),
        AccelChoice::Kvm => trial.anew().map(|()| Chosen::KVM),
        AccelChoice::Auto => Ok(match trial.once() {
            Ok(()) => Chosen::KVM,
            Err(why) => Chosen::tcg(why),
        }),
    }
}

/// What is known of the accelerator without booting: for a command line that is only printed.
pub fn guess(
    choice: AccelChoice,
    qemu: &Qemu,
    machine: &Machine<'_>,
    image: &str,
) -> Result<Chosen, NoKvm> {
    let device = device::check(DEVICE.as_ref());
    match choice {
        AccelChoice::Tcg => Ok(Chosen::tcg("--accel tcg")),
        AccelChoice::Kvm => Ok(device.map(|()| Chosen::KVM)?),
        AccelChoice::Auto => Ok(match (device, memory(qemu, machine, image).recall()) {
            (Err(error), _) => Chosen::tcg(error),
            (Ok(()), Some(TrialResult::Refused { why, console, .. })) => {
                Chosen::tcg(NoKvm::Remembered { why, console })
            }
            (Ok(()), Some(TrialResult::Works) | None) => Chosen::KVM,
        }),
    }
}

/// One for each kernel, platform, QEMU and host.
fn memory(qemu: &Qemu, machine: &Machine<'_>, image: &str) -> Memory {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = |line: &&str| line.starts_with("model name");
    let processor = cpuinfo.lines().find(named).unwrap_or_default();
    let host = uname().map_or_else(
        |_| String::new(),
        |host| host.release().to_string_lossy().into_owned(),
    );
    let parts = [
        image,
        &machine.platform.name,
        machine.cmdline,
        &qemu.version,
        processor,
        &host,
    ];
    Memory::of(&cache_dir().join("accel"), &parts)
}

struct Trial<'a> {
    qemu: &'a Qemu,
    machine: &'a Machine<'a>,
    memory: Memory,
    progress: &'a dyn Progress,
}

impl Trial<'_> {
    /// What an earlier trial came to, or else this one.
    fn once(&self) -> Result<(), NoKvm> {
        device::check(DEVICE.as_ref())?;
        match self.memory.recall() {
            Some(TrialResult::Works) => Ok(()),
            Some(TrialResult::Refused { why, console, .. }) => {
                Err(NoKvm::Remembered { why, console })
            }
            None => self.anew(),
        }
    }

    fn anew(&self) -> Result<(), NoKvm> {
        device::check(DEVICE.as_ref())?;
        self.progress.stage("trying KVM with this kernel");
        let prepared = self.memory.prepare();
        prepared.map_err(|error| NoKvm::NoPlace(error.to_string()))?;
        let console = self.memory.console();
        let tried = probe(self.qemu, self.machine, &console);
        let result = match &tried {
            Ok(()) => TrialResult::Works,
            Err(Failed::Killed) => return Err(NoKvm::CutShort),
            Err(Failed::Refused(why)) => TrialResult::refused(why.clone(), console.clone()),
        };
        if let Err(error) = self.memory.keep(&result) {
            let line = format!("the result of the trial of KVM is not kept: {error}");
            self.progress.line(&line);
        }
        match tried {
            Err(Failed::Refused(why)) => Err(NoKvm::Refused { why, console }),
            _ => Ok(()),
        }
    }
}
