//! Which DMA of a world a walk can observe on a platform.

use std::collections::BTreeMap;

use model::{Shape, World};
use runner::platform::{KnownDeviation, Platform};

use crate::case_language::{does_dma, shape_name};

/// The DMA of a world that a walk can observe.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observability {
    /// Why the default domain cannot be an identity domain, in which DMA to physical addresses
    /// passes: the positive control of the blocking domain. `None` if it can.
    pub(super) no_control: Option<String>,
    /// Shapes of group whose DMA cannot be observed, and why.
    hidden: BTreeMap<&'static str, String>,
}

impl Observability {
    /// The observability of a world on a platform.
    pub fn of(world: &World, platform: &Platform) -> Self {
        let shapes = || world.groups.iter().map(|group| group.shape);
        let known = |deviation, shape| platform.known(deviation, named(shape));
        let hidden = shapes().filter_map(|shape| {
            let why = known(KnownDeviation::DmaNeverLands, shape)?;
            Some((shape_name(shape), why.trim().to_owned()))
        });
        let without = |shape| known(KnownDeviation::NoIdentityControl, shape);
        let no_control = match shapes().find_map(without) {
            _ if !shapes().any(does_dma) => Some("no device does DMA on demand".to_owned()),
            _ if world.scope.translated => {
                Some("its default domain is one that translates".to_owned())
            }
            _ if world.scope.hotplug => {
                Some("a device that is plugged in again is in a new group".to_owned())
            }
            why => why.map(|why| why.trim().to_owned()),
        };
        Self {
            no_control,
            hidden: hidden.collect(),
        }
    }

    /// Whether the default domain is an identity domain.
    pub const fn has_control(&self) -> bool {
        self.no_control.is_none()
    }

    /// Whether the DMA that devices of a group of this shape do on demand can be observed.
    pub fn has_dma(&self, shape: Shape) -> bool {
        does_dma(shape) && self.has_driver_dma(shape)
    }

    /// Whether the DMA of a kernel driver can be observed in a group of this shape.
    pub fn has_driver_dma(&self, shape: Shape) -> bool {
        !self.hidden.contains_key(shape_name(shape))
    }

    /// Describes what cannot be observed, with the reasons.
    pub fn limits(&self) -> impl Iterator<Item = String> {
        let hidden = self.hidden.iter();
        hidden.map(|(shape, why)| format!("DMA of shape {shape} is not observed: {why}"))
    }
}

fn named(shape: Shape) -> Option<case::Shape> {
    case::Shape::named(shape_name(shape))
}
