//! What a booted guest offers to cases, and the set-up that it needs.

use std::collections::BTreeMap;

use case::{
    OfferedDevice, OfferedGroup, Shape,
    sysfs_ops::{set_driver, set_resets, write_file},
};
use wire::{Device, Facts, Plan};

use crate::{
    platform::{EngineName, GroupSpec, Model, Platform},
    qemu::{bridge_id, device_id, model},
};

/// Deadline of the set-up.
const SETUP_MS: u64 = 60_000;

/// Matches the platform's groups with those of the guest.
///
/// A group that is not as the platform file says is left out. Cases that need it are skipped with
/// the reason instead of failing for another one.
pub fn offered(
    platform: &Platform,
    lacking: &BTreeMap<String, String>,
    facts: &Facts,
) -> case::Guest {
    let mut guest = case::Guest {
        platform: platform.name.clone(),
        release: facts.release.clone(),
        config: facts.config.clone(),
        features: facts.features.clone(),
        default_domain: facts.world.group_types.clone(),
        known_ioctls: facts.known_ioctls.clone(),
        ..case::Guest::default()
    };
    guest.missing_groups.clone_from(&platform.without);
    for (name, spec) in &platform.devices.groups {
        // A machine may have the devices, and a kernel without the option not what the shape is for.
        let unset = spec.config.iter().find(|option| lacks(facts, option));
        let unset = unset.map(|option| by_option(option));
        let offered = match lacking.get(name).cloned().or(unset) {
            Some(why) => Err(why),
            None => group(platform, name, spec, facts),
        };
        match offered {
            Ok(group) => guest.groups.push(group),
            Err(why) => {
                guest.missing_groups.insert(spec.shape.0.to_string(), why);
            }
        }
    }
    // Cases take the first group that fits, so the order must not depend on the names in the
    // platform file.
    guest
        .groups
        .sort_by_key(|group| (group.shape, group.number));
    guest
}

/// Whether a guest's kernel says that it has no such option.
fn lacks(facts: &Facts, option: &str) -> bool {
    !facts.config.is_empty() && !facts.config.contains_key(option)
}

/// Why a group is missing where this option is not set.
pub fn by_option(option: &str) -> String {
    format!("{option}=y in the kernel's configuration")
}

/// Returns what a guest of this platform would offer if it matched its file, for commands that do
/// not boot one. Its kernel is one of the uAPI's series with these options.
pub fn imagined<'a>(
    platform: &Platform,
    options: impl IntoIterator<Item = &'a str>,
) -> case::Guest {
    let features = wire::FEATURES.iter();
    let mut groups: Vec<_> = platform.devices.groups.iter().collect();
    groups.sort_by_key(|(_, spec)| spec.devices.first().map(|device| device.at.clone()));
    let groups = groups.into_iter().enumerate();
    let mut guest = case::Guest {
        platform: platform.name.clone(),
        release: uapi::SERIES.to_string(),
        config: options
            .into_iter()
            .map(|option| (option.to_owned(), "y".to_owned()))
            .collect(),
        features: features
            .map(|(name, ..)| ((*name).to_owned(), Ok(())))
            .collect(),
        missing_groups: platform.without.clone(),
        groups: groups
            .map(|(index, (name, spec))| imagined_group(platform, index as u32, name, spec))
            .collect(),
        ..case::Guest::default()
    };
    guest
        .groups
        .sort_by_key(|group| (group.shape, group.number));
    guest
}

fn imagined_group(platform: &Platform, number: u32, name: &str, spec: &GroupSpec) -> OfferedGroup {
    let devices = spec.devices.iter().enumerate().filter_map(|(index, spec)| {
        let model = platform.devices.models.get(&spec.model)?;
        Some(device(model, device_id(name, index), spec.at.clone()))
    });
    let mdev = spec.mdev.iter().map(|mdev| mdev_device(&mdev.uuid));
    OfferedGroup {
        name: name.to_owned(),
        shape: spec.shape.0,
        number: (spec.shape.0 != Shape::Noiommu).then_some(number),
        devices: devices.chain(mdev).collect(),
        bridge: bridge(platform, spec, |at| Some(at.to_owned())),
    }
}

/// The last bridge on the way to the devices of a group, with the name that the guest has for it.
fn bridge(
    platform: &Platform,
    spec: &GroupSpec,
    name: impl Fn(&str) -> Option<String>,
) -> Option<OfferedDevice> {
    let bridge = spec.bridges.last()?;
    let model = platform.devices.models.get(&bridge.model)?;
    let name = name(guest_path(spec, &bridge.at))?;
    Some(device(model, bridge_id(&bridge.at), name))
}

