//! Ioctls that the kernel under test does not know.

use uapi::{FdKind, Ioctl};
use wire::{Abi, Arg, IoctlOp};

use crate::{
    build::Builder,
    expect::{Expect, Layout},
    input::{Ends, SlotName, Word, body, words},
    role::RoleBindings,
    steps::Action,
};

words!(FdKind);

impl Word for FdKind {
    const WHAT: &'static str = "kind of descriptor";
    const ALL: &'static [(&'static str, Self)] =
        &[("iommu", Self::Iommu), ("device", Self::Device)];
}

body! {
    /// `unknown_ioctls: {on: iommu, of: iommu, errno: ENOTTY}`
    pub struct UnknownIoctls in "unknown_ioctls" {
        /// The descriptor to call.
        on: SlotName,
        /// What the descriptor is.
        of: FdKind,
        /// How each call ends.
        errno: Ends,
    }
}

impl Action for UnknownIoctls {
    fn label(&self) -> String {
        format!("unknown ioctls on {}", self.on)
    }

    /// Each ioctl of the tables that came after the kernel, and the lowest number that neither
    /// the tables nor the kernel have. So a kernel is asked for the same whatever its age, and the
    /// case has no row for what a kernel knows.
    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        for ioctl in uapi::ioctls()
            .iter()
            .filter(|ioctl| self.lacks(to.roles, ioctl))
        {
            let name = format!("{} of {}", ioctl.name, ioctl.since());
            let bytes = ioctl.layout().map_or(0, |layout| layout.size);
            let op = self.call(to, &name, ioctl.request, bytes);
            to.push_for_older(op, self.expect(), Layout::Nothing);
        }
        if let Some(next) = self.next(to.roles) {
            // Not by its number, which is another one on a kernel that is newer than the tables.
            let op = self.call(to, "the first ioctl without a name", next, 0);
            to.push(op, self.expect(), Layout::Nothing);
        }
        Ok(())
    }
}

impl UnknownIoctls {
    fn lacks(&self, roles: &RoleBindings<'_>, ioctl: &Ioctl) -> bool {
        ioctl.on == self.of && roles.need_ioctl(ioctl).is_err()
    }

    fn next(&self, roles: &RoleBindings<'_>) -> Option<u32> {
        let own = uapi::ioctls().iter().filter(|ioctl| ioctl.on == self.of);
        // The mock's number is far behind the others.
        let own = own.filter(|ioctl| ioctl.source != uapi::MOCK_H);
        let last = own.map(|ioctl| ioctl.request).max()?;
        (last + 1..).find(|request| !roles.knows_request(self.of, *request))
    }

    fn expect(&self) -> Expect {
        Expect::ending(self.errno.0.clone())
    }

    /// Returns a call with a struct of so many bytes, after the step is named like it.
    fn call(&self, to: &mut Builder<'_>, name: &str, request: u32, bytes: u32) -> IoctlOp {
        let label = format!("{name} on {}", self.on);
        to.begin(to.step(), label, to.place());
        // A kernel that knew it would read the size in the first field, and then zeros.
        let bytes = bytes.max(4);
        let mut argument = vec![0; bytes as usize];
        for (to, from) in argument.iter_mut().zip(bytes.to_le_bytes()) {
            *to = from;
        }
        IoctlOp {
            fd: self.on.fd(),
            request,
            arg: Arg::Buffer {
                bytes: argument,
                patches: Vec::new(),
                read_only: false,
            },
            save: Vec::new(),
            save_ret: None,
            abi: Abi::Native,
        }
    }
}
