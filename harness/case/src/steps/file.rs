//! Files: device nodes, the regions of a device through its descriptor, queues of events, sysfs
//! and procfs.

use wire::{FileOp, Location, NewFd, Number, OpenFlags, Patch, Timeout, Value, Width};

use crate::{
    build::Builder,
    expect::{Expect, Layout, Want, WantData, WantEnd},
    input::{Ends, Input, Named, SlotName, Word, body, newtype, resolved, words},
    node::{At, Node, Tree},
    problem::Problem,
    role::{Function, Member, Role},
    spec::Spec,
    steps::{
        Action,
        registers::{Offset, Region, check_number, check_run},
    },
    value::{self, show},
};

words!(OpenFlags);

newtype! {
    /// `open: {iommu: /dev/iommu, a: group.0, g: group, c: {at: /dev/vfio/vfio, errno: EBUSY}}`
    ///
    /// `group.0@10.0` is a function on the bus of group.0, such as one that the case creates, and
    /// `group of group.0@10.0` is its group. `$g` opens the file of a descriptor again, even if its
    /// name no longer exists.
    pub struct Open(Named<Opened>);
}

body! {
    /// One thing to open.
    pub struct Opened in "open", or(Opened::short, Spec::Text) {
        /// What to open.
        at: OpenTarget,
        /// Access mode of the descriptor.
        flags: OpenFlags = OpenFlags::ReadWrite,
        /// Prefix of the node's name: `noiommu-` for a device without an IOMMU.
        starts: String = String::new(),
        /// How the call ends.
        errno: Ends,
    }
}

impl Word for OpenFlags {
    const WHAT: &'static str = "open flag";
    const ALL: &'static [(&'static str, Self)] = &[
        ("O_RDWR", Self::ReadWrite),
        ("O_RDONLY", Self::ReadOnly),
        ("O_WRONLY", Self::WriteOnly),
    ];
}

impl Opened {
    fn short(node: &Node) -> Result<Option<Self>, Problem> {
        if !matches!(node.tree, Tree::Text(_)) {
            return Ok(None);
        }
        Ok(Some(Self {
            at: OpenTarget::read(node)?,
            flags: OpenFlags::ReadWrite,
            starts: String::new(),
            errno: Ends(WantEnd::Success),
        }))
    }
}

/// The file of containers.
const CONTAINER: &str = "/dev/vfio/vfio";
/// How a case calls that file where iommufd provides it.
const NODE_OF_IOMMUFD: &str = "/dev/vfio/vfio of iommufd";

/// What to open.
#[derive(Debug, Clone, PartialEq)]
pub enum OpenTarget {
    /// A device or a group of the case.
    Role(Role),
    /// The file at this path.
    Path(String),
    /// `/dev/vfio/vfio` where it is a file of iommufd.
    NodeOfIommufd,
    /// A function that the case creates.
    Function(Function),
    /// The node of the group that a function is in.
    GroupOf(Function),
    /// The file of a descriptor.
    Descriptor(Value),
}

impl Action for Open {
    fn label(&self) -> String {
        let targets = self.0.0.iter().map(|(_, one)| one.at.to_string());
        format!("open {}", targets.collect::<Vec<_>>().join(", "))
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        for (name, one) in &self.0.0 {
            // An open that has to fail may test that the feature is missing.
            if one.errno.succeeds() {
                to.roles.need_feature(one.at.feature())?;
            }
            if one.at == OpenTarget::NodeOfIommufd {
                to.roles.need_config("CONFIG_IOMMUFD_VFIO_CONTAINER")?;
            }
            let op = FileOp::Open {
                at: one.at.location(&one.starts, to)?,
                flags: one.flags,
                save: NewFd(name.0.clone()),
            };
            to.push(op, Expect::ending(one.errno.0.clone()), Layout::Nothing);
        }
        Ok(())
    }

    fn is_one_call(&self) -> bool {
        self.0.0.len() == 1
    }
}

