//! Calls of the kernel as a 32-bit program makes them.

use std::{arch::asm, os::fd::RawFd};

use nix::errno::Errno;

/// Number of `ioctl(2)` for 32-bit programs.
const IOCTL: u32 = 54;
/// Results from here on are errnos.
const FIRST_ERRNO: i32 = -4095;

/// `ioctl(2)` by `int 0x80`. The kernel needs CONFIG_IA32_EMULATION; without it the process gets
/// SIGSEGV.
///
/// # Errors
/// The errno of the call; EFAULT for an argument that does not have 32 bits.
pub fn ioctl(fd: RawFd, request: u32, arg: u64) -> nix::Result<u64> {
    let arg = u32::try_from(arg).map_err(|_| Errno::EFAULT)?;
    let ret: i32;
    // SAFETY: a system call, which keeps all registers but those named. The compiler reserves rbx,
    // so it is exchanged. Memory is as for any ioctl: see the caller.
    unsafe {
        asm!(
            "xchg {fd:r}, rbx",
            "int 0x80",
            "xchg {fd:r}, rbx",
            fd = inout(reg) u64::from(fd as u32) => _,
            inlateout("eax") IOCTL => ret,
            in("ecx") request,
            in("edx") arg,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _,
        );
    }
    match ret {
        FIRST_ERRNO..0 => Err(Errno::from_raw(-ret)),
        ret => Ok(ret as u64),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn an_argument_above_4_gib_is_refused() {
        let refused = super::ioctl(0, 0, 1 << 32);
        assert_eq!(refused, Err(nix::errno::Errno::EFAULT));
    }
}
