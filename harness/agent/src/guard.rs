//! Loads and stores that may fault. A fault is returned instead of killing the process.
//!
//! A vfio mapping can be revoked while it is in use, and then every access raises SIGBUS. The
//! accesses are in one block of assembly. The signal handler recognizes an instruction pointer in
//! the block and returns from the access with the signal number as result.

use std::arch::global_asm;

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use wire::Width;

#[cfg(target_arch = "x86_64")]
global_asm!(
    ".globl conf_guard_begin, conf_guard_end, conf_guard_landing",
    ".globl conf_load1, conf_load2, conf_load4, conf_load8",
    ".globl conf_store1, conf_store2, conf_store4, conf_store8",
    // extern "C" fn(address: rdi, into: rsi) -> signal
    "conf_guard_begin:",
    "conf_load1: movzx eax, byte ptr [rdi]",
    "mov [rsi], rax",
    "xor eax, eax",
    "ret",
    "conf_load2: movzx eax, word ptr [rdi]",
    "mov [rsi], rax",
    "xor eax, eax",
    "ret",
    "conf_load4: mov eax, [rdi]",
    "mov [rsi], rax",
    "xor eax, eax",
    "ret",
    "conf_load8: mov rax, [rdi]",
    "mov [rsi], rax",
    "xor eax, eax",
    "ret",
    // extern "C" fn(address: rdi, value: rsi) -> signal
    "conf_store1: mov [rdi], sil",
    "xor eax, eax",
    "ret",
    "conf_store2: mov [rdi], si",
    "xor eax, eax",
    "ret",
    "conf_store4: mov [rdi], esi",
    "xor eax, eax",
    "ret",
    "conf_store8: mov [rdi], rsi",
    "xor eax, eax",
    "ret",
    "conf_guard_end:",
    "conf_guard_landing: ret",
);

type LoadFn = unsafe extern "C" fn(u64, *mut u64) -> i32;
type StoreFn = unsafe extern "C" fn(u64, u64) -> i32;

unsafe extern "C" {
    fn conf_guard_begin();
    fn conf_guard_end();
    fn conf_guard_landing();
    fn conf_load1(at: u64, into: *mut u64) -> i32;
    fn conf_load2(at: u64, into: *mut u64) -> i32;
    fn conf_load4(at: u64, into: *mut u64) -> i32;
    fn conf_load8(at: u64, into: *mut u64) -> i32;
    fn conf_store1(at: u64, value: u64) -> i32;
    fn conf_store2(at: u64, value: u64) -> i32;
    fn conf_store4(at: u64, value: u64) -> i32;
    fn conf_store8(at: u64, value: u64) -> i32;
}

/// The signal that an access raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raised(pub i32);

/// One load of `width` at any address.
pub fn load(at: u64, width: Width) -> Result<u64, Raised> {
    let function: LoadFn = match width {
        Width::W1 => conf_load1,
        Width::W2 => conf_load2,
        Width::W4 => conf_load4,
        Width::W8 => conf_load8,
    };
    let mut value = 0;
    // SAFETY: a bad address ends in the handler, which returns a signal number from here.
    match unsafe { function(at, &raw mut value) } {
        0 => Ok(value),
        signal => Err(Raised(signal)),
    }
}

/// One store of `width` at any address.
///
/// The address must not belong to memory that Rust owns.
pub fn store(at: u64, width: Width, value: u64) -> Result<(), Raised> {
    let function: StoreFn = match width {
        Width::W1 => conf_store1,
        Width::W2 => conf_store2,
        Width::W4 => conf_store4,
        Width::W8 => conf_store8,
    };
    // SAFETY: as for `load`; plans only name memory that they mapped themselves.
    match unsafe { function(at, value) } {
        0 => Ok(()),
        signal => Err(Raised(signal)),
    }
}

/// Catches the signals of bad accesses in this process.
pub fn install() -> nix::Result<()> {
    let action = SigAction::new(
        SigHandler::SigAction(on_fault),
        SaFlags::SA_NODEFER,
        SigSet::empty(),
    );
    for signal in [Signal::SIGSEGV, Signal::SIGBUS] {
        // SAFETY: the handler touches nothing but its context.
        unsafe { sigaction(signal, &action)? };
    }
    Ok(())
}

#[cfg(target_arch = "x86_64")]
extern "C" fn on_fault(signal: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel hands a SA_SIGINFO handler a valid ucontext.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let registers = &mut context.uc_mcontext.gregs;
    let at = registers[libc::REG_RIP as usize] as usize;
    let guarded = conf_guard_begin as *const () as usize..conf_guard_end as *const () as usize;
    if guarded.contains(&at) {
        registers[libc::REG_RAX as usize] = i64::from(signal);
        registers[libc::REG_RIP as usize] = conf_guard_landing as *const () as usize as i64;
        return;
    }
    // A bug of the agent: let the access fault again, without a handler.
    // SAFETY: plain signal(2).
    unsafe { libc::signal(signal, libc::SIG_DFL) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_a_value() {
        install().unwrap();
        assert_eq!(load(16, Width::W4), Err(Raised(libc::SIGSEGV)));
        assert_eq!(store(16, Width::W8, 1), Err(Raised(libc::SIGSEGV)));
        let word = 0x1122_3344_5566_7788_u64;
        let at = &raw const word as u64;
        assert_eq!(load(at, Width::W8), Ok(word));
        assert_eq!(load(at, Width::W2), Ok(0x7788));
    }
}