impl Input for OpenTarget {
    fn read(node: &Node) -> Result<Self, Problem> {
        let text = node.text()?;
        if text.starts_with('$') {
            return value::value(node).map(Self::Descriptor);
        }
        if text == NODE_OF_IOMMUFD {
            return Ok(Self::NodeOfIommufd);
        }
        if text.starts_with('/') {
            return Ok(Self::Path(text.to_owned()));
        }
        let group_of = text.strip_prefix("group of ").and_then(Function::named);
        let created = group_of.map(Self::GroupOf);
        let created = created.or_else(|| Function::named(text).map(Self::Function));
        let known = created.or_else(|| Role::named(text).map(Self::Role));
        known.ok_or_else(|| {
            let known = [
                "group",
                "group.0",
                "group.1",
                "group.host-driver",
                "other.0",
                "mdev.0",
            ];
            Problem::unknown_name(node.at, "thing to open", text, known)
        })
    }

    fn spec() -> Spec {
        Spec::Text
    }
}

impl OpenTarget {
    /// Returns the kernel feature that provides it.
    fn feature(&self) -> Option<&'static str> {
        match self {
            Self::Path(path) if path == "/dev/iommu" => Some("iommufd"),
            // Cases mean the container of vfio, whose calls the one of iommufd answers in other ways.
            Self::Path(path) if path == CONTAINER => Some("vfio_container"),
            Self::Path(_) | Self::Descriptor(_) | Self::NodeOfIommufd => None,
            Self::GroupOf(_)
            | Self::Role(Role {
                member: Member::Whole,
                ..
            }) => Some("vfio_group"),
            Self::Role(_) | Self::Function(_) => Some("vfio_cdev"),
        }
    }

    fn location(&self, starts: &str, to: &Builder<'_>) -> Result<Location, String> {
        match self {
            Self::Path(path) => Ok(Location::Path(to.roles.fill(path)?)),
            Self::NodeOfIommufd => Ok(Location::Path(CONTAINER.to_owned())),
            Self::Descriptor(fd) => Ok(Location::Descriptor(wire::Fd(fd.clone()))),
            // The number of a group for a device without an IOMMU is not known before the group is
            // created.
            Self::Role(Role {
                member: Member::Whole,
                ..
            }) if !starts.is_empty() => Ok(Location::Entry {
                directory: "/sys/class/vfio".to_owned(),
                starts: starts.to_owned(),
                prefix: "/dev/vfio/".to_owned(),
            }),
            Self::Role(Role {
                which,
                member: Member::Whole,
            }) => Ok(Location::Path(format!(
                "/dev/vfio/{}",
                to.roles.group(*which)?.number()?
            ))),
            Self::Role(role) => {
                let bus = to.roles.group(role.which)?.shape.bus();
                Ok(node_of(bus, &to.roles.device(*role)?.name, starts))
            }
            Self::Function(function) => Ok(node_of("pci", &to.roles.function(function)?, starts)),
            Self::GroupOf(function) => {
                let name = to.roles.function(function)?;
                Ok(Location::Link {
                    link: format!("/sys/bus/pci/devices/{name}/iommu_group"),
                    prefix: format!("/dev/vfio/{starts}"),
                })
            }
        }
    }
}

impl std::fmt::Display for OpenTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Role(role) => write!(f, "{role}"),
            Self::Path(path) => f.write_str(path),
            Self::NodeOfIommufd => f.write_str(NODE_OF_IOMMUFD),
            Self::Descriptor(Value::Slot { name, .. }) => write!(f, "the file of {name}"),
            Self::Descriptor(Value::Const(fd)) => write!(f, "the file of {fd}"),
            Self::Function(function) => write!(f, "{function}"),
            Self::GroupOf(function) => write!(f, "group of {function}"),
        }
    }
}

/// Returns the device node of a device. Its number changes whenever a driver is bound.
fn node_of(bus: &str, name: &str, starts: &str) -> Location {
    Location::Entry {
        directory: format!("/sys/bus/{bus}/devices/{name}/vfio-dev"),
        starts: starts.to_owned(),
        prefix: "/dev/vfio/devices/".to_owned(),
    }
}

