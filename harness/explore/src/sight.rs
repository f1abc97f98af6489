//! What a platform lets a walk see of DMA.

use std::collections::BTreeMap;

use model::{Shape, World};
use runner::platform::{KnownDeviation, Platform};

use crate::words::{does_dma, shape_name};

/// Which of a world's DMA can be looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sight {
    /// Whether the default domain can be an identity domain, in which DMA to physical addresses
    /// passes: the positive control of the blocking domain.
    pub(super) control: bool,
    /// Shapes whose DMA tells nothing, and why.
    blind: BTreeMap<&'static str, String>,
}

impl Sight {
    /// Of a world on a platform.
    #[must_use]
    pub fn of(world: &World, platform: &Platform) -> Self {
        let shapes = || world.groups.iter().map(|group| group.shape);
        let known = |deviation, shape| platform.known(deviation, named(shape));
        let blind = shapes().filter_map(|shape| {
            let why = known(KnownDeviation::DmaNeverLands, shape)?;
            Some((shape_name(shape), why.trim().to_owned()))
        });
        let free = |shape| known(KnownDeviation::NoIdentityControl, shape).is_none();
        Self {
            // A device that is plugged in again is in a group of its own making.
            control: shapes().any(does_dma) && shapes().all(free) && !world.scope.hotplug,
            blind: blind.collect(),
        }
    }

    /// Whether the DMA that the devices of a group of this shape do on demand tells something.
    #[must_use]
    pub fn sees(&self, shape: Shape) -> bool {
        does_dma(shape) && self.sees_kernel(shape)
    }

    /// Whether the DMA of a kernel driver tells something in a group of this shape.
    #[must_use]
    pub fn sees_kernel(&self, shape: Shape) -> bool {
        !self.blind.contains_key(shape_name(shape))
    }

    /// What is not looked at, and why.
    pub fn limits(&self) -> impl Iterator<Item = String> {
        let blind = self.blind.iter();
        blind.map(|(shape, why)| format!("DMA of shape {shape} is not looked at: {why}"))
    }
}

fn named(shape: Shape) -> Option<case::Shape> {
    case::Shape::named(shape_name(shape))
}
