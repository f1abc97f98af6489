//! Processes, their rights and limits.

use wire::{ProcessOp, Resource};

use crate::{
    call::{Call, Caller, variable},
    number::plain,
    text,
};

impl Caller<'_> {
    pub fn process(&self, op: &ProcessOp) -> Result<Call, String> {
        Ok(match op {
            ProcessOp::Fork { process } => {
                Call::new(format!("fork_process(&{})", variable(process)))
            }
            ProcessOp::Exit { process } => {
                Call::new(format!("end_process(&{})", variable(process)))
            }
            ProcessOp::UffdBlock { at, length, save } => {
                let call = format!("uffd_block({}, {})", self.value(at)?, plain(*length));
                Call::new(call).saving(&save.0)
            }
            ProcessOp::WaitFault {
                process,
                uffd,
                timeout,
                save,
            } => {
                let (process, uffd) = (variable(process), self.fd(uffd)?);
                let call = format!("wait_fault(&{process}, {uffd}, {})", timeout.0);
                Call::new(call).saving(&save.0)
            }
            ProcessOp::UffdResume { process, uffd, at } => {
                let (process, uffd) = (variable(process), self.fd(uffd)?);
                Call::new(format!(
                    "uffd_resume(&{process}, {uffd}, {})",
                    self.value(at)?
                ))
            }
            ProcessOp::WaitBlocked { process, timeout } => Call::new(format!(
                "wait_blocked(&{}, {})",
                variable(process),
                timeout.0
            )),
            ProcessOp::Interrupt { process } => {
                Call::new(format!("interrupt(&{})", variable(process)))
            }
            ProcessOp::Capability { number, effective } => {
                let name = capability(*number).ok_or("an unknown capability")?;
                Call::new(format!("capability({name}, {})", u8::from(*effective)))
            }
            ProcessOp::Rlimit { resource, limit } => {
                let name = match resource {
                    Resource::Memlock => "RLIMIT_MEMLOCK",
                    Resource::Nofile => "RLIMIT_NOFILE",
                };
                Call::new(format!("soft_limit({name}, {})", plain(*limit)))
            }
            ProcessOp::User { id } => Call::new(format!("become_user({id})")),
            ProcessOp::LockedVm { counter } => {
                Call::new(format!("locked_vm({})", text::literal(counter.name())))
            }
            ProcessOp::Program { .. } => return Err("a program of the guest".to_owned()),
            ProcessOp::Fault { .. } => {
                return Err("a fault for the tests of the harness".to_owned());
            }
        })
    }
}

/// Names of `linux/capability.h`.
fn capability(number: u8) -> Option<&'static str> {
    match number {
        14 => Some("CAP_IPC_LOCK"),
        17 => Some("CAP_SYS_RAWIO"),
        21 => Some("CAP_SYS_ADMIN"),
        24 => Some("CAP_SYS_RESOURCE"),
        _ => None,
    }
}
