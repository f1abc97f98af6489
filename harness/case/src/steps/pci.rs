//! `pci_capability`, `reset_method`, `virtual_functions`, `module_parameter`: what is there in a PCI
//! device, how the kernel resets it, what it creates, and how vfio-pci treats it.

use wire::{Chain, Location, Op, Value};

use crate::{
    build::Builder,
    expect::{Expect, Layout, WantEnd},
    fields::Fields,
    node::Node,
    problem::Problem,
    role::Role,
    steps::step::read_errno,
    value,
};

/// `pci_capability: {on: a, id: PCI_CAP_ID_MSI, save: msi}`, or `chain: extended`; ENOENT says
/// that the device does not show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Capability {
    on: String,
    id: u16,
    chain: Chain,
    save: String,
    end: WantEnd,
}

impl Capability {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "pci_capability")?;
        let on = fields.need("on")?.text()?.to_owned();
        let id = read_id(fields.need("id")?)?;
        let chain = fields
            .take("chain")
            .map_or(Ok(Chain::Standard), read_chain)?;
        let save = fields.text("save")?.unwrap_or("capability").to_owned();
        let end = read_errno(&mut fields)?;
        fields.finish()?;
        Ok(Self {
            on,
            id,
            chain,
            save,
            end,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("capability {:#x} of {}", self.id, self.on)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = Op::PciCapability {
            fd: Value::Slot {
                name: self.on.clone(),
                add: 0,
            },
            id: self.id,
            chain: self.chain,
            save: self.save.clone(),
        };
        to.push(op, Expect::ending(self.end.clone()), Layout::Nothing);
        Ok(())
    }
}

fn read_id(node: &Node) -> Result<u16, Problem> {
    let known = match value::value(node)? {
        Value::Const(number) => u16::try_from(number).ok(),
        Value::Slot { .. } => None,
    };
    known.ok_or_else(|| node.not("the id of a capability, of 16 bits"))
}

fn read_chain(node: &Node) -> Result<Chain, Problem> {
    match node.text()? {
        "standard" => Ok(Chain::Standard),
        "extended" => Ok(Chain::Extended),
        other => {
            let known = ["standard", "extended"];
            let what = "chain of capabilities";
            Err(Problem::unknown_name(node.at, what, other, known))
        }
    }
}

/// `reset_method: {of: group.0, to: flr}`
///
/// Between cases the devices have none: a reset takes a tenth of a second at each open and
/// close.
#[derive(Debug, Clone, PartialEq)]
pub struct ResetMethod {
    of: Role,
    to: String,
}

impl ResetMethod {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "reset_method")?;
        let of = Role::read_device(fields.need("of")?)?;
        let to = fields.need("to")?.text()?.to_owned();
        fields.finish()?;
        Ok(Self { of, to })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("reset method {} for {}", self.to, self.of)
    }

    /// Adds its op; the method is taken away after the case.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = &to.cast.device(self.of)?.name;
        to.touch_reset_method(device);
        to.push(
            set_method(device, &self.to),
            Expect::SUCCESS,
            Layout::Nothing,
        );
        Ok(())
    }
}

/// `virtual_functions: {of: group.0, count: 2, errno: EBUSY}`; there are none after the case.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualFunctions {
    of: Role,
    count: u64,
    end: WantEnd,
}

impl VirtualFunctions {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "virtual_functions")?;
        let of = Role::read_device(fields.need("of")?)?;
        let count = fields.need("count")?.number()?;
        let end = read_errno(&mut fields)?;
        fields.finish()?;
        Ok(Self { of, count, end })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} virtual functions of {}", self.count, self.of)
    }

    /// Adds its op; the functions go after the case.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = &to.cast.device(self.of)?.name;
        to.create_functions(device);
        to.prepare(allow_functions(true));
        let expect = Expect::ending(self.end.clone());
        to.push(set_functions(device, self.count), expect, Layout::Nothing);
        Ok(())
    }
}

/// Lets vfio-pci create virtual functions, which it does not unless it is told so.
#[must_use]
pub fn allow_functions(allow: bool) -> Op {
    let path = "/sys/module/vfio_pci/parameters/enable_sriov";
    Op::WriteFile {
        at: Location::Path(path.to_owned()),
        text: if allow { "Y" } else { "N" }.to_owned(),
    }
}

/// Creates virtual functions, or takes them away.
#[must_use]
pub fn set_functions(device: &str, count: u64) -> Op {
    Op::WriteFile {
        at: Location::Path(format!("/sys/bus/pci/devices/{device}/sriov_numvfs")),
        text: count.to_string(),
    }
}

/// Names the ways in which the kernel may reset a device; an empty line is none.
#[must_use]
pub fn set_method(device: &str, method: &str) -> Op {
    Op::WriteFile {
        at: Location::Path(format!("/sys/bus/pci/devices/{device}/reset_method")),
        text: method.to_owned(),
    }
}

/// Parameters of vfio-pci that each device keeps from when it was given to the driver, and what
/// they are between cases.
const PARAMETERS: [(&str, &str); 2] = [("nointxmask", "N"), ("disable_idle_d3", "Y")];

/// `module_parameter: {nointxmask: "Y", of: group.0}`: the device is given to vfio-pci anew, with
/// another parameter. Both are undone after the case.
#[derive(Debug, Clone, PartialEq)]
pub struct ModuleParameter {
    name: &'static str,
    usual: &'static str,
    value: String,
    of: Role,
}

impl ModuleParameter {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "module_parameter")?;
        let of = Role::read_device(fields.need("of")?)?;
        let given = PARAMETERS
            .iter()
            .find_map(|(name, usual)| Some((*name, *usual, fields.take(name)?)));
        let missing = Problem::missing(fields.at(), PARAMETERS[0].0, "module_parameter");
        let (name, usual, value) = given.ok_or(missing)?;
        let value = value.text()?.to_owned();
        fields.finish()?;
        Ok(Self {
            name,
            usual,
            value,
            of,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{} {} for {}", self.name, self.value, self.of)
    }

    /// Adds its ops.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = to.cast.device(self.of)?;
        to.restore_by(self.anew(&device.name, self.usual, device.home.as_deref()));
        for op in self.anew(&device.name, &self.value, Some("vfio-pci")) {
            to.push(op, Expect::SUCCESS, Layout::Nothing);
        }
        Ok(())
    }

    fn anew(&self, device: &str, value: &str, driver: Option<&str>) -> Vec<Op> {
        let path = format!("/sys/module/vfio_pci/parameters/{}", self.name);
        let drivers = [None, driver].map(|driver| Op::Driver {
            device: device.to_owned(),
            driver: driver.map(str::to_owned),
        });
        let parameter = Op::WriteFile {
            at: Location::Path(path),
            text: value.to_owned(),
        };
        std::iter::once(parameter).chain(drivers).collect()
    }
}