newtype! {
    /// `close: a`, `close: [a, b]`
    pub struct Close(Vec<SlotName>);
}

impl Action for Close {
    fn label(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|name| name.0.as_str()).collect();
        format!("close {}", names.join(", "))
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        for name in &self.0 {
            to.push(
                FileOp::Close { fd: name.fd() },
                Expect::SUCCESS,
                Layout::Nothing,
            );
        }
        Ok(())
    }

    /// The last close of a device takes its time. A failure cannot be injected into it: what it
    /// closes is closed.
    fn may_begin(&self) -> bool {
        self.0.len() == 1
    }
}

/// Address that no process has mapped.
const UNMAPPED: u64 = 0x10;

/// The buffer of a transfer, if the case gives one.
#[derive(Debug, Clone, PartialEq)]
pub struct Pointer(Value);

impl Input for Pointer {
    fn read(node: &Node) -> Result<Self, Problem> {
        match &node.tree {
            Tree::Text(text) if text == "unmapped" => Ok(Self(Value::Const(UNMAPPED))),
            _ => value::value(node).map(Self),
        }
    }

    fn spec() -> Spec {
        Spec::Either(vec![Spec::Words(vec!["unmapped"]), Spec::Value])
    }
}

body! {
    /// `pread: {on: a, region: VFIO_PCI_CONFIG_REGION_INDEX, length: 2, expect: [0x36, 0x1b]}`, or
    /// with `width: 2` for a number: `expect: {has: PCI_COMMAND_MEMORY}`, `save: command`.
    pub struct PreadBody in "pread" {
        /// The descriptor to read from.
        on: SlotName,
        /// The region of the device.
        region: Option<Region>,
        /// Offset in the region, or in the file.
        offset: Option<Value>,
        /// The address of the buffer.
        pointer: Option<Pointer>,
        /// How many bytes are read, if not all.
        returns: Option<u64>,
        /// How the call ends.
        errno: Ends,
        /// Width in bytes of the number to read.
        width: Option<Width>,
        /// How many bytes to read.
        length: u64 = 4,
        /// Value that every byte has to have.
        all: Option<u64>,
        /// The expected number or bytes.
        expect: Option<Contents>,
        /// The name for the number.
        save: Option<SlotName>,
        /// Whether a run of more than 4 bytes of a BAR is memory, not registers.
        memory: bool,
    }
}

/// A number or bytes, depending on the rest of the step.
#[derive(Debug, Clone)]
pub struct Contents(Node);

impl Input for Contents {
    fn read(node: &Node) -> Result<Self, Problem> {
        Ok(Self(node.clone()))
    }

    fn spec() -> Spec {
        Spec::Either(vec![Spec::Expected, Spec::list(Spec::Number)])
    }
}

/// One transfer at an offset, with its expectations.
#[derive(Debug, Clone)]
struct Transfer {
    label: String,
    op: FileOp,
    expect: Expect,
    layout: Layout,
}

impl Transfer {
    fn push(&self, to: &mut Builder<'_>) {
        to.push(self.op.clone(), self.expect.clone(), self.layout);
    }
}

/// Returns the expectation of a transfer. A successful one is complete unless the case says how
/// many bytes it has.
fn transferred(ends: &Ends, returns: Option<u64>, length: u64) -> Expect {
    returned(ends, returns.map(is), length)
}

fn returned(ends: &Ends, returns: Option<Want>, length: u64) -> Expect {
    let mut expect = Expect::ending(ends.0.clone());
    if ends.succeeds() {
        expect.returns = Some(returns.unwrap_or_else(|| is(length)));
    }
    expect
}

fn is(number: u64) -> Want {
    Want::Is(Value::Const(number))
}

/// A read from a device at an offset.
#[derive(Debug, Clone)]
pub struct Pread(Transfer);

/// A write to a device at an offset.
#[derive(Debug, Clone)]
pub struct Pwrite(Transfer);

resolved! {
    Pread from PreadBody;
    Pwrite from PwriteBody;
}

