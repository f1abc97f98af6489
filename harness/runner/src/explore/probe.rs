//! Where each device may reach memory by DMA, as far as it is known.

use std::collections::BTreeSet;

use model::{Device, Domain, Ioas, Possible, Presence, State, World};

use crate::explore::sight::Sight;

/// What a device is told to write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// The physical address of a page, which passes in an identity domain only: the positive
    /// control of the blocking domain.
    Home,
    /// The page of an IOAS.
    Page(Ioas),
    /// The page of the type1 containers.
    Container,
}

/// One look at what a device reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Probe {
    /// Who writes.
    pub device: Device,
    /// Where to.
    pub target: Target,
    /// Whether it arrives.
    pub lands: bool,
}

/// Looks at every device: at what it reaches, and at what it must not reach, of which there
/// are its physical address (where there is a control) and the pages of `others`.
pub fn probes(world: &World, state: &State, sight: &Sight, others: &[Ioas]) -> BTreeSet<Probe> {
    let mut probes = BTreeSet::new();
    for device in world.devices() {
        let group = world.group_of(device);
        let here = state.devices[device.0].presence != Presence::Gone;
        if here && sight.sees(world.groups[group.0].shape) {
            let targets = targets(world, state.domain(world, group), sight.control, others);
            probes.extend(targets.into_iter().map(|(target, lands)| Probe {
                device,
                target,
                lands,
            }));
        }
    }
    probes
}

fn targets(world: &World, domain: Domain, control: bool, others: &[Ioas]) -> Vec<(Target, bool)> {
    let mut targets = Vec::new();
    if control {
        targets.push((Target::Home, domain == Domain::Default));
    }
    if domain == Domain::Default {
        return targets;
    }
    for ioas in (0..world.ioases.len()).map(Ioas) {
        let lands = domain == Domain::Ioas(ioas);
        if lands || others.contains(&ioas) {
            targets.push((Target::Page(ioas), lands));
        }
    }
    if domain == Domain::Container {
        targets.push((Target::Container, true));
    }
    targets
}

/// What holds in all states that are possible.
pub fn common(
    world: &World,
    possible: &Possible,
    sight: &Sight,
    others: &[Ioas],
) -> BTreeSet<Probe> {
    let mut all = possible
        .states()
        .map(|state| probes(world, state, sight, others));
    let first = all.next().unwrap_or_default();
    all.fold(first, |known, more| {
        known.intersection(&more).copied().collect()
    })
}
