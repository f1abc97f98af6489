//! What a guest needs so that the agent can run in it and reach the host.

use super::ReadyError;
use crate::{kernel_config::KernelConfig, modules::Module};

/// Options that have to be built in, and what for.
const BUILT_IN: [(&str, &str); 7] = [
    ("CONFIG_64BIT", "the agent is a program of 64 bits"),
    ("CONFIG_BINFMT_ELF", "the agent is an ELF program"),
    ("CONFIG_BLK_DEV_INITRD", "the agent is in an initramfs"),
    ("CONFIG_PROC_FS", "the agent reads /proc"),
    ("CONFIG_SYSFS", "the agent reads /sys"),
    ("CONFIG_DEVTMPFS", "the agent mounts /dev"),
    ("CONFIG_PCI", "the devices are on a PCI bus"),
];

/// Options that may be modules, their names, and what for.
const MAYBE_MODULES: [(&str, &str, &str); 3] = [
    (
        "CONFIG_VIRTIO_PCI",
        "virtio_pci",
        "the agent's port is a virtio device",
    ),
    (
        "CONFIG_VIRTIO_CONSOLE",
        "virtio_console",
        "the agent's port is a virtio console",
    ),
    (
        "CONFIG_VFIO_PCI",
        "vfio_pci",
        "the devices of the guest are bound to vfio-pci",
    ),
];

/// Checks the configuration of a kernel with these modules.
pub(super) fn check(config: &KernelConfig, modules: &[Module]) -> Result<(), ReadyError> {
    let value = |name: &str| config.options.get(name).map(String::as_str);
    let built_in = BUILT_IN.iter().filter(|(name, _)| value(name) != Some("y"));
    let built_in = built_in.map(|(name, why)| format!("{name}=y is missing ({why})"));
    let loaded = |name: &str| modules.iter().any(|module| module.name == name);
    let modular = MAYBE_MODULES
        .iter()
        .filter_map(|(option, module, why)| match value(option) {
            Some("y") => None,
            Some("m") if loaded(module) => None,
            Some("m") => Some(format!(
                "{option}=m, and the module {module} was not found ({why}; give the package that has it, or --modules)"
            )),
            _ => Some(format!("{option}=y is missing ({why})")),
        });
    let missing: Vec<_> = built_in.chain(modular).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(ReadyError::AgentNeeds {
            missing,
            place: config.place.clone(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn config(virtio: &str, without: &str) -> KernelConfig {
        let built_in = BUILT_IN.iter().map(|(name, _)| (*name, "y"));
        let modular = MAYBE_MODULES.iter().map(|(name, ..)| (*name, virtio));
        let all = built_in.chain(modular).filter(|(name, _)| *name != without);
        KernelConfig {
            place: "x".to_owned(),
            version: "7.3.4".to_owned(),
            options: all
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    #[rstest]
    #[case::built_in("y", "", &[], "")]
    #[case::modules("m", "", &["virtio_pci", "virtio_console", "vfio_pci"], "")]
    #[case::no_modules("m", "", &["virtio_pci"], "CONFIG_VIRTIO_CONSOLE=m, and the module")]
    #[case::no_console("y", "CONFIG_VIRTIO_CONSOLE", &[], "CONFIG_VIRTIO_CONSOLE=y is missing")]
    #[case::no_devtmpfs("y", "CONFIG_DEVTMPFS", &[], "CONFIG_DEVTMPFS=y is missing")]
    fn what_the_agent_lacks_is_named(
        #[case] virtio: &str,
        #[case] without: &str,
        #[case] modules: &[&str],
        #[case] says: &str,
    ) {
        let modules: Vec<_> = modules
            .iter()
            .map(|name| Module {
                name: (*name).to_owned(),
                content: Vec::new(),
            })
            .collect();
        let error = check(&config(virtio, without), &modules).err();
        let text = error.map(|error| error.to_string()).unwrap_or_default();
        assert!(text.contains(says), "{text}");
        assert_eq!(text.is_empty(), says.is_empty(), "{text}");
    }
}