impl Pread {
    fn new(body: PreadBody, at: At) -> Result<Self, Problem> {
        let place = Offset::new(body.region, body.offset.as_ref());
        let data = match (&body.expect, body.width) {
            (Some(Contents(node)), Some(_)) => WantData::Number(Want::read(node)?),
            (Some(Contents(node)), None) => WantData::Bytes(Vec::read(node)?),
            (None, _) => body
                .all
                .map_or(WantData::Anything, |byte| WantData::All(byte as u8)),
        };
        // A call that fails does not reach a register.
        match body.width {
            _ if !body.errno.succeeds() => {}
            Some(width) => check_number(&place, width, at)?,
            None => check_run(&place, body.length, body.memory, at)?,
        }
        let length = body.width.map_or(body.length, |it| it.bytes() as u64);
        // Saved values, and values compared with them, differ between machines.
        let saved = matches!(&data, WantData::Number(Want::Is(Value::Slot { .. })));
        let layout = match saved || body.save.is_some() {
            true => Layout::Volatile,
            false => Layout::Bytes,
        };
        let (fd, offset) = (body.on.fd(), place.value);
        let op = match body.pointer {
            Some(Pointer(at)) => FileOp::Transfer {
                fd,
                write: false,
                offset,
                length,
                at,
            },
            None => FileOp::Pread {
                fd,
                offset,
                length,
                save: body.save.map(|save| Number(save.0)),
            },
        };
        let mut expect = transferred(&body.errno, body.returns, length);
        expect.data = data;
        Ok(Self(Transfer {
            label: format!("pread of {}", body.on),
            op,
            expect,
            layout,
        }))
    }
}

impl Action for Pread {
    fn label(&self) -> String {
        self.0.label.clone()
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        self.0.push(to);
        Ok(())
    }

    fn is_one_call(&self) -> bool {
        true
    }
}

body! {
    /// `pwrite: {on: a, region: VFIO_PCI_CONFIG_REGION_INDEX, offset: 4, bytes: [6, 0]}`, or
    /// `width: 2, value: [PCI_COMMAND_MEMORY, PCI_COMMAND_MASTER]`.
    pub struct PwriteBody in "pwrite" {
        /// The descriptor to write to.
        on: SlotName,
        /// The region of the device.
        region: Option<Region>,
        /// Offset in the region, or in the file.
        offset: Option<Value>,
        /// The address of the bytes.
        pointer: Option<Pointer>,
        /// How many bytes are written, if not all.
        returns: Option<u64>,
        /// How the call ends.
        errno: Ends,
        /// Width in bytes of the number to write.
        width: Option<Width>,
        /// The number to write.
        value: Option<Value>,
        /// The bytes to write.
        bytes: Option<Vec<u8>>,
        /// Whether a run of more than 4 bytes of a BAR is memory, not registers.
        memory: bool,
    }
}

impl Pwrite {
    fn new(body: PwriteBody, at: At) -> Result<Self, Problem> {
        let place = Offset::new(body.region, body.offset.as_ref());
        let (bytes, patches) = body.contents(at)?;
        let length = bytes.len() as u64;
        match body.width {
            _ if !body.errno.succeeds() => {}
            Some(width) => check_number(&place, width, at)?,
            None => check_run(&place, length, body.memory, at)?,
        }
        let label = format!("pwrite to {} at {}", body.on, show(&place.value));
        let (fd, offset) = (body.on.fd(), place.value);
        let op = match body.pointer {
            Some(Pointer(at)) => FileOp::Transfer {
                fd,
                write: true,
                offset,
                length,
                at,
            },
            None => FileOp::Pwrite {
                fd,
                offset,
                bytes,
                patches,
            },
        };
        Ok(Self(Transfer {
            label,
            op,
            expect: transferred(&body.errno, body.returns, length),
            layout: Layout::Nothing,
        }))
    }
}

