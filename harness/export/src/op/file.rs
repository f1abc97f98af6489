//! Files: device nodes, sysfs, procfs.

use wire::{Fd, FileOp, OpenFlags, Patch, Value, Width};

use crate::{
    call::{Call, Caller, Data},
    number::plain,
};

/// Maximum number of bytes to read from a file: a page.
const PAGE: u64 = 4096;

impl Caller<'_> {
    pub fn file(&self, op: &FileOp) -> Result<Call, String> {
        match op {
            FileOp::Open { at, flags, save } => {
                let (path, flags) = (self.location(at)?, open_flags(*flags));
                Ok(Call::new(format!("open({path}, {flags} | O_CLOEXEC)")).saving(&save.0))
            }
            FileOp::Close { fd } => Ok(Call::new(format!("close({})", self.fd(fd)?))),
            FileOp::Read { fd, into, length } => self.transfer("read", fd, into, *length, None),
            FileOp::Write { fd, from, length } => self.transfer("write", fd, from, *length, None),
            FileOp::Pread {
                fd,
                offset,
                length,
                save,
            } => self.pread(
                fd,
                offset,
                *length,
                save.as_ref().map(|save| save.0.as_str()),
            ),
            FileOp::Pwrite {
                fd,
                offset,
                bytes,
                patches,
            } => self.pwrite(fd, offset, bytes, patches),
            FileOp::Transfer {
                fd,
                write,
                offset,
                length,
                at,
            } => {
                let name = if *write { "pwrite" } else { "pread" };
                self.transfer(name, fd, at, *length, Some(offset))
            }
            FileOp::ReadFile { at } => {
                let path = self.location(at)?;
                Ok(self.bytes("unsigned char", PAGE, |bytes, length| {
                    format!("read_file({path}, {bytes}, {length})")
                }))
            }
            FileOp::ListFolder {
                path,
                begin,
                numbered,
                like,
            } => {
                let path = self.placeholders.text(path);
                let begin = self.placeholders.text(begin);
                let or_null = |text: &Option<String>| match text {
                    Some(text) => self.placeholders.text(text),
                    None => "NULL".to_owned(),
                };
                let (numbered, like) = (or_null(numbered), or_null(like));
                Ok(self.bytes("unsigned char", PAGE, |bytes, length| {
                    format!("list_folder({path}, {begin}, {numbered}, {like}, {bytes}, {length})")
                }))
            }
            FileOp::WriteFile { at, text } => {
                let (path, text) = (self.location(at)?, self.placeholders.text(text));
                Ok(Call::new(format!("write_file({path}, {text})")))
            }
            FileOp::AwaitFile { at, text, timeout } => {
                let (path, text) = (self.location(at)?, self.placeholders.text(text));
                let timeout = timeout.0;
                Ok(self.bytes("unsigned char", PAGE, |bytes, length| {
                    format!("await_file({path}, {text}, {timeout}, {bytes}, {length})")
                }))
            }
            FileOp::AwaitPath {
                path,
                there,
                timeout,
            } => {
                let path = self.placeholders.text(path);
                let timeout = timeout.0;
                Ok(Call::new(format!("await_path({path}, {there}, {timeout})")))
            }
            FileOp::ReadDevice {
                path,
                length,
                timeout,
            } => {
                let (path, timeout) = (self.placeholders.text(path), timeout.0);
                Ok(self.bytes("unsigned char", *length, |bytes, length| {
                    format!("read_device({path}, {bytes}, {length}, {timeout})")
                }))
            }
        }
    }

    fn transfer(
        &self,
        call: &str,
        fd: &Fd,
        buffer: &Value,
        length: u64,
        offset: Option<&Value>,
    ) -> Result<Call, String> {
        let (fd, buffer) = (self.fd(fd)?, self.address(buffer)?);
        let offset = match offset {
            Some(offset) => format!(", {}", self.offset(offset)?),
            None => String::new(),
        };
        Ok(Call::new(format!(
            "{call}({fd}, {buffer}, {}{offset})",
            plain(length)
        )))
    }

    fn pread(
        &self,
        fd: &Fd,
        offset: &Value,
        length: u64,
        save: Option<&str>,
    ) -> Result<Call, String> {
        let (fd, offset) = (self.fd(fd)?, self.offset(offset)?);
        let mut call = self.bytes("unsigned char", length, |bytes, length| {
            format!("pread({fd}, {bytes}, {length}, {offset})")
        });
        if let (Some(variable), Data::Bytes { pointer, .. }) = (
            save.and_then(|slot| self.words.variables.name(slot)),
            &call.data,
        ) {
            call.saves = vec![format!("{variable} = little_endian({pointer}, ret);")];
        }
        Ok(call)
    }

    fn pwrite(
        &self,
        fd: &Fd,
        offset: &Value,
        bytes: &[u8],
        patches: &[Patch],
    ) -> Result<Call, String> {
        let (fd, offset) = (self.fd(fd)?, self.offset(offset)?);
        let name = self.words.variables.fresh("value");
        let call = Call::new(format!("pwrite({fd}, &{name}, sizeof({name}), {offset})"));
        let declaration = match (patches, Width::of(bytes.len() as u64)) {
            ([patch], Some(width)) if patch.offset == 0 && patch.width == width => {
                let value = self.value(&patch.value)?;
                format!("__u{} {name} = {value};", width.bytes() * 8)
            }
            ([], Some(width)) => {
                let value = plain(wire::little_endian(bytes));
                format!("__u{} {name} = {value};", width.bytes() * 8)
            }
            ([], None) => {
                let bytes: Vec<_> = bytes.iter().map(|byte| plain((*byte).into())).collect();
                format!("unsigned char {name}[] = {{ {} }};", bytes.join(", "))
            }
            _ => return Err("bytes that contain values known only at run time".to_owned()),
        };
        Ok(Call {
            declarations: vec![declaration],
            ..call
        })
    }
}

fn open_flags(flags: OpenFlags) -> &'static str {
    match flags {
        OpenFlags::ReadWrite => "O_RDWR",
        OpenFlags::ReadOnly => "O_RDONLY",
        OpenFlags::WriteOnly => "O_WRONLY",
    }
}
