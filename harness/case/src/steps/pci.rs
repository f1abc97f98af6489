//! PCI devices: capabilities, drivers, default domains, resets, virtual functions, and hotplug.

use wire::{Chain, FileOp, HostAction, Op, PciOp, Returned, Timeout, Value};

use crate::{
    build::Builder,
    expect::{Expect, Layout},
    input::{Ends, Input, SlotName, Word, body, newtype, resolved, words},
    node::{At, Node, Tree},
    problem::Problem,
    role::{OfferedDevice, Role, Which},
    spec::Spec,
    steps::Action,
    sysfs_ops::{
        allow_functions, change_domain, set_driver, set_functions, set_resets, write_file,
    },
};

words!(Chain);

body! {
    /// `pci_capability: {on: a, id: PCI_CAP_ID_MSI, save: msi}`
    ///
    /// ENOENT means that the device does not have the capability.
    pub struct Capability in "pci_capability" {
        /// The descriptor of the device.
        on: SlotName,
        /// Id of the capability.
        id: CapabilityId,
        /// Which of the two chains.
        chain: Chain = Chain::Standard,
        /// The name for its offset in configuration space.
        save: SlotName = SlotName("capability".to_owned()),
        /// How the search ends.
        errno: Ends,
    }
}

impl Word for Chain {
    const WHAT: &'static str = "chain of capabilities";
    const ALL: &'static [(&'static str, Self)] =
        &[("standard", Self::Standard), ("extended", Self::Extended)];
}

/// The id of a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CapabilityId(u16);

impl Input for CapabilityId {
    fn read(node: &Node) -> Result<Self, Problem> {
        match Value::read(node)? {
            Value::Const(id) => u16::try_from(id).ok().map(Self),
            Value::Slot { .. } => None,
        }
        .ok_or_else(|| node.not("the id of a capability, of 16 bits"))
    }

    fn spec() -> Spec {
        Spec::Value
    }
}

impl Action for Capability {
    fn label(&self) -> String {
        format!("capability {:#x} of {}", self.id.0, self.on)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = PciOp::Capability {
            fd: self.on.fd(),
            id: self.id.0,
            chain: self.chain,
            save: Returned(self.save.0.clone()),
        };
        to.push(op, Expect::ending(self.errno.0.clone()), Layout::Nothing);
        Ok(())
    }
}

body! {
    /// `driver: {of: group.host-driver, to: host-driver, errno: EBUSY}`
    ///
    /// The default driver of the device is restored after the case.
    pub struct Driver in "driver" {
        /// The device to bind.
        of: Role,
        /// The name of a driver, `host-driver` for the host's own driver of the device, or `none`.
        to: String,
        /// How the binding ends.
        errno: Ends,
    }
}

impl Action for Driver {
    fn label(&self) -> String {
        format!("driver {} for {}", self.to, self.of)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = to.roles.device(self.of)?;
        let driver = match self.to.as_str() {
            "none" => None,
            "host-driver" => {
                let driver = device.host_driver.clone();
                Some(driver.ok_or_else(|| format!("a host driver for {}", self.of))?)
            }
            name => Some(name.to_owned()),
        };
        to.touch_device(&device.name);
        let op = set_driver(&device.name, driver);
        to.push(op, Expect::ending(self.errno.0.clone()), Layout::Nothing);
        Ok(())
    }
}

body! {
    /// `group_type: identity` or `group_type: {of: other, to: identity}`
    ///
    /// Unbinds every device of the group from its driver, changes the type of the default domain,
    /// and binds the devices again: the kernel allows the change only while no driver is bound. The
    /// type is restored after the case.
    pub struct GroupType in "group_type", or(GroupType::short, Spec::Text) {
        /// The group whose type changes.
        of: Which = Which::Group,
        /// The type, as sysfs names it.
        to: String,
    }
}

impl GroupType {
    fn short(node: &Node) -> Result<Option<Self>, Problem> {
        Ok(match &node.tree {
            Tree::Text(to) => Some(Self {
                of: Which::Group,
                to: to.clone(),
            }),
            _ => None,
        })
    }
}

impl Action for GroupType {
    fn label(&self) -> String {
        format!("default domain becomes {}", self.to)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.touch_group(self.of);
        for op in change_domain(to.roles, self.of, Some(&self.to))? {
            to.prepare(op);
        }
        Ok(())
    }

    fn uses_identity(&self) -> bool {
        self.to == "identity"
    }
}

body! {
    /// `reset_method: {of: group.0, to: flr}`
    ///
    /// Between cases a device has no reset method, or a quick one, because a function-level reset
    /// takes 100 ms at each open and close.
    pub struct ResetMethod in "reset_method" {
        /// The device whose methods are set.
        of: Role,
        /// The methods, as sysfs names them.
        to: String,
    }
}