/// A device of a model, with the name that the guest has for it.
fn device(model: &Model, id: String, name: String) -> OfferedDevice {
    OfferedDevice {
        name,
        engine: model.engine.map(|EngineName::Nvme| wire::DmaEngine::Nvme),
        signature: model.signature.replace("{id}", &id),
        host_driver: model.host_driver.clone(),
        default_driver: model.default_driver.clone(),
        default_resets: model.resets.clone(),
        machine_id: Some(id),
    }
}

fn group(
    platform: &Platform,
    name: &str,
    spec: &GroupSpec,
    facts: &Facts,
) -> Result<OfferedGroup, String> {
    let mut devices = Vec::new();
    let mut numbers = Vec::new();
    let paths = spec
        .devices
        .iter()
        .map(|device| (&device.model, device.at.as_str()));
    for (index, (model_name, at)) in paths.enumerate() {
        let found = by_path(facts, guest_path(spec, at))
            .ok_or_else(|| format!("the guest has no device at {at}"))?;
        match (found.group, spec.shape.0) {
            (None, Shape::Noiommu) => {}
            (None, _) => return Err(format!("the device at {at} has no IOMMU group")),
            (Some(_), Shape::Noiommu) => {
                return Err(format!(
                    "the device at {at} has an IOMMU \
                group, but shape noiommu must not have one"
                ));
            }
            (Some(number), _) => numbers.push(number),
        }
        let model = platform.devices.models.get(model_name);
        let model = model.ok_or_else(|| format!("the topology has no model `{model_name}`"))?;
        devices.push(device(model, device_id(name, index), found.name.clone()));
    }
    if let Some(mdev) = &spec.mdev {
        let found = facts.devices.iter().find(|device| device.name == mdev.uuid);
        let found = found.ok_or_else(|| format!("no mdev of type {} was created", mdev.kind))?;
        numbers.extend(found.group);
        devices.push(mdev_device(&found.name));
    }
    let bridge = bridge(platform, spec, |at| Some(by_path(facts, at)?.name.clone()));
    if matches!(spec.shape.0, Shape::Port | Shape::Ports) {
        let name = bridge.as_ref().map(|bridge| &bridge.name);
        let found = facts.devices.iter().find(|it| Some(&it.name) == name);
        numbers.extend(found.and_then(|it| it.group));
    }
    numbers.dedup();
    if numbers.len() > 1 {
        return Err(format!(
            "the devices of {name} are in several IOMMU groups: {numbers:?}"
        ));
    }
    Ok(OfferedGroup {
        name: name.to_owned(),
        shape: spec.shape.0,
        number: numbers.first().copied(),
        devices,
        bridge,
    })
}

fn mdev_device(name: &str) -> OfferedDevice {
    OfferedDevice {
        name: name.to_owned(),
        machine_id: None,
        engine: None,
        signature: String::new(),
        host_driver: None,
        default_driver: None,
        default_resets: None,
    }
}

/// Returns the path of a device in the guest. A noiommu device is behind its own host bridge, and
/// its path starts below that bridge.
fn guest_path<'a>(spec: &GroupSpec, at: &'a str) -> &'a str {
    match at.split_once('/') {
        Some((_, rest)) if spec.shape.0 == Shape::Noiommu => rest,
        _ => at,
    }
}

fn by_path<'a>(facts: &'a Facts, at: &str) -> Option<&'a Device> {
    facts.devices.iter().find(|device| device.path == at)
}

/// Returns the ops that set up a fresh guest: every device gets its driver and its reset methods
/// between cases, and the mdevs are created.
pub fn setup(platform: &Platform, facts: &Facts) -> Plan {
    let mut ops = Vec::new();
    for spec in platform.devices.groups.values() {
        for device in &spec.devices {
            let Some(found) = by_path(facts, guest_path(spec, &device.at)) else {
                continue;
            };
            let Ok(model) = model(platform, device) else {
                continue;
            };
            // Cases about resets set them again.
            ops.push(set_resets(&found.name, model.resets.as_deref()));
            ops.push(set_driver(&found.name, model.default_driver.clone()));
        }
        if let Some(mdev) = &spec.mdev {
            let types = format!("/sys/class/mdev_bus/{0}/mdev_supported_types", mdev.parent);
            let path = format!("{types}/{}/create", mdev.kind);
            ops.push(write_file(path, &mdev.uuid));
        }
    }
    Plan {
        name: "set-up".to_owned(),
        ops,
        restore: Vec::new(),
        timeout_ms: SETUP_MS,
    }
}
