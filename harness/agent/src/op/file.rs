//! Files: device nodes, sysfs, procfs.

use std::{
    io::Write,
    os::{fd::IntoRawFd, unix::fs::FileExt},
};

use nix::errno::Errno;
use wire::{Fd, FileOp, Location, OpenFlags, Patch, Value};

use crate::{
    exec::Executor,
    file,
    op_error::{Done, OpError, ok},
    sysfs,
};

impl Executor {
    pub fn file(&mut self, op: &FileOp) -> Done {
        match op {
            FileOp::Open { at, flags, .. } => self.open(at, *flags),
            FileOp::Close { fd } => {
                nix::unistd::close(self.fd(fd)?)?;
                ok(0)
            }
            FileOp::Read { fd, into, length } => self.read(fd, into, *length),
            FileOp::Write { fd, from, length } => self.write(fd, from, *length),
            FileOp::Pread {
                fd, offset, length, ..
            } => self.pread(fd, offset, *length),
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
            } => self.transfer(fd, *write, offset, *length, at),
            FileOp::ReadFile { at } => Ok((0, file::read_file(&self.path_of(at)?)?)),
            FileOp::ListFolder {
                path,
                begin,
                numbered,
                like,
            } => {
                let (numbered, like) = (numbered.as_deref(), like.as_deref());
                Ok((0, file::list_folder(path, begin, numbered, like)?))
            }
            FileOp::WriteFile { at, text } => {
                let path = self.path_of(at)?;
                sysfs::write_by(path, text, |file, bytes| self.call(|| file.write(bytes)))?;
                ok(0)
            }
            FileOp::AwaitFile { at, text, timeout } => {
                Ok((0, file::await_file(&self.path_of(at)?, text, *timeout)?))
            }
            FileOp::AwaitPath {
                path,
                there,
                timeout,
            } => {
                file::await_path(path, *there, *timeout)?;
                ok(0)
            }
            FileOp::ReadDevice {
                path,
                length,
                timeout,
            } => Ok((0, file::read_device(path, *length, *timeout)?)),
        }
    }

    fn open(&mut self, at: &Location, flags: OpenFlags) -> Done {
        let (path, options) = (self.path_of(at)?, file::options(flags));
        let file = self.call(|| options.open(path))?;
        ok(file.into_raw_fd() as u64)
    }

    fn read(&mut self, fd: &Fd, into: &Value, length: u64) -> Done {
        let (fd, into) = (self.fd(fd)?, self.value(into)?);
        // SAFETY: the plan decides what the address points to; the kernel checks it.
        let read = || unsafe { libc::read(fd, into as *mut _, length as usize) };
        ok(self.call(|| Errno::result(read()))? as u64)
    }

    fn write(&mut self, fd: &Fd, from: &Value, length: u64) -> Done {
        let (fd, from) = (self.fd(fd)?, self.value(from)?);
        // SAFETY: the plan decides what the address points to; the kernel only reads.
        let write = || unsafe { libc::write(fd, from as *const _, length as usize) };
        ok(self.call(|| Errno::result(write()))? as u64)
    }

    fn pread(&mut self, fd: &Fd, offset: &Value, length: u64) -> Done {
        let (file, offset) = (self.borrowed(fd)?, self.value(offset)?);
        let mut bytes = vec![0; length as usize];
        let read = self.call(|| file.read_at(&mut bytes, offset))?;
        bytes.truncate(read);
        Ok((read as u64, bytes))
    }

    fn pwrite(&mut self, fd: &Fd, offset: &Value, bytes: &[u8], patches: &[Patch]) -> Done {
        let (file, offset) = (self.borrowed(fd)?, self.value(offset)?);
        let bytes = self.patched(bytes, patches)?;
        let written = self.call(|| file.write_at(&bytes, offset))?;
        ok(written as u64)
    }

    fn transfer(&mut self, fd: &Fd, write: bool, offset: &Value, length: u64, at: &Value) -> Done {
        let (fd, offset) = (self.fd(fd)?, self.value(offset)? as i64);
        let (at, length) = (self.value(at)?, length as usize);
        // SAFETY: the kernel checks the address; what lies there is memory of the plan's own,
        // or none.
        let done = self.call(|| unsafe {
            if write {
                libc::pwrite(fd, at as *const libc::c_void, length, offset)
            } else {
                libc::pread(fd, at as *mut libc::c_void, length, offset)
            }
        });
        ok(Errno::result(done)? as u64)
    }

    fn path_of(&self, at: &Location) -> Result<String, OpError> {
        match at {
            Location::Path(path) => Ok(path.clone()),
            Location::Descriptor(fd) => Ok(format!("/proc/self/fd/{}", self.value(&fd.0)?)),
            Location::Link { link, prefix } => match sysfs::link_name(link) {
                Some(name) => Ok(format!("{prefix}{name}")),
                None => Err(Errno::ENOENT.into()),
            },
            Location::Entry {
                directory,
                starts,
                prefix,
            } => {
                let names = sysfs::names(directory);
                match names.iter().find(|name| name.starts_with(starts.as_str())) {
                    Some(name) => Ok(format!("{prefix}{name}")),
                    // The node does not exist, so the errno is that of opening it.
                    None => Err(Errno::ENOENT.into()),
                }
            }
        }
    }
}
