//! Probes: where the DMA of each device may land, as far as it is known.

use std::collections::{BTreeMap, BTreeSet};

use model::{Device, Domain, Group, Ioas, Presence, Shape, State, World};

use crate::observability::{Control, Observability};

/// Where a device is told to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DmaTarget {
    /// The physical address of a page. DMA to it lands in the default domain only, if that is an
    /// identity domain or maps the page one to one: the positive control of the blocking domain.
    Physical,
    /// The page of an IOAS.
    Page(Ioas),
    /// The page of the type1 containers.
    Container,
}

/// One write of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probe {
    /// The device.
    pub device: Device,
    /// Where it writes.
    pub target: DmaTarget,
    /// Whether the write lands.
    pub lands: bool,
}

/// Returns every target that a device of a world may be told to write to.
pub fn all_targets(world: &World, observability: &Observability) -> Vec<DmaTarget> {
    let pages = (0..world.ioases.len()).map(Ioas).map(DmaTarget::Page);
    let container = world.scope.group_path.then_some(DmaTarget::Container);
    let physical = observability.has_control().then_some(DmaTarget::Physical);
    pages.chain(container).chain(physical).collect()
}

/// Returns the probes of every device: a write that has to land, and writes to `others` that must
/// not land. The latter go to a physical address as well if the device has to be blocked and there
/// is a control.
pub fn probes(
    world: &World,
    state: &State,
    observability: &Observability,
    others: &[DmaTarget],
) -> BTreeSet<Probe> {
    let mut probes = BTreeSet::new();
    for device in world.devices() {
        let group = world.group_of(device);
        let here = state.devices[device.0].presence != Presence::Gone;
        if here && observability.has_dma(world.groups[group.0].shape) {
            let domain = state.domain(world, group);
            let targets = targets(domain, observability.control(), others);
            probes.extend(targets.into_iter().map(|(target, lands)| Probe {
                device,
                target,
                lands,
            }));
        }
    }
    probes
}

/// Whether a device whose DMA has to land is bound to a kernel driver (S2.9).
pub fn kernel_does_dma(world: &World, state: &State, observability: &Observability) -> bool {
    let mut groups = world.all_groups();
    groups.any(|group| {
        state.kernel_drives(world, group)
            && observability.has_driver_dma(world.groups[group.0].shape)
    })
}

/// Returns the IOASes whose page can be taken away from a device that is attached, and put back: one
/// device of each.
pub fn remaps(
    world: &World,
    state: &State,
    observability: &Observability,
) -> BTreeSet<(Ioas, Device)> {
    let mut first = BTreeMap::new();
    for device in world.devices() {
        let group = world.group_of(device);
        let here = state.devices[device.0].presence != Presence::Gone;
        if let Domain::Ioas(ioas) = state.domain(world, group)
            && here
            && state.iommus[world.ioases[ioas.0].0]
            && observability.has_dma(world.groups[group.0].shape)
        {
            first.entry(ioas).or_insert(device);
        }
    }
    first.into_iter().collect()
}

/// Returns the groups that have just gone back to a default domain that translates, and with which
/// a kernel driver can show that: its DMA lands there only.
pub fn returned(
    world: &World,
    before: &State,
    after: &State,
    observability: &Observability,
) -> BTreeSet<Group> {
    let goes_back = |group: &Group| {
        before.domain(world, *group) != Domain::Default
            && after.domain(world, *group) == Domain::Default
    };
    let observed = |group: &Group| {
        !observability.has_control()
            && observability.has_driver_dma(world.groups[group.0].shape)
            && may_lend(world, after, *group)
    };
    world
        .all_groups()
        .filter(goes_back)
        .filter(observed)
        .collect()
}

/// Whether a device of the group can be given to a kernel driver and back.
fn may_lend(world: &World, state: &State, group: Group) -> bool {
    let spec = &world.groups[group.0];
    if spec.host_driver {
        return !state.groups[group.0].on_kernel_driver;
    }
    let mut members = world.members(group);
    spec.shape == Shape::HostDriver
        && world.scope.drivers
        && !state.group_path(world, group)
        && members.all(|device| {
            let now = &state.devices[device.0];
            now.is_idle() && now.on_vfio()
        })
}