impl Action for ResetMethod {
    fn label(&self) -> String {
        format!("reset method {} for {}", self.to, self.of)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = &to.roles.device(self.of)?.name;
        to.touch_reset_method(device);
        to.push(
            set_resets(device, Some(&self.to)),
            Expect::SUCCESS,
            Layout::Nothing,
        );
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}

body! {
    /// `virtual_functions: {of: group.0, count: 2, errno: EBUSY}`
    ///
    /// They are removed after the case.
    pub struct VirtualFunctions in "virtual_functions" {
        /// The physical function.
        of: Role,
        /// How many of them to create.
        count: u64,
        /// How the creation ends.
        errno: Ends,
    }
}

impl Action for VirtualFunctions {
    fn label(&self) -> String {
        format!("{} virtual functions of {}", self.count, self.of)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = &to.roles.device(self.of)?.name;
        to.create_functions(device);
        to.prepare(allow_functions(true));
        let expect = Expect::ending(self.errno.0.clone());
        to.push(set_functions(device, self.count), expect, Layout::Nothing);
        Ok(())
    }
}

body! {
    /// `module_parameter: {nointxmask: "Y", of: group.0}`
    ///
    /// vfio-pci copies some of its parameters when it is bound to a device, so the device is bound
    /// again with another parameter. Both are undone after the case.
    pub struct ModuleParameterBody in "module_parameter" {
        /// Value of the parameter of this name.
        nointxmask: Option<String>,
        /// Value of the parameter of this name.
        disable_idle_d3: Option<String>,
        /// The device to bind again.
        of: Role,
    }
}

/// Parameters that vfio-pci copies when it is bound to a device, with their values between cases.
const NOINTXMASK: (&str, &str) = ("nointxmask", "N");
const DISABLE_IDLE_D3: (&str, &str) = ("disable_idle_d3", "Y");

/// Another parameter of vfio-pci for one device.
#[derive(Debug, Clone)]
pub struct ModuleParameter {
    name: &'static str,
    usual: &'static str,
    value: String,
    of: Role,
}

resolved! {
    ModuleParameter from ModuleParameterBody;
}

impl ModuleParameter {
    fn new(body: ModuleParameterBody, at: At) -> Result<Self, Problem> {
        let ((name, usual), value) = match (body.nointxmask, body.disable_idle_d3) {
            (Some(value), None) => (NOINTXMASK, value),
            (None, Some(value)) => (DISABLE_IDLE_D3, value),
            _ => return Err(Problem::missing(at, NOINTXMASK.0, "module_parameter")),
        };
        Ok(Self {
            name,
            usual,
            value,
            of: body.of,
        })
    }
}

impl Action for ModuleParameter {
    fn label(&self) -> String {
        format!("{} {} for {}", self.name, self.value, self.of)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = to.roles.device(self.of)?;
        let between_cases = device.default_driver.as_deref();
        to.restore_by(bind_anew(
            &device.name,
            self.name,
            self.usual,
            between_cases,
        ));
        for op in bind_anew(&device.name, self.name, &self.value, Some("vfio-pci")) {
            to.push(op, Expect::SUCCESS, Layout::Nothing);
        }
        Ok(())
    }
}

fn bind_anew(device: &str, parameter: &str, value: &str, driver: Option<&str>) -> Vec<Op> {
    let path = format!("/sys/module/vfio_pci/parameters/{parameter}");
    let drivers = [None, driver].map(|driver| set_driver(device, driver.map(str::to_owned)));
    std::iter::once(write_file(path, value))
        .chain(drivers)
        .collect()
}

/// Time within which the kernel has to release a device, or to find one.
const HOTPLUG_TIMEOUT: Timeout = Timeout(5000);

newtype! {
    /// `unplug: group.0`
    ///
    /// Asks the guest to release the device, which it does once the device has no user. After the
    /// case the device is plugged in again.
    pub struct Unplug(Role);
}

impl Action for Unplug {
    fn label(&self) -> String {
        format!("unplug {}", self.0)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = to.roles.device(self.0)?;
        let back = plug(device, self.0)?;
        to.restore_by(back);
        let action = HostAction::Unplug(machine_id(device, self.0)?);
        to.push(PciOp::Host { action }, Expect::SUCCESS, Layout::Nothing);
        Ok(())
    }
}

/// `wait_gone: group.0` or `wait_gone: {node: group.0}`
///
/// Waits until an unplugged device is gone, or only until its node is gone, after which the device
/// still waits for its user.
#[derive(Debug, Clone)]
pub enum WaitGone {
    /// A device of the case.
    Device(Role),
    /// The device behind a node of vfio.
    Node(NodeOf),
}

body! {
    /// The node of a device.
    pub struct NodeOf in "wait_gone" {
        /// The device whose node has to disappear.
        node: Role,
    }
}

impl Input for WaitGone {
    fn read(node: &Node) -> Result<Self, Problem> {
        match node.tree {
            Tree::Text(_) => Role::read_device(node).map(Self::Device),
            _ => NodeOf::read(node).map(Self::Node),
        }
    }

