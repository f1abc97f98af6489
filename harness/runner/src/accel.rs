//! KVM only where it was seen to run this kernel; else emulation.
//!
//! A machine can have a `/dev/kvm` that opens, makes virtual machines, and then loses every
//! guest at once. So the first run boots the kernel under KVM, and the outcome is kept in the
//! cache: it costs seconds, once.

use std::{fs, path::Path, time::Duration};

use sha2::{Digest, Sha256};
use vm_images::{Progress, cache_dir};

use crate::{
    guest::Guest,
    qemu::{Accel, Machine, Qemu},
};

/// A guest under a KVM that works is up well before.
const PROBE: Duration = Duration::from_secs(6);

/// Chooses the accelerator for a machine, probing KVM if that was never done.
pub fn choose(
    qemu: &Qemu,
    machine: &Machine<'_>,
    image: &str,
    run_dir: &Path,
    progress: &dyn Progress,
) -> Accel {
    let opens = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok();
    if !opens {
        return Accel::Tcg;
    }
    let memory = remembered(qemu, image);
    if let Ok(text) = fs::read_to_string(&memory) {
        return if text.trim() == "kvm" {
            Accel::Kvm
        } else {
            Accel::Tcg
        };
    }
    progress.stage("trying KVM once");
    let works = probe(qemu, machine, run_dir);
    let (accel, text) = match &works {
        Ok(()) => (Accel::Kvm, "kvm".to_owned()),
        Err(why) => (Accel::Tcg, format!("tcg: {why}")),
    };
    if let Err(why) = works {
        progress.line(&format!(
            "KVM does not run this kernel ({why}); using emulation"
        ));
    }
    let written = memory.parent().map_or(Ok(()), fs::create_dir_all);
    if let Err(error) = written.and_then(|()| fs::write(&memory, text)) {
        progress.line(&format!(
            "remembering that in {}: {error}",
            memory.display()
        ));
    }
    accel
}

/// One file for each kernel, QEMU and processor.
fn remembered(qemu: &Qemu, image: &str) -> std::path::PathBuf {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo
        .lines()
        .find(|line| line.starts_with("model name"))
        .unwrap_or_default();
    let key = Sha256::digest(format!("{image}\n{}\n{model}", qemu.version));
    let key: String = key
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    cache_dir().join("accel").join(key)
}

fn probe(qemu: &Qemu, machine: &Machine<'_>, run_dir: &Path) -> Result<(), String> {
    let machine = Machine {
        accel: Accel::Kvm,
        ..machine.clone()
    };
    let argv = qemu.argv(&machine).map_err(|error| error.to_string())?;
    let console = run_dir.join("console-kvm-probe.log");
    match Guest::boot(qemu, &argv, machine.platform, &console, Some(PROBE)) {
        Ok(guest) => {
            guest.end();
            Ok(())
        }
        Err(error) => Err(error
            .to_string()
            .lines()
            .next()
            .unwrap_or_default()
            .to_owned()),
    }
}
