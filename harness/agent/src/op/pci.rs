//! PCI devices and their drivers.

use std::io;

use wire::PciOp;

use crate::{
    config,
    exec::Executor,
    op_error::{Done, broken, ok},
    sysfs,
};

impl Executor {
    pub fn pci(&mut self, op: &PciOp) -> Done {
        match op {
            PciOp::Capability { fd, id, chain, .. } => {
                ok(self.with_file(fd, |file| config::capability(file, *id, *chain))?)
            }
            PciOp::Driver { device, driver } => {
                sysfs::set_driver(device, driver.as_deref())?;
                ok(0)
            }
            PciOp::Host { action } => Err(broken(&io::Error::other(format!(
                "{action:?} can only be done by the case's own process"
            )))),
            PciOp::WaitHotplug {
                device,
                driver,
                timeout,
            } => {
                self.engines.forget(device);
                sysfs::wait_hotplug(device, driver.as_deref(), *timeout)?;
                ok(0)
            }
        }
    }
}
