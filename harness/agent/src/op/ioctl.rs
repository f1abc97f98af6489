//! `ioctl(2)`.

use std::os::fd::RawFd;

use nix::errno::Errno;
use wire::{Abi, Arg, IoctlOp, Observed};

use crate::{
    exec::Executor,
    ia32,
    memory::EdgeBuffer,
    op_error::{Done, OpError, ok},
};

impl Executor {
    pub fn ioctl(&mut self, op: &IoctlOp) -> Done {
        let fd = self.fd(&op.fd)?;
        match &op.arg {
            Arg::Value(value) => {
                let value = self.value(value)?;
                ok(self.call(|| raw_ioctl(op.abi, fd, op.request, value))?)
            }
            Arg::Buffer {
                bytes,
                patches,
                read_only,
            } => {
                let bytes = self.patched(bytes, patches)?;
                self.ioctl_buffer(fd, op, &bytes, *read_only)
            }
        }
    }

    fn ioctl_buffer(&mut self, fd: RawFd, op: &IoctlOp, bytes: &[u8], read_only: bool) -> Done {
        let buffer = EdgeBuffer::new(bytes, read_only, op.abi)?;
        let result = self.call(|| raw_ioctl(op.abi, fd, op.request, buffer.at));
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
fn raw_ioctl(abi: Abi, fd: RawFd, request: u32, arg: u64) -> nix::Result<u64> {
    // SAFETY: the plan decides what the argument points to; memory the kernel writes is a
    // mapping of the plan's own or an edge buffer.
    let ret = match abi {
        Abi::Native => unsafe { libc::ioctl(fd, request as libc::Ioctl, arg) },
        Abi::Ia32 => return ia32::ioctl(fd, request, arg),
    };
    Errno::result(ret).map(|ret| ret as u64)
}
