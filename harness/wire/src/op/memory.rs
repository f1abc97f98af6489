//! Memory of the process, and memfds.

use serde::{Deserialize, Serialize};

use crate::{
    Fd, NewFd, NewMapping, Save, Value, Width,
    operand::{constants, ops},
};

ops! {
    /// Memory of the process, and memfds.
    pub enum MemoryOp {
        /// Map anonymous memory.
        Alloc {
            /// Which kind of pages to map.
            kind: MemoryKind,
            /// Value of every byte.
            fill: u8,
            /// Receives the address; the length is rounded up to pages.
            save: NewMapping,
        },
        /// `mmap(2)` of a descriptor.
        Mmap {
            /// The open file to map.
            fd: Fd,
            /// Offset in the file, in bytes.
            offset: Value,
            /// What the mapping allows, and whether it is private.
            access: Access,
            /// Receives the address.
            save: NewMapping,
        },
        /// Remove a mapping by `munmap(2)`.
        Munmap {
            /// Address of its first byte.
            at: Value,
            /// Length in bytes.
            length: u64,
        },
        /// One load; a fault is an outcome.
        Load {
            /// Virtual address in the process.
            at: Value,
            /// Width of the access.
            width: Width,
        },
        /// One store; a fault is an outcome.
        Store {
            /// Virtual address in the process.
            at: Value,
            /// Width of the access.
            width: Width,
            /// The value to store.
            value: Value,
        },
        /// One load of four bytes; `ret` is the number of page faults that the kernel handled for
        /// it. A signal is an outcome.
        CountFaults {
            /// Virtual address in the process.
            at: Value,
        },
        /// Read memory of the process; bytes are in the outcome.
        Peek {
            /// Virtual address in the process.
            at: Value,
            /// Length in bytes.
            length: u64,
            /// Values to take out of the bytes.
            save: Vec<Save>,
        },
        /// `memfd_create(2)`, a size, contents, seals.
        Memfd {
            /// Size in bytes.
            size: u64,
            /// Value of every byte; `None` leaves the file as a hole.
            fill: Option<u8>,
            /// Seals to add (`F_ADD_SEALS`), as `F_SEAL_*` bits.
            seals: u32,
            /// Made of huge pages.
            huge: bool,
            /// Receives the descriptor.
            save: NewFd,
        },
        /// A dma-buf made of part of a memfd, by `/dev/udmabuf`.
        Udmabuf {
            /// The memfd; it has to be sealed against shrinking.
            file: Fd,
            /// Start in the file.
            offset: u64,
            /// Size in bytes.
            size: u64,
            /// Receives the descriptor.
            save: NewFd,
        },
    }
}

constants!(MemoryKind, Access, Width);

/// Kind of memory for user pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum MemoryKind {
    /// Private anonymous memory.
    Anonymous,
    /// Shared anonymous memory.
    Shared,
    /// Private anonymous memory without write permission.
    ReadOnly,
    /// Address space without any access.
    NoAccess,
    /// Private anonymous memory in huge pages of the pool that the agent reserves at boot.
    Huge,
    /// Private anonymous memory whose pages follow one another in physical memory for a few pages
    /// at a time, as long as the guest has a free huge page.
    Pieces,
    /// Private anonymous memory below 4 GiB, where a 32-bit program has its own.
    Low,
}

/// Access rights of a mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Loads and stores.
    ReadWrite,
    /// Loads, but no stores.
    ReadOnly,
    /// Loads and stores, where stores do not reach the file: a private mapping.
    CopyOnWrite,
    /// Loads and execution.
    Execute,
}
