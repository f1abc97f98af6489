//! Files: device nodes, sysfs, procfs.

use serde::{Deserialize, Serialize};

use crate::{
    Fd, Location, NewFd, Number, Patch, Timeout, Value,
    operand::{constants, ops},
};

ops! {
    /// Files: device nodes, sysfs, procfs.
    pub enum FileOp {
        /// `open(2)`.
        Open {
            /// What.
            at: Location,
            /// How.
            flags: OpenFlags,
            /// Receives the descriptor.
            save: NewFd,
        },
        /// `close(2)`.
        Close {
            /// Which descriptor.
            fd: Fd,
        },
        /// `read(2)` to an address that the case gives, which need not be mapped.
        Read {
            /// Which descriptor.
            fd: Fd,
            /// Address of the buffer.
            into: Value,
            /// Bytes.
            length: u64,
        },
        /// `write(2)` of memory of the process.
        Write {
            /// Which descriptor.
            fd: Fd,
            /// Address of the bytes.
            from: Value,
            /// Bytes.
            length: u64,
        },
        /// `pread(2)`; bytes are in the outcome.
        Pread {
            /// Which descriptor.
            fd: Fd,
            /// File offset.
            offset: Value,
            /// Bytes.
            length: u64,
            /// Receives the first bytes as a number.
            save: Option<Number>,
        },
        /// `pwrite(2)`.
        Pwrite {
            /// Which descriptor.
            fd: Fd,
            /// File offset.
            offset: Value,
            /// What.
            bytes: Vec<u8>,
            /// Values only the guest knows.
            patches: Vec<Patch>,
        },
        /// `pread(2)` or `pwrite(2)` with a buffer at an address that the plan gives.
        Transfer {
            /// Which descriptor.
            fd: Fd,
            /// Which of the two.
            write: bool,
            /// File offset.
            offset: Value,
            /// Bytes.
            length: u64,
            /// The buffer.
            at: Value,
        },
        /// Open, read at most a page, close; text is in the outcome.
        ReadFile {
            /// Which file.
            at: Location,
        },
        /// Open, write once, close.
        WriteFile {
            /// Which file.
            at: Location,
            /// What.
            text: String,
        },
        /// Read a file until its text, without white space at both ends, is this one. The text is
        /// in the outcome, even if the deadline has passed.
        AwaitFile {
            /// Which file.
            at: Location,
            /// The text to wait for.
            text: String,
            /// Deadline.
            timeout: Timeout,
        },
        /// Wait until a path exists, or no longer exists; ETIMEDOUT at the deadline.
        AwaitPath {
            /// Which path.
            path: String,
            /// Whether it has to exist.
            there: bool,
            /// Deadline.
            timeout: Timeout,
        },
        /// Read bytes from a character device with a deadline.
        ReadDevice {
            /// Which file.
            path: String,
            /// Bytes.
            length: u64,
            /// Deadline.
            timeout: Timeout,
        },
    }
}

constants!(OpenFlags);

/// How to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpenFlags {
    /// `O_RDWR`.
    ReadWrite,
    /// `O_RDONLY`.
    ReadOnly,
    /// `O_WRONLY`.
    WriteOnly,
}
