//! One ioctl.

use uapi::{Arg as ArgKind, Field, Kind, Since};
use wire::{Abi, IoctlOp, Returned, Save, Value};

use crate::{
    build::Builder,
    expect::{Expect, FieldWant, Want, WantData, WantEnd},
    fields::Fields,
    input::{Input, SlotName, Word, words},
    node::{Name, Node},
    problem::Problem,
    steps::{
        Action,
        ioctl::{
            argument::Argument,
            fields::Saves,
            payload::Payload,
            since::{need_expected, need_struct},
            wants::{GroupWant, Wants},
        },
    },
    value,
};

/// The option without which a kernel has no ABI for 32-bit programs.
pub const IA32_CONFIG: &str = "CONFIG_IA32_EMULATION";
/// The option without which a kernel has no mock.
pub const MOCK_CONFIG: &str = "CONFIG_IOMMUFD_TEST";
/// The options that calls need although their cases do not name them.
pub const OPTIONS_OF_CALLS: [&str; 2] = [MOCK_CONFIG, IA32_CONFIG];

words!(Abi);

impl Word for Abi {
    const WHAT: &'static str = "ABI";
    const ALL: &'static [(&'static str, Self)] = &[("native", Self::Native), ("ia32", Self::Ia32)];
}

/// A step that makes one ioctl.
#[derive(Debug, Clone, PartialEq)]
pub struct Ioctl {
    ioctl: &'static uapi::Ioctl,
    /// The number of the call, if it is not the ioctl's own.
    request: Option<u32>,
    on: SlotName,
    argument: Argument,
    expect: Expect,
    groups: Vec<GroupWant>,
    saves: Vec<Save>,
    save_return: Option<SlotName>,
    abi: Abi,
    /// Part of the uAPI that it uses although the kernel does not know it: one that does is not
    /// called.
    pub unknown: Option<Newer>,
    /// A number in it that has to be one without a name.
    pub unnamed: Option<Unnamed>,
}

/// A number that no name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unnamed {
    /// The number.
    pub number: u64,
    /// The names that the tables have for the same purpose.
    pub beside: &'static [uapi::Constant],
}

/// A part of the uAPI that came after the ioctl or struct that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Newer {
    /// Name of the ioctl, such as `IOMMU_IOAS_MAP`.
    pub name: String,
    /// When it came.
    pub since: Since,
}

impl Ioctl {
    /// Reads the step.
    pub fn read(name: &Name, body: &Node) -> Result<Self, Problem> {
        let ioctl = uapi::ioctl(&name.text).ok_or_else(|| {
            let known = uapi::ioctls().iter().map(|ioctl| ioctl.name);
            Problem::unknown_name(name.at, "ioctl", &name.text, known)
        })?;
        Self::of(ioctl, body)
    }

    /// Reads the body of a step that makes this ioctl.
    pub fn of(ioctl: &'static uapi::Ioctl, body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, ioctl.name)?;
        let layout = ioctl.layout();
        let on = SlotName::read(fields.need("on")?)?;
        let end = fields
            .take("errno")
            .map_or(Ok(WantEnd::Success), value::end)?;
        let payload = layout.map(|layout| Payload::of(layout, body));
        let payload = payload.transpose()?.flatten();
        let wants = read_wants(fields.take("expect"), ioctl, payload)?;
        let returns = fields.take("returns").map(Want::read).transpose()?;
        let saves = Saves::read(&mut fields, layout, payload, ioctl.name)?;
        let save_return = fields.take("save_return").map(SlotName::read).transpose()?;
        let request = fields.take("request").map(u32::read).transpose()?;
        let abi = fields.take("abi").map(Abi::read).transpose()?;
        let argument = Argument::read(fields, ioctl)?;
        Ok(Self {
            ioctl,
            request,
            on,
            argument,
            expect: Expect {
                end,
                returns,
                fields: wants.fields,
                data: WantData::Anything,
            },
            groups: wants.groups,
            saves,
            save_return,
            abi: abi.unwrap_or_default(),
            unknown: None,
            unnamed: None,
        })
    }

