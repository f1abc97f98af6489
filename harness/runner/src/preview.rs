//! The QEMU command line of a run, for a person to copy: found out without building, booting or
//! writing anything.

use std::path::{Path, PathBuf};

use crate::{
    accel, agent,
    lab::LabError,
    options::{MachineOptions, root},
    platform::Platform,
    qemu::{Accel, Machine, Qemu},
};

/// Stands for a kernel that is not built yet.
const KERNEL: &str = "KERNEL";
/// Stands for the agent's archive while there is none.
const INITRAMFS: &str = "INITRAMFS";

/// The command line. A KVM that was never tried is taken to work where its device opens.
pub fn command_line(options: &MachineOptions) -> Result<String, LabError> {
    let platform = Platform::load(&root().join("vm-images"), &options.platform)?;
    let qemu = Qemu::open(&options.guest.qemu)?;
    let image = vm_images::built(&options.guest.source(), options.flavour())?;
    let kernel = image.as_ref().map_or(Path::new(KERNEL), |it| &it.kernel);
    let initramfs = agent::newest().unwrap_or_else(|| PathBuf::from(INITRAMFS));
    let mut machine = Machine {
        platform: &platform,
        accel: Accel::Tcg,
        kernel,
        initramfs: &initramfs,
        cmdline: &options.guest.append,
    };
    let key = image.as_ref().map_or("", |it| it.key.as_str());
    machine.accel = accel::guess(options.accel, &qemu, &machine, key)?.accel;
    let mut argv = qemu.argv(&machine)?;
    argv.set("-smp", |_| options.processors().to_string());
    Ok(qemu.shown(&argv))
}
