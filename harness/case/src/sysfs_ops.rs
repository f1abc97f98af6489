//! Ops that change devices and groups through sysfs, for steps and for restoring the guest after a
//! case.

use wire::{FileOp, Location, Op, PciOp};

use crate::role::{RoleBindings, Which};

/// Binds a device to a driver, or to none.
pub fn set_driver(device: &str, driver: Option<String>) -> Op {
    let device = device.to_owned();
    PciOp::Driver { device, driver }.into()
}

/// Ops that change the default domain of a group to `kind`, or back to what it is between
/// cases.
pub fn change_domain(
    roles: &RoleBindings<'_>,
    which: Which,
    kind: Option<&str>,
) -> Result<Vec<Op>, String> {
    let group = roles.group(which)?;
    let kind = kind
        .or_else(|| roles.default_domain(group))
        .ok_or_else(|| format!("the default domain type of group {}", group.name))?;
    let drivers = |bound: bool| {
        let devices = group.devices.iter();
        devices.map(move |device| {
            set_driver(
                &device.name,
                device.default_driver.clone().filter(|_| bound),
            )
        })
    };
    let path = format!("/sys/kernel/iommu_groups/{}/type", group.number()?);
    let change = write_file(path, kind);
    Ok(drivers(false)
        .chain([change])
        .chain(drivers(true))
        .collect())
}

/// Writes to a file.
pub fn write_file(path: String, text: &str) -> Op {
    FileOp::WriteFile {
        at: Location::Path(path),
        text: text.to_owned(),
    }
    .into()
}

/// Allows vfio-pci to create virtual functions, which it does not by default.
pub fn allow_functions(allow: bool) -> Op {
    let path = "/sys/module/vfio_pci/parameters/enable_sriov";
    write_file(path.to_owned(), if allow { "Y" } else { "N" })
}

/// Creates virtual functions, or removes them.
pub fn set_functions(device: &str, count: u64) -> Op {
    let path = format!("/sys/bus/pci/devices/{device}/sriov_numvfs");
    write_file(path, &count.to_string())
}

/// Sets the reset methods of a device.
pub fn set_resets(device: &str, methods: Option<&str>) -> Op {
    let path = format!("/sys/bus/pci/devices/{device}/reset_method");
    write_file(path, methods.unwrap_or("\n")) // an empty line is none
}
