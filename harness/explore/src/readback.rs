//! What sysfs shows in a state, in addition to the calls and DMA.

use std::{collections::BTreeSet, fmt};

use model::{Device, Driver, Group, Presence, Shape, State, World};

use crate::case_language::CaseLanguage;

/// A file of sysfs, and its expected content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Readback {
    path: String,
    content: Content,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Content {
    /// Exactly this.
    Text(&'static str),
    /// Anything, because the content differs each time.
    Anything,
    /// The file does not exist.
    Missing,
}

impl fmt::Display for Readback {
    /// As a step of a case.
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "read_file: {{path: \"{}\"", self.path)?;
        match self.content {
            Content::Text(text) => write!(to, ", text: \"{text}\"}}"),
            Content::Anything => write!(to, "}}"),
            Content::Missing => write!(to, ", errno: ENOENT}}"),
        }
    }
}

/// Files that show which devices and groups vfio has, and which devices are enabled: those that a
/// device_fd has access to (S1.5), and one that has a kernel driver.
pub fn readbacks(world: &World, state: &State) -> BTreeSet<Readback> {
    let language = CaseLanguage(world);
    // mtty does not have a predictable group node or the files of PCI.
    let is_pci = |group: &Group| world.groups[group.0].shape != Shape::Mdev;
    let groups = world.all_groups().filter(is_pci);
    groups
        .flat_map(|group| {
            let devices = world.members(group);
            devices
                .flat_map(|device| of_device(language, state, device))
                .chain(of_node(language, state, group))
                .chain(of_host_driver(language, state, group))
                .collect::<Vec<_>>()
        })
        .collect()
}

fn of_device(language: CaseLanguage<'_>, state: &State, device: Device) -> Vec<Readback> {
    let role = language.role(device);
    let now = &state.devices[device.0];
    // vfio-pci enables a device for the first user that gets access and disables it after the last.
    // A kernel driver keeps it enabled.
    let enabled = on_off(now.driver == Driver::Kernel || now.bindings().next().is_some());
    let by_driver = format!("/sys/bus/pci/drivers/vfio-pci/{{{role}}}/enable");
    let by_bus = format!("/sys/bus/pci/devices/{{{role}}}/enable");
    let read = |path, content| Readback { path, content };
    match now.presence {
        Presence::Gone => vec![read(by_bus, Content::Missing)],
        Presence::Here if now.on_vfio() => vec![read(by_driver, enabled)],
        // A driver that was asked to release the device is no longer shown, however long the
        // release takes.
        Presence::Here | Presence::Leaving => {
            vec![read(by_driver, Content::Missing), read(by_bus, enabled)]
        }
    }
}

/// A group belongs to vfio while a device of it is bound to a vfio driver (S1.0).
fn of_node(language: CaseLanguage<'_>, state: &State, group: Group) -> Option<Readback> {
    let role = language.group_role(group);
    let path = format!("/sys/class/vfio/{{{role}}}/dev");
    let mut members = language
        .0
        .members(group)
        .map(|device| &state.devices[device.0]);
    let on_vfio = language.0.stays_on_vfio(group) || members.any(|device| device.on_vfio());
    let content = match on_vfio {
        true => Content::Anything,
        false => Content::Missing,
    };
    // A device that is plugged in again may get a group of another number.
    (!language.0.scope.hotplug).then_some(Readback { path, content })
}

fn of_host_driver(language: CaseLanguage<'_>, state: &State, group: Group) -> Option<Readback> {
    let role = language.group_role(group);
    language.0.groups[group.0].host_driver.then(|| Readback {
        path: format!("/sys/bus/pci/devices/{{{role}.host-driver}}/enable"),
        content: on_off(state.groups[group.0].on_kernel_driver),
    })
}

/// Steps that show what user space holds: a mapping of a BAR can be read as long as it exists
/// (S1.7), and a group says whether it is viable and in a container (S1.0).
pub fn held(world: &World, state: &State) -> BTreeSet<String> {
    let mapped = world.devices().filter(|device| {
        let now = &state.devices[device.0];
        now.held.is_some() || now.file.is_some_and(|file| file.mapped)
    });
    let loads = mapped.map(|device| format!("load: {{at: $bar{}}}", device.0));
    let open = world
        .all_groups()
        .filter(|group| state.groups[group.0].open);
    let states = open.map(|group| {
        let in_container = state.groups[group.0].container.is_some();
        let flags = match (in_container, state.kernel_drives(world, group)) {
            (true, _) => "[VIABLE, CONTAINER_SET]",
            (false, true) => "0",
            (false, false) => "[VIABLE]",
        };
        format!("VFIO_GROUP_GET_STATUS: {{on: {group}, expect: {{flags: {flags}}}}}")
    });
    loads.chain(states).collect()
}

const fn on_off(on: bool) -> Content {
    Content::Text(if on { "1" } else { "0" })
}

#[cfg(test)]
mod tests {
    use model::{Event, Iommu, Reading, decide};
    use rstest::rstest;

    use super::*;