impl PwriteBody {
    fn contents(&self, at: At) -> Result<(Vec<u8>, Vec<Patch>), Problem> {
        let missing = |key| Problem::missing(at, key, "pwrite");
        match (self.width, &self.value, &self.bytes) {
            (None, None, Some(bytes)) => Ok((bytes.clone(), Vec::new())),
            (None, Some(_), _) => Err(missing("width")),
            (None, None, None) => Err(missing("bytes")),
            (Some(_), None, _) => Err(missing("value")),
            (Some(_), Some(_), Some(_)) => {
                Err(Problem::other(at, "give one of `value` and `bytes`"))
            }
            (Some(width), Some(value), None) => number_bytes(value, width, at),
        }
    }
}

fn number_bytes(value: &Value, width: Width, at: At) -> Result<(Vec<u8>, Vec<Patch>), Problem> {
    match value {
        Value::Const(number) if width != Width::W8 && number >> (width.bytes() * 8) != 0 => {
            let what = format!("a number of {} bytes", width.bytes());
            Err(Problem::expected(at, &what, &format!("{number:#x}")))
        }
        Value::Const(number) => Ok((number.to_le_bytes()[..width.bytes()].to_vec(), Vec::new())),
        value => {
            let patch = Patch {
                offset: 0,
                width,
                value: value.clone(),
            };
            Ok((vec![0; width.bytes()], vec![patch]))
        }
    }
}

impl Action for Pwrite {
    fn label(&self) -> String {
        self.0.label.clone()
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        self.0.push(to);
        Ok(())
    }

    fn is_one_call(&self) -> bool {
        true
    }
}

body! {
    /// `read: {on: faults, into: $buffer, length: 0x30, returns: 0x30, errno: EINVAL}`
    pub struct Read in "read" {
        /// The descriptor to read from.
        on: SlotName,
        /// The address of the buffer.
        into: Value,
        /// How many bytes to read.
        length: u64,
        /// How many bytes are read, if not all. `{not: 80}` allows any other number.
        returns: Option<Want>,
        /// How the call ends.
        errno: Ends,
    }
}

impl Action for Read {
    fn label(&self) -> String {
        format!("read of {}", self.on)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = FileOp::Read {
            fd: self.on.fd(),
            into: self.into.clone(),
            length: self.length,
        };
        let expect = returned(&self.errno, self.returns.clone(), self.length);
        to.push(op, expect, Layout::Nothing);
        Ok(())
    }

    fn is_one_call(&self) -> bool {
        true
    }
}

body! {
    /// `write: {on: faults, from: $buffer, length: 0x10, returns: 0x10, errno: EINVAL}`
    pub struct Write in "write" {
        /// The descriptor to write to.
        on: SlotName,
        /// The address of the bytes.
        from: Value,
        /// How many bytes to write.
        length: u64,
        /// How many bytes are written, if not all.
        returns: Option<u64>,
        /// How the call ends.
        errno: Ends,
    }
}

impl Action for Write {
    fn label(&self) -> String {
        format!("write to {}", self.on)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = FileOp::Write {
            fd: self.on.fd(),
            from: self.from.clone(),
            length: self.length,
        };
        let expect = transferred(&self.errno, self.returns, self.length);
        to.push(op, expect, Layout::Nothing);
        Ok(())
    }

    fn is_one_call(&self) -> bool {
        true
    }
}

body! {
    /// `read_file: {path: "/sys/kernel/iommu_groups/{group}/type", text: identity}`
    pub struct ReadFile in "read_file" {
        /// Path of the file to read.
        path: String,
        /// The expected text.
        text: Option<String>,
        /// A word that the text has to contain.
        word: Option<String>,
        /// How reading it ends.
        errno: Ends,
    }
}

impl Action for ReadFile {
    fn label(&self) -> String {
        format!("read {}", self.path)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let at = Location::Path(to.roles.fill(&self.path)?);
        let mut expect = Expect::ending(self.errno.0.clone());
        let text = self.text.clone().map(WantData::Text);
        let word = self.word.clone().map(WantData::Word);
        expect.data = text.or(word).unwrap_or(WantData::Anything);
        to.push(FileOp::ReadFile { at }, expect, Layout::Text);
        Ok(())
    }

    fn is_one_call(&self) -> bool {
        true
    }
}

