//! Probes: where the DMA of each device may land, as far as it is known.

use std::collections::BTreeSet;

use model::{Device, Domain, Ioas, Presence, State, World};

use crate::observability::Observability;

/// Where a device is told to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DmaTarget {
    /// The physical address of a page. DMA to it lands in an identity domain only: the positive
    /// control of the blocking domain.
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

/// Returns the probes of every device: a write that has to land, and writes that must not land. The
/// latter go to the pages of `others`, and to a physical address if the identity domain is a
/// control and no landing write shows that addresses are translated.
pub fn probes(
    world: &World,
    state: &State,
    observability: &Observability,
    others: &[Ioas],
) -> BTreeSet<Probe> {
    let mut probes = BTreeSet::new();
    for device in world.devices() {
        let group = world.group_of(device);
        let here = state.devices[device.0].presence != Presence::Gone;
        if here && observability.has_dma(world.groups[group.0].shape) {
            let targets = targets(
                world,
                state.domain(world, group),
                observability.has_control(),
                others,
            );
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

fn targets(
    world: &World,
    domain: Domain,
    control: bool,
    others: &[Ioas],
) -> Vec<(DmaTarget, bool)> {
    let mut targets = Vec::new();
    // DMA that lands at the IOVA of an IOAS was translated. Nothing is mapped there in a default
    // domain.
    if control && matches!(domain, Domain::Default | Domain::Blocking) {
        targets.push((DmaTarget::Physical, domain == Domain::Default));
    }
    if domain == Domain::Default {
        return targets;
    }
    for ioas in (0..world.ioases.len()).map(Ioas) {
        let lands = domain == Domain::Ioas(ioas);
        if lands || others.contains(&ioas) {
            targets.push((DmaTarget::Page(ioas), lands));
        }
    }
    if domain == Domain::Container {
        targets.push((DmaTarget::Container, true));
    }
    targets
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use model::{Driver, Event, Group, Iommu, Pt, Reading, Shape, decide};
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
        let state = after(&world, events);
        let probes = probes(&world, &state, &observability(&world, "intel"), &[Ioas(1)]);
        let seen = probes.iter().filter(|probe| probe.device == DEVICE);
        let seen: Vec<_> = seen.map(|probe| (probe.target, probe.lands)).collect();
        assert_eq!(seen, expected);
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
