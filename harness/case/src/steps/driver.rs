//! `driver` and `group_type`: what the kernel itself does with the devices.

use wire::{Location, Op};

use crate::{
    build::Builder,
    expect::{Expect, Layout, WantEnd},
    fields::Fields,
    node::{Node, Tree},
    problem::Problem,
    role::{Cast, Role, Which},
    steps::step::read_errno,
};

/// `driver: {of: group.native, to: native, errno: EBUSY}`
///
/// `to` is a driver's name, `native` for the device's own driver, or `none`.
#[derive(Debug, Clone, PartialEq)]
pub struct Driver {
    of: Role,
    to: String,
    end: WantEnd,
}

impl Driver {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "driver")?;
        let of = Role::read_device(fields.need("of")?)?;
        let to = fields.need("to")?.text()?.to_owned();
        let end = read_errno(&mut fields)?;
        fields.finish()?;
        Ok(Self { of, to, end })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("driver {} for {}", self.to, self.of)
    }

    /// Adds its op; the device goes home after the case.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = to.cast.device(self.of)?;
        let driver = match self.to.as_str() {
            "none" => None,
            "native" => Some(
                device
                    .native
                    .clone()
                    .ok_or_else(|| format!("a native driver for {}", self.of))?,
            ),
            name => Some(name.to_owned()),
        };
        to.touch_device(&device.name);
        let op = Op::Driver {
            device: device.name.clone(),
            driver,
        };
        to.push(op, Expect::ending(self.end.clone()), Layout::Nothing);
        Ok(())
    }
}

/// `group_type: identity` or `group_type: {of: other, to: identity}`
///
/// Takes every device of the group from its driver, changes the type of the default domain
/// and gives the devices back: the kernel allows the change only in between.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupType {
    of: Which,
    to: String,
}

impl GroupType {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        if let Tree::Text(to) = &body.tree {
            return Ok(Self {
                of: Which::Group,
                to: to.clone(),
            });
        }
        let mut fields = Fields::of(body, "group_type")?;
        let of = fields.take("of").map(Role::read_group).transpose()?;
        let of = of.unwrap_or(Which::Group);
        let to = fields.need("to")?.text()?.to_owned();
        fields.finish()?;
        Ok(Self { of, to })
    }

    /// Whether it asks for an identity domain.
    #[must_use]
    pub fn is_identity(&self) -> bool {
        self.to == "identity"
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("default domain becomes {}", self.to)
    }

    /// Adds its ops; the type is put back after the case.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.touch_group(self.of);
        for op in change_domain(to.cast, self.of, Some(&self.to))? {
            to.prepare(op);
        }
        Ok(())
    }
}

/// Ops that change the default domain of a group to `kind`, or back to what it is between
/// cases.
///
/// # Errors
/// With the need that the guest does not meet.
pub fn change_domain(cast: &Cast<'_>, which: Which, kind: Option<&str>) -> Result<Vec<Op>, String> {
    let group = cast.group(which)?;
    let kind = kind
        .or_else(|| cast.default_domain(group))
        .ok_or_else(|| format!("the default domain type of group {}", group.name))?;
    let drivers = |home: bool| {
        group.devices.iter().map(move |device| Op::Driver {
            device: device.name.clone(),
            driver: device.home.clone().filter(|_| home),
        })
    };
    let path = format!("/sys/kernel/iommu_groups/{}/type", group.number()?);
    let change = Op::WriteFile {
        at: Location::Path(path),
        text: kind.to_owned(),
    };
    Ok(drivers(false)
        .chain([change])
        .chain(drivers(true))
        .collect())
}
