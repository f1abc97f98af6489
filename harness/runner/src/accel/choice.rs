//! Chooses the accelerator from the `--accel` option and the result of a trial.

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
    /// KVM if a trial shows that it runs this kernel; otherwise TCG.
    #[default]
    Auto,
    /// KVM, or an error. The trial is repeated even if an earlier one failed.
    Kvm,
    /// TCG, QEMU's emulation.
    Tcg,
}

/// The accelerator of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The accelerator.
    pub accel: Accel,
    /// The reason why it is not KVM, in one line.
    pub why_not_kvm: Option<String>,
}

impl Chosen {
    pub const KVM: Self = Self {
        accel: Accel::Kvm,
        why_not_kvm: None,
    };

    /// TCG, with the reason joined into one line.
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
    /// The device cannot be opened.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The kernel did not boot in the trial.
    #[error("a trial with this kernel failed: {why}; its console is in {}", console.display())]
    Refused {
        /// The reason, in one line.
        why: String,
        /// Console of the trial.
        console: PathBuf,
    },
    /// A trial failed less than a day ago.
    #[error(
        "a trial with this kernel failed less than a day ago: {why}; its console is in {}; \
         `--accel kvm` tries again",
        console.display()
    )]
    Remembered {
        /// The reason, in one line.
        why: String,
        /// Console of the trial.
        console: PathBuf,
    },
    /// The QEMU of the trial was killed, by Ctrl-C or from outside, so the trial has no result.
    #[error("the trial with this kernel has no result: its QEMU was killed")]
    CutShort,
    /// The folder for the console of the trial cannot be made.
    #[error("making the folder for the console of a KVM trial: {0}")]
    NoPlace(String),
}

/// Chooses the accelerator for a machine. Tries KVM unless an earlier result still holds.
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

/// Chooses the accelerator without booting, for a command line that is only printed.
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

/// Returns where the result of the trial is stored: one place for each kernel, platform, QEMU and
/// host.
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
    /// Returns the result of an earlier trial, or else makes one.
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
        self.progress.stage("booting this kernel once to try KVM");
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
            let line = format!(
                "storing the result of the KVM trial: {error}; the next run tries \
                                again"
            );
            self.progress.line(&line);
        }
        match tried {
            Err(Failed::Refused(why)) => Err(NoKvm::Refused { why, console }),
            _ => Ok(()),
        }
    }
}
