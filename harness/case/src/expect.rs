//! What a step expects. Only the host knows these; the agent never sees one.

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
    /// Success, and nothing else.
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
    /// No error.
    Success,
    /// Exactly this error number.
    Errno(i32),
    /// This signal.
    Signal(i32),
    /// The device's DMA reaches the watched page, with its signature.
    Lands {
        /// What the device writes.
        signature: String,
    },
    /// The device sees its DMA refused, and the watched page is untouched.
    Blocked,
}

/// One expected value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// Equal to.
    Is(Value),
    /// Different from.
    Not(Value),
    /// These bits set.
    Has(u64),
    /// These bits clear.
    Lacks(u64),
}

/// One expected field.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldWant {
    /// Which field.
    pub field: &'static Field,
    /// Offset of its struct in the data.
    pub base: usize,
    /// What.
    pub want: Want,
}

/// Expected bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantData {
    /// Not looked at.
    Anything,
    /// Every byte is this one.
    All(u8),
    /// Some byte is another one.
    Changed(u8),
    /// Exactly these.
    Bytes(Vec<u8>),
    /// Up to eight bytes that are this little-endian number.
    Number(Want),
    /// This text, but for white space at its ends.
    Text(String),
    /// Some word of this text (sysfs lists) is this one.
    Word(String),
    /// So many bytes, whatever they are.
    Length(usize),
}

/// How the data of an outcome is to be read.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Layout {
    /// A struct of the uAPI.
    Struct(&'static Struct),
    /// Text.
    Text,
    /// Bytes of no known meaning.
    Bytes,
    /// Bytes that differ from run to run.
    Volatile,
    /// None.
    Nothing,
}

/// One op's expectation and how to show it.
#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    /// Index of the step in the case, from 0.
    pub step: usize,
    /// What the step does, in the words of the case.
    pub label: String,
    /// Where the step stands.
    pub at: crate::At,
    /// What is expected.
    pub expect: Expect,
    /// What a kernel that conforms to the plan would do instead. Its presence ends the
    /// judging of the case: later steps are about the kernel as it is today.
    pub plan: Option<WantEnd>,
    /// How to read the data.
    pub layout: Layout,
    /// Whether the step succeeds only if a device of the case's group reaches memory by DMA.
    pub needs_dma: bool,
    /// Whether the outcome belongs into the snapshot.
    pub shown: bool,
    /// What is expected of the parts of an op that has some.
    pub parts: Parts,
}

/// What is expected of the parts of an op.
#[derive(Debug, Clone, PartialEq)]
pub enum Parts {
    /// It has none.
    Whole,
    /// Failures are injected into it; the check's own `expect` is for when none is left.
    Injected(Injection),
    /// It is several at once; the check's own `expect` says nothing.
    Together(Race),
}

/// What is expected of ops that are executed at once.
#[derive(Debug, Clone, PartialEq)]
pub struct Race {
    /// Of each op; how it ends is left to `ends`.
    pub checks: Vec<Check>,
    /// The ways in which all of them together may end; each way has an end for each op.
    pub ends: Vec<Vec<WantEnd>>,
}

/// What is expected of an op into which failures are injected.
#[derive(Debug, Clone, PartialEq)]
pub struct Injection {
    /// Error numbers with which it may fail when an allocation does.
    pub allocations: Vec<i32>,
    /// The same when a copy from or to the memory of the caller does.
    pub copies: Vec<i32>,
    /// The same when one of the hooks of `CONFIG_IOMMUFD_TEST` does.
    pub hooks: Vec<i32>,
    /// Of what is looked at after a failure.
    pub failed: Vec<Check>,
    /// The same where it was a copy that failed.
    pub failed_copy: Vec<Check>,
    /// Of what takes a success back.
    pub survived: Vec<Check>,
}
