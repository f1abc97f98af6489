//! Files: device nodes, sysfs, procfs.

use serde::{Deserialize, Serialize};

use crate::{
    Fd, Location, NewFd, Number, Patch, Timeout, Value,
    operand::{constants, ops},
};

ops! {
    /// Files: device nodes, sysfs, procfs.
    pub enum FileOp {
        /// Open a file by `open(2)`.
        Open {
            /// The file to open.
            at: Location,
            /// Access mode.
            flags: OpenFlags,
            /// Receives the descriptor.
            save: NewFd,
        },
        /// Close a descriptor by `close(2)`.
        Close {
            /// The open file.
            fd: Fd,
        },
        /// `read(2)` to an address that the case gives, which need not be mapped.
        Read {
            /// The open file.
            fd: Fd,
            /// Address of the buffer.
            into: Value,
            /// Number of bytes to transfer.
            length: u64,
        },
        /// `write(2)` of memory of the process.
        Write {
            /// The open file.
            fd: Fd,
            /// Address of the bytes.
            from: Value,
            /// Number of bytes to transfer.
            length: u64,
        },
        /// `pread(2)`; bytes are in the outcome.
        Pread {
            /// The open file.
            fd: Fd,
            /// Offset in the file, in bytes.
            offset: Value,
            /// Number of bytes to transfer.
            length: u64,
            /// Receives the first bytes as a number.
            save: Option<Number>,
        },
        /// Write bytes of the plan by `pwrite(2)`.
        Pwrite {
            /// The open file.
            fd: Fd,
            /// Offset in the file, in bytes.
            offset: Value,
            /// The bytes to write, before the patches.
            bytes: Vec<u8>,
            /// Values only the guest knows.
            patches: Vec<Patch>,
        },
        /// `pread(2)` or `pwrite(2)` with a buffer at an address that the plan gives.
        Transfer {
            /// The open file.
            fd: Fd,
            /// Which of the two.
            write: bool,
            /// Offset in the file, in bytes.
            offset: Value,
            /// Number of bytes to transfer.
            length: u64,
            /// Address of the buffer, which need not be mapped.
            at: Value,
        },
        /// Open, read at most a page, close; text is in the outcome.
        ReadFile {
            /// The file, by its path.
            at: Location,
        },
        /// List the names in a folder, sorted, one a line; text is in the outcome.
        ListFolder {
            /// The folder, by its path. A component `*` stands for the first name there.
            path: String,
            /// Leave out names that begin in another way.
            begin: String,
            /// Leave out names that are this text and a number.
            numbered: Option<String>,
            /// Leave out names of another form, and show this form in place of the others. `#`
            /// stands for a number.
            like: Option<String>,
        },
        /// Open, write once, close.
        WriteFile {
            /// The file, by its path.
            at: Location,
            /// The text to write.
            text: String,
        },
        /// Read a file until its text, without white space at both ends, is this one. The text is
        /// in the outcome, even if the deadline has passed.
        AwaitFile {
            /// The file, by its path.
            at: Location,
            /// The text to wait for.
            text: String,
            /// How long to wait at most.
            timeout: Timeout,
        },
        /// Wait until a path exists, or no longer exists; ETIMEDOUT at the deadline.
        AwaitPath {
            /// Path to look at.
            path: String,
            /// Whether it has to exist.
            there: bool,
            /// How long to wait at most.
            timeout: Timeout,
        },
        /// Read bytes from a character device with a deadline.
        ReadDevice {
            /// Path of the device node.
            path: String,
            /// Number of bytes to transfer.
            length: u64,
            /// How long to wait at most.
            timeout: Timeout,
        },
    }
}

constants!(OpenFlags);

/// How to open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum OpenFlags {
    /// Read and write: `O_RDWR`.
    ReadWrite,
    /// Only read: `O_RDONLY`.
    ReadOnly,
    /// Only write: `O_WRONLY`.
    WriteOnly,
}
