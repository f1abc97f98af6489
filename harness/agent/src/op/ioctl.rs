//! `ioctl(2)`.

use std::os::fd::RawFd;

use nix::errno::Errno;
use wire::{Arg, IoctlOp, Observed};

use crate::{
    exec::Executor,
    memory::EdgeBuffer,
    op_error::{Done, OpError, ok},
};

impl Executor {
    pub fn ioctl(&mut self, op: &IoctlOp) -> Done {
        let fd = self.fd(&op.fd)?;
        match &op.arg {
            Arg::Value(value) => {
                let value = self.value(value)?;
                ok(self.call(|| raw_ioctl(fd, op.request, value))?)
            }
            Arg::Buffer {
                bytes,
                patches,
                read_only,
            } => {
                let bytes = self.patched(bytes, patches)?;
                self.ioctl_buffer(fd, op.request, &bytes, *read_only)
            }
        }
    }

    fn ioctl_buffer(&mut self, fd: RawFd, request: u32, bytes: &[u8], read_only: bool) -> Done {
        let buffer = EdgeBuffer::new(bytes, read_only)?;
        let result = self.call(|| raw_ioctl(fd, request, buffer.at));
        let data = buffer.bytes();
        match result {
            Ok(ret) => Ok((ret, data)),
            Err(errno) => {
                let errno = errno as i32;
                Err(OpError::Observed(Observed::Errno { errno, data }))
            }
        }
    }
}

/// The number has 32 bits in the kernel; its type differs between C libraries.
fn raw_ioctl(fd: RawFd, request: u32, arg: u64) -> nix::Result<u64> {
    // SAFETY: the plan decides what the argument points to; memory the kernel writes is a
    // mapping of the plan's own or an edge buffer.
    let ret = unsafe { libc::ioctl(fd, request as libc::Ioctl, arg) };
    Errno::result(ret).map(|ret| ret as u64)
}
