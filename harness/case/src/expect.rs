//! What a step expects. Expectations stay on the host; the agent never sees them.

use uapi::{Field, Struct};
use wire::Value;

/// Expected outcome of one op.
#[derive(Debug, Clone, PartialEq)]
pub struct Expect {
    /// How the call ends.
    pub end: WantEnd,
    /// Return value of a successful call.
    pub returns: Option<Want>,
    /// Fields of the struct after the call.
    pub fields: Vec<FieldWant>,
    /// Bytes after the call.
    pub data: WantData,
}

impl Expect {
    /// Only that the call succeeds.
    pub const SUCCESS: Self = Self::ending(WantEnd::Success);

    /// Only how the call ends.
    pub const fn ending(end: WantEnd) -> Self {
        Self {
            end,
            returns: None,
            fields: Vec::new(),
            data: WantData::Anything,
        }
    }
}

/// How a call is expected to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantEnd {
    /// The call succeeds.
    Success,
    /// Exactly this error number.
    Errno(i32),
    /// The call fails, with any error number.
    Refused,
    /// The access raises this signal.
    Signal(i32),
    /// The device's DMA reaches the watched page, with its signature.
    Lands {
        /// The signature that the device writes.
        signature: String,
    },
    /// The device's DMA faults, and the watched page is unchanged.
    Blocked,
}

/// One expected value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// It is equal to this value.
    Is(Value),
    /// It is any value but this one.
    Not(Value),
    /// These bits set.
    Has(u64),
    /// These bits clear.
    Lacks(u64),
}

/// One expected field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldWant {
    /// The field of the struct.
    pub field: &'static Field,
    /// Offset of its struct in the data.
    pub base: usize,
    /// The expected value.
    pub want: Want,
}

/// What is expected of the bytes that an op returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantData {
    /// Not looked at.
    Anything,
    /// Every byte is this one.
    All(u8),
    /// At least one byte differs from this one.
    Changed(u8),
    /// Exactly these bytes.
    Bytes(Vec<u8>),
    /// Up to eight bytes that are this little-endian number.
    Number(Want),
    /// This text, ignoring white space at both ends.
    Text(String),
    /// The text has this word among others (sysfs lists).
    Word(String),
    /// This number of bytes, with any contents.
    Length(usize),
}

/// How to read the data of an outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Layout {
    /// A struct of the uAPI.
    Struct(&'static Struct),
    /// Text in UTF-8.
    Text,
    /// Bytes of unknown meaning.
    Bytes,
    /// Bytes that differ from run to run.
    Volatile,
    /// The op returns no data.
    Nothing,
}

/// One op's expectation and how to show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Index of the step in the case, from 0.
    pub step: usize,
    /// Label of the step.
    pub label: String,
    /// Location of the step.
    pub at: crate::At,
    /// What is expected.
    pub expect: Expect,
    /// What is expected instead on a kernel that conforms to the plan of 2021, clause by clause.
    pub plans: Vec<Planned>,
    /// How to read the data.
    pub layout: Layout,
    /// Whether the step succeeds only if a device of the case's group reaches memory by DMA.
    pub needs_dma: bool,
    /// Whether the outcome is shown in the snapshot.
    pub shown: bool,
    /// Expectations of the parts of an op that has parts.
    pub parts: Parts,
}

impl Check {
    /// Returns the check on a kernel that conforms to this clause of the plan.
    pub fn under(&self, clause: &str) -> Option<&Self> {
        let mut plans = self.plans.iter();
        plans.find(|it| it.clause == clause).map(|it| &it.check)
    }

    /// Itself and its alternatives after a race.
    fn ways(&self) -> impl Iterator<Item = &Self> {
        let others = match &self.parts {
            Parts::ByRace(checks) => checks.as_slice(),
            _ => &[],
        };
        std::iter::once(self).chain(others)
    }

    /// The clauses of the plan that it has a check for.
    pub fn planned(&self) -> impl Iterator<Item = &str> {
        let plans = self.ways().flat_map(|check| &check.plans);
        plans.map(|plan| plan.clause.as_str())
    }
}

/// What a step shows on a kernel that conforms to a clause of the plan, in place of what Linux does
/// today.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// The clause.
    pub clause: String,
    /// The check of the same op. It has no plans of its own.
    pub check: Check,
}

/// Expectations of the parts of an op.
#[derive(Debug, Clone, PartialEq)]
pub enum Parts {
    /// The op has no parts.
    Whole,
    /// Failures are injected into the op. The check's own `expect` is for the last execution,
    /// without a failure.
    Injected(Injection),
    /// The op consists of several ops at once. The check's own `expect` is not used.
    Together(Race),
    /// What is expected depends on how the last race before it ended: a check for each way. The
    /// check's own `expect` is the first one's.
    ByRace(Vec<Check>),
}

/// What is expected of ops that are executed at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Race {
    /// The check of each op, except how it ends, which `ends` gives.
    pub checks: Vec<Check>,
    /// The allowed combinations of ends; each has an end for each op.
    pub ends: Vec<Vec<WantEnd>>,
}

/// Expectations of an op with injected failures.
#[derive(Debug, Clone, PartialEq)]
pub struct Injection {
    /// Errnos that are allowed after a failed allocation.
    pub allocations: Vec<i32>,
    /// Errnos that are allowed after a failed copy from or to the memory of the caller.
    pub copies: Vec<i32>,
    /// Errnos that are allowed after a failure in a hook of `CONFIG_IOMMUFD_TEST`.
    pub hooks: Vec<i32>,
    /// Checks of the ops after a failure.
    pub failed: Vec<Check>,
    /// Checks of the ops after a failed copy.
    pub failed_copy: Vec<Check>,
    /// Checks of the ops that undo a success.
    pub survived: Vec<Check>,
}
