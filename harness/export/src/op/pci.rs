//! PCI devices and their drivers.

use wire::{Chain, HostAction, PciOp};

use crate::{
    call::{Call, Caller},
    number::plain,
    text,
};

impl Caller<'_> {
    pub fn pci(&self, op: &PciOp) -> Result<Call, String> {
        Ok(match op {
            PciOp::Capability {
                fd,
                id,
                chain,
                save,
            } => {
                let extended = *chain == Chain::Extended;
                let id = capability_name(*id, extended);
                let fd = self.fd(fd)?;
                let extended = u8::from(extended);
                Call::new(format!("pci_capability({fd}, {id}, {extended})")).saving(&save.0)
            }
            PciOp::Driver { device, driver } => {
                let device = self.placeholders.device(device);
                let driver = name_or_null(driver.as_deref());
                Call::new(format!("driver({device}, {driver})"))
            }
            PciOp::Host { action } => Call::new(self.ask(action)),
            PciOp::WaitHotplug {
                device,
                driver,
                timeout,
            } => {
                let device = self.placeholders.device(device);
                let driver = name_or_null(driver.as_deref());
                Call::new(format!("wait_hotplug({device}, {driver}, {})", timeout.0))
            }
        })
    }

    fn ask(&self, action: &HostAction) -> String {
        let (before, device, after) = match action {
            HostAction::Unplug(id) => ("Unplug the device ", id, " (QEMU: device_del)"),
            HostAction::Plug(id) => ("Plug the device ", id, " in again (QEMU: device_add)"),
        };
        format!(
            "ask({})",
            self.placeholders.text(&format!("{before}{device}{after}"))
        )
    }
}

fn name_or_null(name: Option<&str>) -> String {
    name.map_or_else(|| "NULL".to_owned(), text::literal)
}

fn capability_name(id: u16, extended: bool) -> String {
    let prefix = if extended {
        "PCI_EXT_CAP_ID_"
    } else {
        "PCI_CAP_ID_"
    };
    let known = uapi::constants()
        .find(|constant| constant.name.starts_with(prefix) && constant.value == u64::from(id));
    known.map_or_else(|| plain(id.into()), |constant| constant.name.to_owned())
}
