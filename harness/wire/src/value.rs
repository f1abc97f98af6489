//! Values of a plan, which are known before the run or only in the guest.

use serde::{Deserialize, Serialize};

/// Name under which an op leaves a value for later ops.
pub type Slot = String;

/// A 64-bit value that is known before the run or only in the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// Known before the run.
    Const(u64),
    /// What an earlier op saved, plus an offset (wrapping).
    Slot {
        /// Where it was saved.
        name: Slot,
        /// Added to it.
        add: u64,
    },
}

impl Value {
    /// What an earlier op saved under this name.
    pub fn slot(name: impl Into<String>) -> Self {
        Self::Slot {
            name: name.into(),
            add: 0,
        }
    }
}

/// Width of a number in memory, and of a single load or store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Width {
    /// One byte.
    W1,
    /// Two bytes.
    W2,
    /// Four bytes.
    W4,
    /// Eight bytes.
    W8,
}

impl Width {
    /// Width in bytes.
    pub const fn bytes(self) -> usize {
        match self {
            Self::W1 => 1,
            Self::W2 => 2,
            Self::W4 => 4,
            Self::W8 => 8,
        }
    }

    /// The width of a number of this many bytes.
    pub const fn of(bytes: u64) -> Option<Self> {
        match bytes {
            1 => Some(Self::W1),
            2 => Some(Self::W2),
            4 => Some(Self::W4),
            8 => Some(Self::W8),
            _ => None,
        }
    }
}

/// Puts a value into bytes just before they are used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Patch {
    /// Offset in the bytes.
    pub offset: usize,
    /// How many bytes.
    pub width: Width,
    /// The value to put there.
    pub value: Value,
}

/// Takes a value out of bytes after a successful call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Save {
    /// Offset in the bytes.
    pub offset: usize,
    /// How many bytes.
    pub width: Width,
    /// Under which name.
    pub slot: Slot,
}

/// What to open, to read or to write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Location {
    /// The file at this path.
    Path(String),
    /// `prefix` followed by the name of the only entry of `directory` that starts with
    /// `starts`: the number of a vfio cdev changes whenever a driver is bound.
    Entry {
        /// Directory to look into.
        directory: String,
        /// Beginning of the entry's name.
        starts: String,
        /// Put before the entry's name.
        prefix: String,
    },
    /// `prefix` followed by the last component of a link's target: the number of a group that the
    /// case creates.
    Link {
        /// Path of the symbolic link.
        link: String,
        /// Put before the name.
        prefix: String,
    },
    /// The file of a descriptor, through `/proc/self/fd`: the same inode, even if its name no
    /// longer exists.
    Descriptor(Fd),
}

/// A value that is a file descriptor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fd(pub Value);

impl Fd {
    /// The descriptor that an earlier op saved under this name.
    pub fn slot(name: impl Into<String>) -> Self {
        Self(Value::slot(name))
    }
}

/// Receives a new descriptor: the return value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFd(pub Slot);

/// Receives the address of a new mapping: the return value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewMapping {
    /// Its size in bytes.
    pub length: u64,
    /// Under which name.
    pub slot: Slot,
}

/// Receives the return value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Returned(pub Slot);

/// Receives the first bytes of the data, up to eight, as a little-endian number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Number(pub Slot);

/// Receives 0 before the first execution, 1 before the second, and so on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counter(pub Slot);

/// How long an op waits, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeout(pub u64);

impl Timeout {
    /// The same as a duration.
    pub const fn duration(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }
}
