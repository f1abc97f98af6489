//! A trial of KVM: one boot.

use std::{path::Path, time::Duration};

use vm_images::x86::EARLY_CONSOLE;

use crate::{
    guest::{BootError, Guest, Limits, Lost},
    qemu::{Accel, Machine, Qemu},
};

/// Limit for the whole boot. A slow host, such as an emulated one, needs half of it. A kernel that
/// has stopped is given up earlier: see [`QUIET`].
const LIMIT: Duration = Duration::from_secs(60);
/// A kernel with a verbose console that prints nothing for this long has stopped.
const QUIET: Duration = Duration::from_secs(20);
/// Why the machine did not come up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// The reason, in one line.
    Refused(String),
    /// QEMU was killed.
    Killed,
}

/// Boots the machine under KVM until the guest is set up and cases could run.
pub fn probe(qemu: &Qemu, machine: &Machine<'_>, console: &Path) -> Result<(), Failed> {
    let cmdline = format!("{} {EARLY_CONSOLE}", machine.cmdline);
    let machine = Machine {
        accel: Accel::Kvm,
        cmdline: &cmdline,
        ..machine.clone()
    };
    let refused = |error: &dyn std::error::Error| Failed::Refused(first_line(&error.to_string()));
    let argv = qemu.argv(&machine).map_err(|error| refused(&error))?;
    let limits = Limits {
        total: LIMIT,
        quiet: Some(QUIET),
    };
    match Guest::boot(qemu, &argv, machine.platform, console, limits) {
        Ok(guest) => {
            guest.end();
            Ok(())
        }
        Err(BootError::NoHello { lost, tail, .. }) => Err(no_hello(&lost, &tail)),
        Err(error) => Err(refused(&error)),
    }
}

/// Returns why a guest did not boot. A QEMU that ends by itself prints the reason on its last line.
fn no_hello(lost: &Lost, tail: &str) -> Failed {
    match lost {
        Lost::QemuEnded(status) if status.contains("SIGKILL") => Failed::Killed,
        Lost::QemuEnded(_) => {
            let last = tail.lines().last().unwrap_or_default();
            Failed::Refused(format!("{lost}: {last}"))
        }
        lost => Failed::Refused(first_line(&lost.to_string())),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::killed(Lost::QemuEnded("signal: 9 (SIGKILL)".to_owned()), Failed::Killed)]
    #[case::no_kvm(
        Lost::QemuEnded("exit status: 1".to_owned()),
        Failed::Refused("QEMU ended (exit status: 1): failed to initialize kvm".to_owned())
    )]
    #[case::panicked(
        Lost::Panic("no init".to_owned()),
        Failed::Refused("kernel panic: no init".to_owned())
    )]
    fn what_the_console_says_is_told(#[case] lost: Lost, #[case] expected: Failed) {
        assert_eq!(
            no_hello(&lost, "warning\nfailed to initialize kvm"),
            expected
        );
    }
}
