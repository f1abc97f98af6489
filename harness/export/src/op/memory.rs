//! Memory of the process, and memfds.

use case::{Check, Layout};
use wire::{Access, MemoryKind, MemoryOp, NewFd, Save, Value};

use crate::{
    buffer::Buffer,
    call::{Call, Caller, Data, End},
    number::plain,
};

impl Caller<'_> {
    pub fn memory(&self, op: &MemoryOp, check: &Check) -> Result<Call, String> {
        match op {
            MemoryOp::Alloc { kind, fill, save } => {
                Ok(Call::new(alloc(*kind, save.length, *fill)).saving(&save.slot))
            }
            MemoryOp::Mmap {
                fd,
                offset,
                access,
                save,
            } => {
                let (access, kind) = access_flags(*access);
                let (fd, offset) = (self.fd(fd)?, self.offset(offset)?);
                let length = plain(save.length);
                let call = format!("(long)mmap(NULL, {length}, {access}, {kind}, {fd}, {offset})");
                Ok(Call::new(call).saving(&save.slot))
            }
            MemoryOp::Munmap { at, length } => {
                let at = self.address(at)?;
                Ok(Call::new(format!("munmap({at}, {})", plain(*length))))
            }
            MemoryOp::Load { at, width } => {
                let (at, width) = (self.value(at)?, width.bytes());
                let value = self.words.variables.fresh("value");
                Ok(Call {
                    declarations: vec![format!("__u64 {value} = 0;")],
                    end: End::Signal,
                    returned: Some(value.clone()),
                    ..Call::new(format!("load({at}, {width}, &{value})"))
                })
            }
            MemoryOp::Store { at, width, value } => {
                let (at, value) = (self.value(at)?, self.value(value)?);
                Ok(Call {
                    end: End::Signal,
                    ..Call::new(format!("store({at}, {}, {value})", width.bytes()))
                })
            }
            MemoryOp::CountFaults { at } => {
                Ok(Call::new(format!("count_faults({})", self.value(at)?)))
            }
            MemoryOp::Peek { at, length, save } => self.peek(at, *length, save, check),
            MemoryOp::Memfd {
                size,
                fill,
                seals,
                huge,
                save,
            } => Ok(memfd(*size, *fill, *seals, *huge, save)),
            MemoryOp::Udmabuf {
                file,
                offset,
                size,
                save,
            } => {
                let (offset, size) = (plain(*offset), plain(*size));
                let call = format!("udmabuf({}, {offset}, {size})", self.fd(file)?);
                Ok(Call::new(call).saving(&save.0))
            }
        }
    }

    fn peek(&self, at: &Value, length: u64, save: &[Save], check: &Check) -> Result<Call, String> {
        let at = self.value(at)?;
        if let Layout::Struct(layout) = check.layout {
            if !uapi::structs()
                .iter()
                .any(|known| known.name == layout.name)
            {
                return Err("memory with a layout that only the case has".to_owned());
            }
            let buffer = Buffer::empty(layout, "found", self.words.variables);
            let name = buffer.name.clone();
            let call = Call::new(format!(
                "peek({at}, (unsigned char *)&{name}, sizeof({name}))"
            ));
            return Ok(Call {
                declarations: vec![buffer.declaration.clone()],
                end: End::Signal,
                saves: self.saves(&buffer, &format!("&{name}"), buffer.length, save)?,
                data: Data::Struct {
                    memory: format!("&{name}"),
                    length: buffer.length,
                    buffer,
                    fetch: None,
                },
                ..call
            });
        }
        if !save.is_empty() {
            return Err("fields to save of memory without a struct".to_owned());
        }
        let call = self.bytes("unsigned char", length, |bytes, length| {
            format!("peek({at}, {bytes}, {length})")
        });
        let Data::Bytes { pointer, .. } = &call.data else {
            return Err("bytes without a length".to_owned());
        };
        Ok(Call {
            end: End::Signal,
            data: Data::Bytes {
                length: format!("sizeof({pointer})"),
                pointer: pointer.clone(),
            },
            ..call
        })
    }
}

fn memfd(size: u64, fill: Option<u8>, seals: u32, huge: bool, save: &NewFd) -> Call {
    let fill = fill.map_or_else(|| "-1".to_owned(), |fill| plain(fill.into()));
    let flags = if huge { "MFD_HUGETLB" } else { "0" };
    let (size, seals) = (plain(size), seal_names(seals));
    Call::new(format!("memory_file({size}, {fill}, {flags}, {seals})")).saving(&save.0)
}

fn access_flags(access: Access) -> (&'static str, &'static str) {
    match access {
        Access::ReadWrite => ("PROT_READ | PROT_WRITE", "MAP_SHARED"),
        Access::ReadOnly => ("PROT_READ", "MAP_SHARED"),
        Access::Execute => ("PROT_READ | PROT_EXEC", "MAP_SHARED"),
        Access::CopyOnWrite => ("PROT_READ | PROT_WRITE", "MAP_PRIVATE"),
    }
}

fn alloc(kind: MemoryKind, length: u64, fill: u8) -> String {
    if kind == MemoryKind::Pieces {
        return format!("pieces({}, {})", plain(length), plain(fill.into()));
    }
    let flags = match kind {
        MemoryKind::Shared => "MAP_SHARED",
        MemoryKind::Huge => "MAP_PRIVATE | MAP_HUGETLB",
        MemoryKind::Low => "MAP_PRIVATE | MAP_32BIT",
        MemoryKind::Anonymous
        | MemoryKind::ReadOnly
        | MemoryKind::NoAccess
        | MemoryKind::Pieces => "MAP_PRIVATE",
    };
    let access = match kind {
        MemoryKind::Anonymous
        | MemoryKind::Shared
        | MemoryKind::Huge
        | MemoryKind::Low
        | MemoryKind::Pieces => "PROT_READ | PROT_WRITE",
        MemoryKind::ReadOnly => "PROT_READ",
        MemoryKind::NoAccess => "PROT_NONE",
    };
    let (length, fill) = (plain(length), plain(fill.into()));
    format!("memory({length}, {flags}, {fill}, {access})")
}

/// `F_SEAL_*` of `linux/fcntl.h`.
fn seal_names(seals: u32) -> String {
    const NAMES: [&str; 5] = [
        "F_SEAL_SEAL",
        "F_SEAL_SHRINK",
        "F_SEAL_GROW",
        "F_SEAL_WRITE",
        "F_SEAL_FUTURE_WRITE",
    ];
    let named: Vec<_> = NAMES
        .iter()
        .enumerate()
        .filter(|(bit, _)| seals & 1 << bit != 0)
        .map(|(_, name)| *name)
        .collect();
    match named.as_slice() {
        [] => "0".to_owned(),
        names => names.join(" | "),
    }
}