    /// Returns the ioctl.
    pub fn made(&self) -> &'static uapi::Ioctl {
        self.ioctl
    }

    /// Returns the part of the ioctl that an index in the flags selects, such as a feature of a
    /// device.
    pub fn part(&self) -> Option<&'static uapi::Constant> {
        let (ArgKind::Struct(layout), Argument::Buffer { bytes, .. }) =
            (self.ioctl.arg, &self.argument)
        else {
            return None;
        };
        let by_index = |field: &'static Field| match field.kind {
            Kind::IndexAndFlags { mask, index, .. } => Some((field.get(bytes)? & mask, index)),
            _ => None,
        };
        let (number, index) = layout.fields.iter().find_map(by_index)?;
        index.iter().find(|constant| constant.value == number)
    }

    /// Checks that the guest's kernel has the ioctl and what its struct uses, before and after the
    /// call.
    fn need_series(&self, to: &Builder<'_>) -> Result<(), String> {
        let roles = to.roles.need_ioctl(self.ioctl)?;
        // A feature first: its name says more than those of its fields.
        if let Some(part) = self.part() {
            roles.need_series(part.name, part.since())?;
        }
        let Some(layout) = self.ioctl.layout() else {
            return Ok(());
        };
        if let Argument::Buffer { bytes, .. } = &self.argument {
            need_struct(&roles, layout, bytes)?;
        }
        need_expected(&roles, layout, &self.expect.fields)
    }

    /// Returns how the call has to end.
    pub fn wanted(&self) -> &WantEnd {
        &self.expect.end
    }

    /// Returns the same call, but made only where the kernel does not know this part of the uAPI.
    pub fn where_unknown(&self, part: Newer) -> Self {
        let unknown = Some(part);
        Self {
            unknown,
            ..self.clone()
        }
    }

    /// Returns the same call, but made only if this number has no name in the kernel.
    pub fn where_unnamed(&self, unnamed: Unnamed) -> Self {
        let unnamed = Some(unnamed);
        Self {
            unnamed,
            ..self.clone()
        }
    }

    /// Returns the same call, but with this expected end.
    pub fn ending(&self, end: WantEnd) -> Self {
        let mut ioctl = self.clone();
        ioctl.expect.end = end;
        ioctl
    }
}

fn read_wants(
    node: Option<&Node>,
    ioctl: &'static uapi::Ioctl,
    payload: Option<Payload>,
) -> Result<Wants, Problem> {
    match (node, ioctl.layout()) {
        (None, _) => Ok(Wants::default()),
        (Some(node), Some(layout)) => Wants::read(node, layout, payload),
        (Some(node), None) => {
            let text = format!("{} has no struct", ioctl.name);
            Err(Problem::other(node.at, text))
        }
    }
}

impl Action for Ioctl {
    fn label(&self) -> String {
        format!("{} on {}", self.ioctl.name, self.on)
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        if self.ioctl.source == uapi::MOCK_H {
            to.roles.need_config(MOCK_CONFIG)?;
        }
        if self.abi == Abi::Ia32 {
            to.roles.need_config(IA32_CONFIG)?;
        }
        if let Some(Unnamed { number, beside }) = self.unnamed {
            to.roles.need_unnamed(beside, number)?;
        }
        match &self.unknown {
            Some(part) if to.roles.need_series(&part.name, part.since).is_ok() => return Ok(()),
            Some(_) => {}
            None => self.need_series(to)?,
        }
        if let Some(request) = self.request {
            to.roles.need_unnamed_request(request)?;
        }
        self.make(self.request.unwrap_or(self.ioctl.request), to)
    }

    fn is_one_call(&self) -> bool {
        true
    }

    fn ioctl(&self) -> Option<&Ioctl> {
        Some(self)
    }

    fn is_ioctl(&self) -> bool {
        true
    }
}

impl Ioctl {
    /// Adds the call with this number, whatever the kernel has of its uAPI.
    pub fn make(&self, request: u32, to: &mut Builder<'_>) -> Result<(), String> {
        let (arg, layout) = self.argument.resolve(to)?;
        let op = IoctlOp {
            fd: self.on.fd(),
            request,
            arg,
            save: self.saves.clone(),
            save_ret: self.save_return.clone().map(|slot| Returned(slot.0)),
            abi: self.abi,
        };
        let mut expect = self.expect.clone();
        for field in &mut expect.fields {
            field.want = match field.want.clone() {
                Want::Is(value) => Want::Is(to.roles.declared_value(value)?),
                Want::Not(value) => Want::Not(to.roles.declared_value(value)?),
                want => want,
            };
        }
        for (field, base, which) in &self.groups {
            let number = to.roles.group(*which)?.number()?;
            expect.fields.push(FieldWant {
                field,
                base: *base,
                want: Want::Is(Value::Const(number.into())),
            });
        }
        match &self.unknown {
            Some(_) => to.push_for_older(op, expect, layout),
            None => to.push(op, expect, layout),
        }
        Ok(())
    }
}
