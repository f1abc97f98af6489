//! Where each device may reach memory by DMA, as far as it is known.

use std::collections::BTreeSet;

use model::{Device, Domain, Ioas, Presence, State, World};

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
/// are a physical address (where there is a control, and nothing else that it reaches shows
/// that its addresses are translated) and the pages of `others`.
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
    // DMA that lands where an IOAS has a page was translated, and none does in a default domain.
    if control && matches!(domain, Domain::Default | Domain::Blocking) {
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
