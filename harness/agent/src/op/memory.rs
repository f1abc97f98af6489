//! Memory of the process, and files that are memory.

use std::os::fd::{BorrowedFd, IntoRawFd};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};
use wire::{Access, Fd, MemoryKind, MemoryOp, Value};

use crate::{
    exec::{Executor, with_fd},
    guard,
    memory::{anonymous, nonzero, peek, pointer, protect},
    memory_file,
    op_error::{Done, ok},
    page_faults, pieces,
};

impl Executor {
    pub fn memory(&mut self, op: &MemoryOp) -> Done {
        match op {
            MemoryOp::Alloc { kind, fill, save } => alloc(*kind, save.length, *fill),
            MemoryOp::Mmap {
                fd,
                offset,
                access,
                save,
            } => self.mmap(fd, offset, save.length, *access),
            MemoryOp::Munmap { at, length } => self.munmap(at, *length),
            MemoryOp::Load { at, width } => {
                let value = guard::load(self.value(at)?, *width)?;
                Ok((value, value.to_le_bytes()[..width.bytes()].to_vec()))
            }
            MemoryOp::Store { at, width, value } => {
                guard::store(self.value(at)?, *width, self.value(value)?)?;
                ok(0)
            }
            MemoryOp::CountFaults { at } => ok(page_faults::count(self.value(at)?)?),
            MemoryOp::Peek { at, length, .. } => Ok((0, peek(self.value(at)?, *length)?)),
            MemoryOp::Memfd {
                size,
                fill,
                seals,
                huge,
                ..
            } => {
                let fd = memory_file::memfd(*size, *fill, *seals, *huge)?;
                ok(fd.into_raw_fd() as u64)
            }
            MemoryOp::Udmabuf {
                file, offset, size, ..
            } => {
                let fd = memory_file::udmabuf(self.fd(file)?, *offset, *size)?;
                ok(fd.into_raw_fd() as u64)
            }
        }
    }

    fn mmap(&mut self, fd: &Fd, offset: &Value, length: u64, access: Access) -> Done {
        let (fd, offset) = (self.fd(fd)?, self.value(offset)?);
        let (access, kind) = mmap_flags(access);
        let length = nonzero(length)?;
        // SAFETY: a new mapping, only ever touched through `guard`.
        let map =
            |fd: BorrowedFd<'_>| unsafe { mmap(None, length, access, kind, fd, offset as i64) };
        let at = with_fd(fd, |fd| self.call(|| map(fd)))?;
        ok(at.as_ptr() as u64)
    }

    fn munmap(&self, at: &Value, length: u64) -> Done {
        let at = pointer(self.value(at)?)?;
        // SAFETY: plans only unmap what they mapped; nothing of the agent lies there.
        unsafe { munmap(at, length as usize)? };
        ok(0)
    }
}

fn alloc(kind: MemoryKind, length: u64, fill: u8) -> Done {
    if kind == MemoryKind::Pieces {
        return ok(pieces::map(length, fill)?);
    }
    let flags = match kind {
        MemoryKind::Shared => MapFlags::MAP_SHARED,
        MemoryKind::Huge => MapFlags::MAP_PRIVATE | MapFlags::MAP_HUGETLB,
        MemoryKind::Low => MapFlags::MAP_PRIVATE | MapFlags::MAP_32BIT,
        MemoryKind::Anonymous
        | MemoryKind::ReadOnly
        | MemoryKind::NoAccess
        | MemoryKind::Pieces => MapFlags::MAP_PRIVATE,
    };
    let at = anonymous(length, flags)?;
    if fill != 0 {
        // SAFETY: the mapping was made just now with this length.
        unsafe { std::ptr::write_bytes(at as *mut u8, fill, length as usize) };
    }
    let access = match kind {
        MemoryKind::Anonymous
        | MemoryKind::Shared
        | MemoryKind::Huge
        | MemoryKind::Low
        | MemoryKind::Pieces => ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
        MemoryKind::ReadOnly => ProtFlags::PROT_READ,
        MemoryKind::NoAccess => ProtFlags::PROT_NONE,
    };
    protect(at, length, access)?;
    ok(at)
}

fn mmap_flags(access: Access) -> (ProtFlags, MapFlags) {
    let read_write = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    let execute = ProtFlags::PROT_READ | ProtFlags::PROT_EXEC;
    match access {
        Access::ReadWrite => (read_write, MapFlags::MAP_SHARED),
        Access::ReadOnly => (ProtFlags::PROT_READ, MapFlags::MAP_SHARED),
        Access::Execute => (execute, MapFlags::MAP_SHARED),
        Access::CopyOnWrite => (read_write, MapFlags::MAP_PRIVATE),
    }
}