    fn spec() -> Spec {
        Spec::Either(vec![Spec::Device, NodeOf::spec()])
    }

    fn doc() -> &'static str {
        "`wait_gone: group.0` or `wait_gone: {node: group.0}`\n\
         \n\
         Waits until an unplugged device is gone, or until its node is, from which on it only waits for\n\
         its user."
    }
}

impl Action for WaitGone {
    fn label(&self) -> String {
        match self {
            Self::Device(role) => format!("{role} is gone"),
            Self::Node(of) => format!("the node of {} is gone", of.node),
        }
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let (role, below) = match self {
            Self::Device(role) => (*role, ""),
            Self::Node(of) => (of.node, "/vfio-dev"),
        };
        let bus = to.roles.group(role.which)?.shape.bus();
        let gone = gone(bus, to.roles.device(role)?, below);
        to.push(gone, Expect::SUCCESS, Layout::Nothing);
        Ok(())
    }
}

newtype! {
    /// `plug: group.0`
    ///
    /// Waits until an unplugged device is gone, plugs it in again, and binds its default driver.
    pub struct Plug(Role);
}

impl Action for Plug {
    fn label(&self) -> String {
        format!("plug in {}", self.0)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = to.roles.device(self.0)?;
        to.push(gone("pci", device, ""), Expect::SUCCESS, Layout::Nothing);
        for op in plug(device, self.0)? {
            to.push(op, Expect::SUCCESS, Layout::Nothing);
        }
        Ok(())
    }
}

newtype! {
    /// `remove: group.1`
    ///
    /// Removes a device from its bus through sysfs. After the case it is found again.
    pub struct Remove(Role);
}

impl Action for Remove {
    fn label(&self) -> String {
        format!("remove {}", self.0)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = to.roles.device(self.0)?;
        to.restore_by(found(device));
        let path = format!("/sys/bus/pci/devices/{}/remove", device.name);
        to.push(write_file(path, "1"), Expect::SUCCESS, Layout::Nothing);
        Ok(())
    }

    fn reorders_devices(&self) -> bool {
        // One that is found again becomes the last of its bus.
        true
    }
}

newtype! {
    /// `rescan: group.1`
    ///
    /// Lets the kernel look for devices on its buses, and waits for a removed one. The kernel offers
    /// the device to its drivers as at boot.
    pub struct Rescan(Role);
}

impl Action for Rescan {
    fn label(&self) -> String {
        format!("find {} again", self.0)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = to.roles.device(self.0)?;
        for op in rescan(device) {
            to.push(op, Expect::SUCCESS, Layout::Nothing);
        }
        Ok(())
    }
}

fn rescan(device: &OfferedDevice) -> [Op; 2] {
    [
        write_file("/sys/bus/pci/rescan".to_owned(), "1"),
        await_path("pci", format!("{}/driver_override", device.name), true),
    ]
}

/// Finds a device on its bus, and restores its state between cases.
fn found(device: &OfferedDevice) -> Vec<Op> {
    let mut ops = Vec::from(rescan(device));
    // One without reset methods does not have the file.
    if device.engine.is_some() {
        ops.push(set_resets(&device.name, device.default_resets.as_deref()));
    }
    let drivers = [None, device.default_driver.clone()];
    ops.extend(drivers.map(|driver| set_driver(&device.name, driver)));
    ops
}

fn gone(bus: &str, device: &OfferedDevice, below: &str) -> Op {
    await_path(bus, format!("{}{below}", device.name), false)
}

fn await_path(bus: &str, below: String, there: bool) -> Op {
    FileOp::AwaitPath {
        path: format!("/sys/bus/{bus}/devices/{below}"),
        there,
        timeout: HOTPLUG_TIMEOUT,
    }
    .into()
}

fn machine_id(device: &OfferedDevice, role: Role) -> Result<String, String> {
    let id = device.machine_id.clone();
    id.ok_or_else(|| format!("a device of the machine, but {role} is created by the guest"))
}

/// Plugs a device in, and restores its state between cases.
fn plug(device: &OfferedDevice, role: Role) -> Result<Vec<Op>, String> {
    let action = HostAction::Plug(machine_id(device, role)?);
    let hotplug = PciOp::WaitHotplug {
        device: device.name.clone(),
        driver: device.default_driver.clone(),
        timeout: HOTPLUG_TIMEOUT,
    };
    Ok(vec![
        PciOp::Host { action }.into(),
        await_path("pci", format!("{}/reset_method", device.name), true),
        set_resets(&device.name, device.default_resets.as_deref()),
        hotplug.into(),
    ])
}