    const DEVICE: Device = Device(0);
    const BIND: Event = Event::Bind(DEVICE, Iommu(0));

    /// Returns what sysfs has to show in a world after these events.
    fn after(world: &World, events: &[Event]) -> Vec<String> {
        let rules = Reading::Stage2.rules();
        let state = events.iter().fold(State::initial(world), |state, event| {
            decide(&rules, world, &state, *event).expect("a rule").next
        });
        let readbacks = readbacks(world, &state);
        readbacks.iter().map(ToString::to_string).collect()
    }

    const BY_BUS: &str = "/sys/bus/pci/devices/{group.0}/enable";
    const BY_DRIVER: &str = "/sys/bus/pci/drivers/vfio-pci/{group.0}/enable";

    #[rstest]
    #[case::closed(&[], &[(BY_DRIVER, "text: \"0\"")])]
    #[case::opened(&[Event::Open(DEVICE)], &[(BY_DRIVER, "text: \"0\"")])]
    #[case::bound(&[Event::Open(DEVICE), BIND], &[(BY_DRIVER, "text: \"1\"")])]
    #[case::held_by_a_mapping(
        &[Event::Open(DEVICE), BIND, Event::Mmap(DEVICE), Event::Close(DEVICE)],
        &[(BY_DRIVER, "text: \"1\"")]
    )]
    #[case::leaving(
        &[Event::Open(DEVICE), BIND, Event::Unplug(DEVICE)],
        &[(BY_BUS, "text: \"1\""), (BY_DRIVER, "errno: ENOENT")]
    )]
    #[case::gone(&[Event::Unplug(DEVICE)], &[(BY_BUS, "errno: ENOENT")])]
    #[case::back(
        &[Event::Unplug(DEVICE), Event::Plug(DEVICE)],
        &[(BY_DRIVER, "text: \"0\"")]
    )]
    fn a_device_says_whether_it_is_in_use(#[case] events: &[Event], #[case] says: &[(&str, &str)]) {
        let step = |(path, says): &(_, _)| format!("read_file: {{path: \"{path}\", {says}}}");
        let expected: Vec<_> = says.iter().map(step).collect();
        assert_eq!(after(&World::hotplug(), events), expected);
    }

    #[test]
    fn a_group_is_there_with_its_last_device() {
        let world = World::group(Shape::Functions);
        let node =
            |says: &str| format!("read_file: {{path: \"/sys/class/vfio/{{group}}/dev\"{says}}}");
        let with = after(&world, &[Event::Drive(DEVICE, Driver::None)]);
        assert!(with.contains(&node("")), "{with:?}");
        let without = after(
            &world,
            &[
                Event::Drive(DEVICE, Driver::None),
                Event::Drive(Device(1), Driver::None),
            ],
        );
        assert!(without.contains(&node(", errno: ENOENT")), "{without:?}");
    }

    #[rstest]
    #[case::free(&[], "0")]
    #[case::taken(&[Event::KernelDriver(Group(0))], "1")]
    fn a_kernel_driver_enables_its_device(#[case] events: &[Event], #[case] text: &str) {
        let said = after(&World::group(Shape::Functions), events);
        let expected = format!(
            "read_file: {{path: \"/sys/bus/pci/devices/{{group.host-driver}}/enable\", text: \"{text}\"}}"
        );
        assert!(said.contains(&expected), "{said:?}");
    }

    #[rstest]
    #[case::nothing(&[], &[])]
    #[case::a_mapping(
        &[Event::Open(DEVICE), BIND, Event::Mmap(DEVICE)], &["load: {at: $bar0}"]
    )]
    #[case::a_mapping_alone(
        &[Event::Open(DEVICE), BIND, Event::Mmap(DEVICE), Event::Close(DEVICE)],
        &["load: {at: $bar0}"]
    )]
    #[case::a_group(
        &[Event::OpenGroup(Group(0))],
        &["VFIO_GROUP_GET_STATUS: {on: group0, expect: {flags: [VIABLE]}}"]
    )]
    #[case::in_a_container(
        &[Event::OpenGroup(Group(0)), Event::SetContainer(Group(0))],
        &["VFIO_GROUP_GET_STATUS: {on: group0, expect: {flags: [VIABLE, CONTAINER_SET]}}"]
    )]
    #[case::the_kernels(
        &[Event::OpenGroup(Group(0)), Event::KernelDriver(Group(0))],
        &["VFIO_GROUP_GET_STATUS: {on: group0, expect: {flags: 0}}"]
    )]
    fn what_user_space_holds_is_looked_at(#[case] events: &[Event], #[case] says: &[&str]) {
        let world = World::translated();
        let rules = Reading::Stage2.rules();
        let state = events.iter().fold(State::initial(&world), |state, event| {
            decide(&rules, &world, &state, *event).expect("a rule").next
        });
        let held = held(&world, &state);
        assert_eq!(held.iter().collect::<Vec<_>>(), says);
    }

    #[test]
    fn an_mdev_has_nothing_to_say() {
        assert!(after(&World::mdev(), &[]).is_empty());
    }
}
