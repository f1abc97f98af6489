//! `open`, `close`, `eventfd`, `wait`.

use wire::{Location, Op, OpenFlags, Value};

use crate::{
    build::Builder,
    expect::{Expect, Layout, Want, WantEnd},
    fields::Fields,
    node::{Node, Tree},
    problem::Problem,
    role::{Function, Member, Role, Shape},
    steps::step::read_errno,
    value,
};

/// `open: {iommu: /dev/iommu, a: group.0, g: group, c: {at: /dev/vfio/vfio, errno: EBUSY}}`
///
/// `starts: noiommu-` asks for the device or group node of such a name. `group.0@10.0` is a
/// function on the bus of group.0, such as one that the case creates, and `group of group.0@10.0`
/// its group. `$g` is the file that a descriptor is of, also when its name is gone.
#[derive(Debug, Clone, PartialEq)]
pub struct Open(Vec<One>);

#[derive(Debug, Clone, PartialEq)]
struct One {
    slot: String,
    target: Target,
    starts: String,
    flags: OpenFlags,
    end: WantEnd,
}

#[derive(Debug, Clone, PartialEq)]
enum Target {
    Role(Role),
    Path(String),
    Function(Function),
    GroupOf(Function),
    Descriptor(Value),
}

impl Open {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let entries = body.entries()?;
        let mut opens = Vec::new();
        for (name, node) in entries {
            value::check_name(
                &Node {
                    at: name.at,
                    tree: Tree::Null,
                },
                &name.text,
            )?;
            opens.push(One::read(&name.text, node)?);
        }
        Ok(Self(opens))
    }

    /// Whether it opens one thing.
    #[must_use]
    pub fn is_one(&self) -> bool {
        self.0.len() == 1
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        let targets: Vec<_> = self.0.iter().map(|one| one.target.to_string()).collect();
        format!("open {}", targets.join(", "))
    }

    /// Adds one op per descriptor.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        for one in &self.0 {
            // An open that is to fail may be about the very absence.
            if one.end == WantEnd::Success {
                to.cast.need_feature(one.target.feature())?;
            }
            let at = one.target.location(&one.starts, to)?;
            let op = Op::Open {
                at,
                flags: one.flags,
                save: one.slot.clone(),
            };
            to.push(op, Expect::ending(one.end.clone()), Layout::Nothing);
        }
        Ok(())
    }
}

impl One {
    fn read(slot: &str, node: &Node) -> Result<Self, Problem> {
        let slot = slot.to_owned();
        if let Tree::Text(_) = node.tree {
            let target = Target::read(node)?;
            return Ok(Self {
                slot,
                target,
                starts: String::new(),
                flags: OpenFlags::ReadWrite,
                end: WantEnd::Success,
            });
        }
        let mut fields = Fields::of(node, "open")?;
        let target = Target::read(fields.need("at")?)?;
        let flags = match fields.take("flags") {
            None => OpenFlags::ReadWrite,
            Some(node) => match node.text()? {
                "O_RDWR" => OpenFlags::ReadWrite,
                "O_RDONLY" => OpenFlags::ReadOnly,
                "O_WRONLY" => OpenFlags::WriteOnly,
                other => {
                    let known = ["O_RDWR", "O_RDONLY", "O_WRONLY"];
                    return Err(Problem::unknown_name(node.at, "open flag", other, known));
                }
            },
        };
        let starts = fields.text("starts")?.unwrap_or_default().to_owned();
        let end = read_errno(&mut fields)?;
        fields.finish()?;
        Ok(Self {
            slot,
            target,
            starts,
            flags,
            end,
        })
    }
}

