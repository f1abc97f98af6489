//! The QEMU command line of a run, for a user to copy, without building, booting or writing
//! anything.

use std::path::{Path, PathBuf};

use vm_images::Silent;

use crate::{
    accel, agent,
    lab::{LabError, cmdline},
    options::{MachineOptions, vm_images_folder},
    platform::Platform,
    qemu::{Accel, Machine},
    qemu_choice::{self, AtHand},
};

/// Placeholder for a kernel that is not built yet.
const KERNEL: &str = "KERNEL";
/// Placeholder for an initramfs that is not built yet.
const INITRAMFS: &str = "INITRAMFS";

/// Returns the command line. If KVM was never tried, it is assumed to work if its device opens.
pub fn command_line(options: &MachineOptions) -> Result<String, LabError> {
    let platform = Platform::load(&vm_images_folder(), &options.platform)?;
    let given = options.guest.qemu.as_deref();
    let qemu = qemu_choice::choose(given, std::slice::from_ref(&platform), &AtHand, &Silent)?;
    let build = options.build()?;
    let image = vm_images::built(&options.guest.source(), &build)?;
    let kernel = image.as_ref().map_or(Path::new(KERNEL), |it| &it.kernel);
    let initramfs = agent::newest().unwrap_or_else(|| PathBuf::from(INITRAMFS));
    let cmdline = cmdline(&build, &options.guest.append);
    let mut machine = Machine {
        platform: &platform,
        accel: Accel::Tcg,
        kernel,
        initramfs: &initramfs,
        memory: build.flavour.traits.memory,
        cmdline: &cmdline,
    };
    let key = image.as_ref().map_or("", |it| it.key.as_str());
    machine.accel = accel::guess(options.accel, &qemu, &machine, key)?.accel;
    let mut argv = qemu.argv(&machine)?;
    let processors = options.processors(&build.flavour.traits).usual;
    argv.set("-smp", |_| processors.to_string());
    Ok(qemu.shown(&argv))
}
