//! `ioctl(2)`.

use serde::{Deserialize, Serialize};

use crate::{
    Fd, Patch, Returned, Save, Value,
    operand::{Operand, Use},
};

/// `ioctl(2)`; the outcome has the argument buffer after the call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IoctlOp {
    /// On which descriptor.
    pub fd: Fd,
    /// Number of the request: the second argument of `ioctl(2)`.
    pub request: u32,
    /// The third argument of `ioctl(2)`.
    pub arg: Arg,
    /// Values to take out of the buffer on success.
    pub save: Vec<Save>,
    /// Receives the return value on success.
    pub save_ret: Option<Returned>,
    /// How the process calls the kernel.
    pub abi: Abi,
}

/// A way into the kernel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Abi {
    /// That of the process.
    #[default]
    Native,
    /// That of a 32-bit program: `int 0x80`, for which the kernel takes every process as one. The
    /// argument is below 4 GiB.
    Ia32,
}

impl Operand for IoctlOp {
    fn visit<'a>(&'a self, uses: &mut Vec<Use<'a>>) {
        self.fd.visit(uses);
        match &self.arg {
            Arg::Value(value) => value.visit(uses),
            Arg::Buffer { patches, .. } => patches.visit(uses),
        }
        self.save.visit(uses);
        self.save_ret.visit(uses);
    }
}

/// Third argument of an ioctl.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arg {
    /// The value itself: an integer, no argument, or a bad pointer.
    Value(Value),
    /// Pointer to a buffer that ends at the end of a mapping, so that a kernel that reads or writes
    /// further gets EFAULT.
    Buffer {
        /// Contents before the call, without the patches.
        bytes: Vec<u8>,
        /// Values only the guest knows.
        patches: Vec<Patch>,
        /// Map the buffer without write permission: copy-out faults.
        read_only: bool,
    },
}