impl Target {
    fn read(node: &Node) -> Result<Self, Problem> {
        let text = node.text()?;
        if text.starts_with('$') {
            return value::value(node).map(Self::Descriptor);
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
                "group.native",
                "other.0",
                "mdev.0",
            ];
            Problem::unknown_name(node.at, "thing to open", text, known)
        })
    }

    /// The feature of a kernel that has it.
    fn feature(&self) -> Option<&'static str> {
        match self {
            Self::Path(path) if path == "/dev/iommu" => Some("iommufd"),
            Self::Path(path) if path == "/dev/vfio/vfio" => Some("vfio_group"),
            Self::Path(_) | Self::Descriptor(_) => None,
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
            Self::Path(path) => Ok(Location::Path(to.cast.fill(path)?)),
            Self::Descriptor(fd) => Ok(Location::Descriptor(fd.clone())),
            // A group made up for a device without an IOMMU has no number before it is there.
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
                to.cast.group(*which)?.number()?
            ))),
            Self::Role(role) => {
                let bus = match to.cast.group(role.which)?.shape {
                    Shape::Mdev => "mdev",
                    _ => "pci",
                };
                Ok(node_of(bus, &to.cast.device(*role)?.name, starts))
            }
            Self::Function(function) => Ok(node_of("pci", &to.cast.function(function)?, starts)),
            Self::GroupOf(function) => {
                let name = to.cast.function(function)?;
                Ok(Location::Link {
                    link: format!("/sys/bus/pci/devices/{name}/iommu_group"),
                    prefix: format!("/dev/vfio/{starts}"),
                })
            }
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Role(role) => write!(f, "{role}"),
            Self::Path(path) => f.write_str(path),
            Self::Descriptor(Value::Slot { name, .. }) => write!(f, "the file of {name}"),
            Self::Descriptor(Value::Const(fd)) => write!(f, "the file of {fd}"),
            Self::Function(function) => write!(f, "{function}"),
            Self::GroupOf(function) => write!(f, "group of {function}"),
        }
    }
}

/// The device node of a device, whose number changes with each driver.
fn node_of(bus: &str, name: &str, starts: &str) -> Location {
    Location::Entry {
        directory: format!("/sys/bus/{bus}/devices/{name}/vfio-dev"),
        starts: starts.to_owned(),
        prefix: "/dev/vfio/devices/".to_owned(),
    }
}

/// `close: a`, `close: [a, b]`
#[derive(Debug, Clone, PartialEq)]
pub struct Close(Vec<String>);

impl Close {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let names: Result<Vec<_>, _> = body
            .items()
            .iter()
            .map(|node| {
                let name = node.text()?;
                value::check_name(node, name)?;
                Ok(name.to_owned())
            })
            .collect();
        names.map(Self)
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("close {}", self.0.join(", "))
    }

    /// Adds one op per descriptor.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        for name in &self.0 {
            let op = Op::Close {
                fd: Value::Slot {
                    name: name.clone(),
                    add: 0,
                },
            };
            to.push(op, Expect::SUCCESS, Layout::Nothing);
        }
        Ok(())
    }
}

/// `eventfd: irq`
#[derive(Debug, Clone, PartialEq)]
pub struct Eventfd(String);

impl Eventfd {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let name = body.text()?;
        value::check_name(body, name)?;
        Ok(Self(name.to_owned()))
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("eventfd {}", self.0)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.prepare(Op::Eventfd {
            save: self.0.clone(),
        });
        Ok(())
    }
}

/// `wait: {on: irq, ms: 1000, ready: true}`
#[derive(Debug, Clone, PartialEq)]
pub struct Wait {
    on: String,
    timeout_ms: u64,
    ready: bool,
}

impl Wait {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "wait")?;
        let on = fields.need("on")?.text()?.to_owned();
        let timeout_ms = fields.number("ms")?.unwrap_or(2000);
        let ready = match fields.take("ready").map(|node| (&node.tree, node)) {
            None | Some((Tree::Bool(true), _)) => true,
            Some((Tree::Bool(false), _)) => false,
            Some((_, node)) => return Err(node.not("true or false")),
        };
        fields.finish()?;
        Ok(Self {
            on,
            timeout_ms,
            ready,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("wait for {}", self.on)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let fd = Value::Slot {
            name: self.on.clone(),
            add: 0,
        };
        let mut expect = Expect::SUCCESS;
        expect.returns = Some(Want::Is(Value::Const(u64::from(self.ready))));
        to.push(
            Op::Wait {
                fd,
                timeout_ms: self.timeout_ms,
            },
            expect,
            Layout::Nothing,
        );
        Ok(())
    }
}
