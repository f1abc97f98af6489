//! `capability`, `rlimit`, `accounted`: what the process may do, and what it is charged for.

use wire::{Account, Op, Resource, Value};

use crate::{
    build::Builder,
    expect::{Expect, Layout, Want},
    fields::Fields,
    node::Node,
    problem::Problem,
};

/// Capabilities that iommufd and vfio ask for, by their numbers in `linux/capability.h`.
const CAPABILITIES: [(&str, u8); 4] = [
    ("CAP_IPC_LOCK", 14),
    ("CAP_SYS_RAWIO", 17),
    ("CAP_SYS_ADMIN", 21),
    ("CAP_SYS_RESOURCE", 24),
];

/// `capability: {drop: CAP_IPC_LOCK}`, `capability: {regain: [CAP_IPC_LOCK, CAP_SYS_ADMIN]}`
///
/// For the rest of the case, which is a process of its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Capability(Vec<Change>);

#[derive(Debug, Clone, PartialEq)]
struct Change {
    name: &'static str,
    number: u8,
    effective: bool,
}

impl Capability {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "capability")?;
        let mut changes = Vec::new();
        for (key, effective) in [("drop", false), ("regain", true)] {
            for node in fields.take(key).map_or(&[][..], Node::items) {
                changes.push(Change::read(node, effective)?);
            }
        }
        fields.finish()?;
        if changes.is_empty() {
            return Err(Problem::missing(body.at, "drop` or `regain", "capability"));
        }
        Ok(Self(changes))
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        let verb = |effective| if effective { "regain" } else { "drop" };
        let changes = self.0.iter();
        let changes = changes.map(|one| format!("{} {}", verb(one.effective), one.name));
        changes.collect::<Vec<_>>().join(", ")
    }

    /// Adds its ops.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        for one in &self.0 {
            to.prepare(Op::Capability {
                number: one.number,
                effective: one.effective,
            });
        }
        Ok(())
    }
}

impl Change {
    fn read(node: &Node, effective: bool) -> Result<Self, Problem> {
        let name = node.text()?;
        let known = CAPABILITIES.iter().find(|(known, _)| *known == name);
        let (name, number) = known.copied().ok_or_else(|| {
            let known = CAPABILITIES.map(|(name, _)| name);
            Problem::unknown_name(node.at, "capability", name, known)
        })?;
        Ok(Self {
            name,
            number,
            effective,
        })
    }
}

/// `rlimit: {MEMLOCK: 0x1000}`: soft limits, for the rest of the case.
#[derive(Debug, Clone, PartialEq)]
pub struct Rlimit(Vec<(Resource, u64)>);

impl Rlimit {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let limits = body.entries()?.iter().map(|(name, limit)| {
            let resource = match name.text.as_str() {
                "MEMLOCK" => Resource::Memlock,
                "NOFILE" => Resource::Nofile,
                other => {
                    let known = ["MEMLOCK", "NOFILE"];
                    return Err(Problem::unknown_name(name.at, "limit", other, known));
                }
            };
            Ok((resource, limit.number()?))
        });
        limits.collect::<Result<_, _>>().map(Self)
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        let limits = self.0.iter();
        let limits = limits.map(|(resource, limit)| format!("{resource:?} {limit:#x}"));
        format!("limit {}", limits.collect::<Vec<_>>().join(", "))
    }

    /// Adds its ops.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        for (resource, limit) in &self.0 {
            to.prepare(Op::Limit {
                resource: *resource,
                limit: *limit,
            });
        }
        Ok(())
    }
}

/// `accounted: {VmPin: 0x1000, VmLck: 0}`: bytes that the kernel has counted for the process.
#[derive(Debug, Clone, PartialEq)]
pub struct Accounted(Vec<(Account, u64)>);

impl Accounted {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        const KNOWN: [Account; 2] = [Account::VmPin, Account::VmLck];
        let accounts = body.entries()?.iter().map(|(name, bytes)| {
            let found = KNOWN.into_iter().find(|known| known.name() == name.text);
            let account = found.ok_or_else(|| {
                Problem::unknown_name(name.at, "account", &name.text, KNOWN.map(Account::name))
            })?;
            Ok((account, bytes.number()?))
        });
        accounts.collect::<Result<_, _>>().map(Self)
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        let accounts = self.0.iter();
        let accounts = accounts.map(|(account, bytes)| format!("{} {bytes:#x}", account.name()));
        format!("accounted: {}", accounts.collect::<Vec<_>>().join(", "))
    }

    /// Adds one op per account.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        for (account, bytes) in &self.0 {
            let mut expect = Expect::SUCCESS;
            expect.returns = Some(Want::Is(Value::Const(*bytes)));
            to.push(Op::Account(*account), expect, Layout::Nothing);
        }
        Ok(())
    }
}
