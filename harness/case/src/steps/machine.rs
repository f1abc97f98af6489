//! `unplug` and `plug`: what the host does to the machine.

use wire::{HostAction, Op};

use crate::{
    build::Builder,
    expect::{Expect, Layout},
    fields::Fields,
    node::{Node, Tree},
    problem::Problem,
    role::{OfferedDevice, Role},
    steps::pci,
};

/// The kernel has so long to let a device go, or to find one.
const MOVE_MS: u64 = 5000;

/// `unplug: group.0`: the guest is asked to let the device go, which it does once nobody uses it.
/// After the case the device is back.
#[derive(Debug, Clone, PartialEq)]
pub struct Unplug(Role);

impl Unplug {
    /// Reads the step.
    ///
    /// # Errors
    /// When it names no device.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        Role::read_device(body).map(Self)
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("unplug {}", self.0)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = to.cast.device(self.0)?;
        let back = plug(device, self.0)?;
        to.restore_by(back);
        let unplug = HostAction::Unplug(machine_id(device, self.0)?);
        to.push(Op::Host(unplug), Expect::SUCCESS, Layout::Nothing);
        Ok(())
    }
}

/// `gone: group.0`: waits until an unplugged device is gone. `gone: {node: group.0}`: until its
/// node is, from which on it only waits for its user.
#[derive(Debug, Clone, PartialEq)]
pub struct Gone {
    role: Role,
    node: bool,
}

impl Gone {
    /// Reads the step.
    ///
    /// # Errors
    /// When it names no device.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        if matches!(body.tree, Tree::Text(_)) {
            let role = Role::read_device(body)?;
            return Ok(Self { role, node: false });
        }
        let mut fields = Fields::of(body, "gone")?;
        let role = Role::read_device(fields.need("node")?)?;
        fields.finish()?;
        Ok(Self { role, node: true })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        match self.node {
            false => format!("{} is gone", self.role),
            true => format!("the node of {} is gone", self.role),
        }
    }

    /// Adds its op.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let below = if self.node { "/vfio-dev" } else { "" };
        let gone = gone(to.cast.device(self.role)?, below);
        to.push(gone, Expect::SUCCESS, Layout::Nothing);
        Ok(())
    }
}

/// `plug: group.0`: waits until an unplugged device is gone, plugs it in again, and gives it the
/// driver that it has between cases.
#[derive(Debug, Clone, PartialEq)]
pub struct Plug(Role);

impl Plug {
    /// Reads the step.
    ///
    /// # Errors
    /// When it names no device.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        Role::read_device(body).map(Self)
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("plug in {}", self.0)
    }

    /// Adds its ops.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = to.cast.device(self.0)?;
        to.push(gone(device, ""), Expect::SUCCESS, Layout::Nothing);
        for op in plug(device, self.0)? {
            to.push(op, Expect::SUCCESS, Layout::Nothing);
        }
        Ok(())
    }
}

fn gone(device: &OfferedDevice, below: &str) -> Op {
    Op::Await {
        path: format!("/sys/bus/pci/devices/{}{below}", device.name),
        there: false,
        timeout_ms: MOVE_MS,
    }
}

fn machine_id(device: &OfferedDevice, role: Role) -> Result<String, String> {
    let id = device.machine_id.clone();
    id.ok_or_else(|| format!("a device of the machine: {role} is made by the guest"))
}

/// Plugs a device in, and makes it what it is between cases.
fn plug(device: &OfferedDevice, role: Role) -> Result<Vec<Op>, String> {
    let there = Op::Await {
        path: format!("/sys/bus/pci/devices/{}/reset_method", device.name),
        there: true,
        timeout_ms: MOVE_MS,
    };
    Ok(vec![
        Op::Host(HostAction::Plug(machine_id(device, role)?)),
        there,
        pci::set_method(&device.name, "\n"),
        Op::Arrive {
            device: device.name.clone(),
            driver: device.home.clone(),
            timeout_ms: MOVE_MS,
        },
    ])
}
