//! The protocol between the host and the guest agent.
//!
//! The host sends [`Request`]s, the agent answers with [`Reply`]s, each in a checksummed
//! [`frame`]. A [`Plan`] is the fully resolved form of one case: the agent executes
//! its [`Op`]s and reports what it observed; it never learns what was expected.

#![warn(missing_docs)]

pub mod facts;
pub mod frame;
pub mod message;
pub mod op;
pub mod operand;
pub mod outcome;
pub mod plan;
pub mod value;

pub use facts::{
    Device, FEATURES, Facts, Group, PROBED, TAINT_BAD_PAGE, TAINT_DIE, TAINT_OF_COMPLAINTS,
    TAINT_WARN, World, added_taint,
};
pub use frame::{FrameError, read_frame, write_frame};
pub use message::{CheckState, End, KernelCheck, Phases, Reply, Request};
pub use op::{
    Op,
    control::{ControlOp, FailNth},
    dma::{DmaEngine, DmaOp},
    event::EventOp,
    file::{FileOp, OpenFlags},
    ioctl::{Abi, Arg, IoctlOp},
    memory::{Access, MemoryKind, MemoryOp},
    pci::{Chain, HostAction, PciOp},
    process::{Fault, Limit, LockedVm, ProcessOp, Resource},
};
pub use operand::{Left, Target, Use};
pub use outcome::{Attempt, Dma, DmaAccess, DmaEnd, Failure, Injected, Observed, Outcome, Racer};
pub use plan::Plan;
pub use value::{
    Counter, Fd, Location, NewFd, NewMapping, Number, Patch, Returned, Save, Slot, Timeout, Value,
    Width,
};

/// Revision of everything in this crate; both ends compare it in the handshake.
pub const REVISION: &str = env!("WIRE_REVISION");

/// Name of the virtio-serial port that carries the host's requests.
///
/// Replies have a port of their own: the kernel wakes everyone who waits for a port at the end of each
/// write to it, too, and the agent waits for a request while the process of a case reports outcomes.
pub const REQUESTS: &str = "conformance.requests";
/// Name of the virtio-serial port that carries the agent's replies.
pub const REPLIES: &str = "conformance.replies";

/// Reads up to eight bytes as a little-endian number; further bytes are ignored.
pub fn little_endian(bytes: &[u8]) -> u64 {
    let first = bytes.iter().take(8).rev();
    first.fold(0, |value, byte| (value << 8) | u64::from(*byte))
}