fn targets(domain: Domain, control: &Control, others: &[DmaTarget]) -> Vec<(DmaTarget, bool)> {
    let has_control = !matches!(control, Control::None(_));
    let own = match domain {
        Domain::Default if has_control => Some(DmaTarget::Physical),
        // Nothing is mapped there for a device whose driver does not do DMA.
        Domain::Default | Domain::Blocking => None,
        Domain::Ioas(ioas) => Some(DmaTarget::Page(ioas)),
        Domain::Container => Some(DmaTarget::Container),
    };
    // An identity domain translates nothing, so the device finds no memory at an IOVA, but does not
    // fault.
    let identity = *control == Control::Identity && domain == Domain::Default;
    let blocking = has_control && domain == Domain::Blocking;
    let blocked = others.iter().copied().filter(|_| !identity);
    let blocked = blocked.chain(blocking.then_some(DmaTarget::Physical));
    let blocked = blocked.filter(|target| Some(*target) != own);
    let blocked = blocked.map(|target| (target, false));
    own.map(|target| (target, true))
        .into_iter()
        .chain(blocked)
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use model::{Driver, Event, Iommu, Pt, Reading, decide};
    use rstest::rstest;

    use super::*;
    use runner::platform::Platform;

    const DEVICE: Device = Device(0);
    const BIND: Event = Event::Bind(DEVICE, Iommu(0));
    const ATTACH: Event = Event::Attach(DEVICE, Pt::Ioas(Ioas(0)));

    fn after(world: &World, events: &[Event]) -> State {
        let rules = Reading::Stage2.rules();
        events.iter().fold(State::initial(world), |state, event| {
            decide(&rules, world, &state, *event).expect("a rule").next
        })
    }

    fn observability(world: &World, platform: &str) -> Observability {
        let images = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../vm-images");
        Observability::of(world, &Platform::load(&images, platform).expect(platform))
    }

    /// Probes of the first device after these events.
    #[rstest]
    #[case::the_kernels(&[], &[(DmaTarget::Physical, true)])]
    #[case::blocked(
        &[Event::Open(DEVICE), BIND],
        &[(DmaTarget::Physical, false), (DmaTarget::Page(Ioas(1)), false)]
    )]
    #[case::attached(
        &[Event::Open(DEVICE), BIND, ATTACH],
        &[(DmaTarget::Page(Ioas(0)), true), (DmaTarget::Page(Ioas(1)), false)]
    )]
    fn a_device_is_looked_at_where_it_tells_something(
        #[case] events: &[Event],
        #[case] expected: &[(DmaTarget, bool)],
    ) {
        let world = World::group(Shape::Functions);
        let seen = probed(&world, events, &[DmaTarget::Page(Ioas(1))]);
        assert_eq!(seen, expected);
    }

    const GROUP: Group = Group(0);
    const CONTAINER: [Event; 3] = [
        Event::OpenGroup(GROUP),
        Event::SetContainer(GROUP),
        Event::SetIommu(GROUP),
    ];

    /// Where a device has a security context, everything else is blocked.
    #[rstest]
    #[case::attached(
        World::group_path(Shape::Functions),
        &[Event::Open(DEVICE), BIND, ATTACH],
        &[
            (DmaTarget::Physical, false),
            (DmaTarget::Page(Ioas(0)), true),
            (DmaTarget::Container, false),
        ]
    )]
    #[case::in_a_container(
        World::group_path(Shape::Functions),
        &CONTAINER,
        &[
            (DmaTarget::Physical, false),
            (DmaTarget::Page(Ioas(0)), false),
            (DmaTarget::Container, true),
        ]
    )]
    #[case::the_kernels_direct_mapped(
        World::resets(),
        &[],
        &[(DmaTarget::Physical, true), (DmaTarget::Page(Ioas(0)), false)]
    )]
    #[case::blocked_direct_mapped(
        World::resets(),
        &[Event::Open(DEVICE), BIND],
        &[(DmaTarget::Physical, false), (DmaTarget::Page(Ioas(0)), false)]
    )]
    #[case::the_kernels_translated(
        World::hotplug(),
        &[],
        &[(DmaTarget::Page(Ioas(0)), false)]
    )]
    fn every_target_is_tried(
        #[case] world: World,
        #[case] events: &[Event],
        #[case] expected: &[(DmaTarget, bool)],
    ) {
        let others = all_targets(&world, &observability(&world, "intel"));
        assert_eq!(probed(&world, events, &others), expected);
    }

    fn probed(world: &World, events: &[Event], others: &[DmaTarget]) -> Vec<(DmaTarget, bool)> {
        let state = after(world, events);
        let probes = probes(world, &state, &observability(world, "intel"), others);
        let seen = probes.iter().filter(|probe| probe.device == DEVICE);
        seen.map(|probe| (probe.target, probe.lands)).collect()
    }

    /// Each route back to a default domain that translates is looked at.
    #[rstest]
    #[case::closed_while_bound(World::kernel_driver(), &[Event::Open(DEVICE), BIND], Event::Close(DEVICE))]
    #[case::closed_while_attached(
        World::kernel_driver(), &[Event::Open(DEVICE), BIND, ATTACH], Event::Close(DEVICE)
    )]
    #[case::out_of_its_container(
        World::translated(), &CONTAINER, Event::UnsetContainer(GROUP)
    )]
    #[case::group_closed(World::kernel_driver(), &CONTAINER, Event::CloseGroup(GROUP))]
    fn a_kernel_driver_shows_the_way_back(
        #[case] world: World,
        #[case] events: &[Event],
        #[case] last: Event,
    ) {
        let on_vfio = [Event::Drive(DEVICE, Driver::Vfio)];
        let before = after(&world, &[&on_vfio[..], events].concat());
        let now = after(&world, &[&on_vfio[..], events, &[last]].concat());
        let observability = observability(&world, "intel");
        let groups = returned(&world, &before, &now, &observability);
        assert_eq!(groups, BTreeSet::from([GROUP]));
        assert!(returned(&world, &now, &now, &observability).is_empty());
    }

    #[rstest]
    #[case::of_a_group(Shape::Functions, "intel", true)]
    #[case::behind_a_bridge(Shape::Bridge, "intel", true)]
    #[case::behind_a_bridge_without_context(Shape::Bridge, "intel-scalable", false)]
    fn a_kernel_driver_is_looked_at_where_its_dma_lands(
        #[case] shape: Shape,
        #[case] platform: &str,
        #[case] expected: bool,
    ) {
        let world = World::group(shape);
        let observability = observability(&world, platform);
        let seen = |state| kernel_does_dma(&world, &state, &observability);
        assert!(!seen(after(&world, &[])));
        let taken = after(&world, &[Event::KernelDriver(Group(0))]);
        assert_eq!(seen(taken), expected);
    }

    #[test]
    fn a_device_that_is_the_kernels_does_its_dma() {
        let world = World::kernel_driver();
        let observability = observability(&world, "intel");
        let driven = |driver| after(&world, &[Event::Drive(DEVICE, driver)]);
        assert!(kernel_does_dma(
            &world,
            &driven(Driver::Kernel),
            &observability
        ));
        assert!(!kernel_does_dma(
            &world,
            &driven(Driver::Vfio),
            &observability
        ));
    }
}