body! {
    /// `list: {path: "/sys/kernel/iommu_groups/{group}", names: [devices, reserved_regions, type]}`
    ///
    /// The folder has to contain these names and no others.
    pub struct List in "list" {
        /// Path of the folder. A component `*` stands for the first name there.
        path: String,
        /// Names that begin in another way do not count.
        begin: String = String::new(),
        /// Names that consist of this text and a number do not count.
        numbered: Option<String>,
        /// Names of another form do not count, and this form stands for each of the others: `#-#`
        /// for two numbers with a dash between.
        like: Option<String>,
        /// The names.
        names: Vec<String>,
    }
}

impl Action for List {
    fn label(&self) -> String {
        match self.begin.as_str() {
            "" => format!("list {}", self.path),
            begin => format!("list {begin}* in {}", self.path),
        }
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = FileOp::ListFolder {
            path: to.roles.fill(&self.path)?,
            begin: to.roles.fill(&self.begin)?,
            numbered: self.numbered.clone(),
            like: self.like.clone(),
        };
        let names = self.names.iter().map(|name| to.roles.fill(name));
        let names = names.collect::<Result<Vec<_>, _>>()?;
        let mut expect = Expect::SUCCESS;
        expect.data = WantData::Text(names.join("\n"));
        to.push(op, expect, Layout::Text);
        Ok(())
    }
}

body! {
    /// `await_file: {path: "/sys/bus/pci/devices/{group.0}/power/runtime_status", text: suspended}`
    pub struct AwaitFile in "await_file" {
        /// Path of the file to read.
        path: String,
        /// The text to wait for.
        text: String,
        /// How long to wait, in milliseconds.
        ms: u64 = 2000,
    }
}

impl Action for AwaitFile {
    fn label(&self) -> String {
        format!("wait for {} in {}", self.text, self.path)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = FileOp::AwaitFile {
            at: Location::Path(to.roles.fill(&self.path)?),
            text: self.text.clone(),
            timeout: Timeout(self.ms),
        };
        let mut expect = Expect::SUCCESS;
        expect.data = WantData::Text(self.text.clone());
        to.push(op, expect, Layout::Text);
        Ok(())
    }
}

body! {
    /// `write_file: {path: /sys/..., text: "1", after: "0", errno: EBUSY}`
    pub struct WriteFile in "write_file" {
        /// Path of the file to write.
        path: String,
        /// What to write.
        text: String,
        /// What to write after the case, however it ends, because the file affects the whole guest.
        after: Option<String>,
        /// How writing it ends.
        errno: Ends,
    }
}

impl Action for WriteFile {
    fn label(&self) -> String {
        format!("write {} to {}", self.text, self.path)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let at = Location::Path(to.roles.fill(&self.path)?);
        let text = to.roles.fill(&self.text)?;
        if let Some(after) = &self.after {
            to.touch_file(at.clone(), after);
        }
        let expect = Expect::ending(self.errno.0.clone());
        to.push(FileOp::WriteFile { at, text }, expect, Layout::Nothing);
        Ok(())
    }

    fn is_one_call(&self) -> bool {
        true
    }
}

body! {
    /// `random: {bytes: 16}`
    ///
    /// The driver of the only bound random number device reads them by DMA.
    pub struct Random in "random" {
        /// How many bytes.
        bytes: u64 = 16,
        /// How the read ends; ENODEV if no such device is bound.
        errno: Ends,
    }
}

impl Action for Random {
    fn label(&self) -> String {
        "random bytes through the host driver".to_owned()
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = FileOp::ReadDevice {
            path: "/dev/hwrng".to_owned(),
            length: self.bytes,
            timeout: Timeout(2000),
        };
        let mut expect = Expect::ending(self.errno.0.clone());
        if self.errno.succeeds() {
            expect.data = WantData::Length(usize::try_from(self.bytes).unwrap_or(usize::MAX));
            to.push_dma(op, expect, Layout::Volatile);
        } else {
            to.push(op, expect, Layout::Volatile);
        }
        Ok(())
    }
}
