//! Which DMA of a world a walk can observe on a platform.

use std::collections::BTreeMap;

use model::{Shape, World};
use runner::platform::{KnownDeviation, Platform};

use crate::case_language::{does_dma, shape_name};

/// Where the default domain lets DMA to a physical address pass: the positive control of the blocking
/// domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Everywhere: it becomes an identity domain.
    Identity,
    /// Below 16 MiB: it translates, and maps these addresses one to one.
    Direct,
    /// Nowhere, and why.
    None(String),
}

/// The DMA of a world that a walk can observe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observability {
    /// The positive control of the blocking domain.
    control: Control,
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
        Self {
            control: Control::of(world, platform),
            hidden: hidden.collect(),
        }
    }

    /// The positive control of the blocking domain.
    pub const fn control(&self) -> &Control {
        &self.control
    }

    /// Whether the blocking domain has a positive control.
    pub const fn has_control(&self) -> bool {
        !matches!(self.control, Control::None(_))
    }

    /// Why it has none.
    pub fn no_control(&self) -> Option<String> {
        match &self.control {
            Control::Identity | Control::Direct => None,
            Control::None(why) => Some(why.clone()),
        }
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

impl Control {
    fn of(world: &World, platform: &Platform) -> Self {
        let shapes = || world.groups.iter().map(|group| group.shape);
        let without = |shape| platform.known(KnownDeviation::NoIdentityControl, named(shape));
        let why = if !shapes().any(does_dma) {
            "no device does DMA on demand"
        } else if shapes().any(|shape| shape == Shape::DirectMapped) {
            return Self::Direct;
        } else if world.scope.translated {
            "its default domain is one that translates"
        } else if world.scope.hotplug {
            "a device that is plugged in again is in a new group"
        } else if let Some(why) = shapes().find_map(without) {
            why.trim()
        } else {
            return Self::Identity;
        };
        Self::None(why.to_owned())
    }
}

fn named(shape: Shape) -> Option<case::Shape> {
    case::Shape::named(shape_name(shape))
}
