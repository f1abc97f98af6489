//! One boot under KVM.

use std::{path::Path, time::Duration};

use crate::{
    guest::{BootError, Guest, Limits},
    qemu::{Accel, Machine, Qemu},
};

/// A slow host, such as one that is emulated itself, takes half of that. What has no hope is
/// given up long before: see [`QUIET`].
const LIMIT: Duration = Duration::from_secs(60);
/// A kernel that tells all it does and has said nothing for so long is not going to.
const QUIET: Duration = Duration::from_secs(20);
/// Makes the kernel tell all it does, from its first instruction.
const TALKATIVE: &str = "ignore_loglevel earlyprintk=ttyS0,115200";

/// Boots the machine under KVM up to where cases could run; why it does not get there, in a line.
pub fn probe(qemu: &Qemu, machine: &Machine<'_>, console: &Path) -> Result<(), String> {
    let cmdline = format!("{} {TALKATIVE}", machine.cmdline);
    let machine = Machine {
        accel: Accel::Kvm,
        cmdline: &cmdline,
        ..machine.clone()
    };
    let argv = qemu.argv(&machine).map_err(|error| error.to_string())?;
    let limits = Limits {
        total: LIMIT,
        quiet: Some(QUIET),
    };
    match Guest::boot(qemu, &argv, machine.platform, console, limits) {
        Ok(guest) => {
            guest.end();
            Ok(())
        }
        Err(BootError::NoHello { lost, .. }) => Err(lost.to_string()),
        Err(error) => {
            let text = error.to_string();
            Err(text.lines().next().unwrap_or_default().to_owned())
        }
    }
}
