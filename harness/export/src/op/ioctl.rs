//! `ioctl(2)`.

use case::{Check, Layout};
use wire::{Abi, Arg, IoctlOp, Save};

use crate::{
    argument::{self, argument},
    buffer::Buffer,
    call::{Call, Caller, Data},
};

impl Caller<'_> {
    pub fn ioctl(&self, op: &IoctlOp, check: &Check) -> Result<Call, String> {
        let IoctlOp {
            fd,
            request,
            arg,
            save,
            save_ret,
            abi,
        } = op;
        let request = argument::request(*request, check.layout, &check.label);
        let mut given = argument(arg, check.layout, self.placeholders, self.words)?;
        let takes_value = uapi::ioctl(&request)
            .is_some_and(|ioctl| matches!(ioctl.arg, uapi::Arg::None | uapi::Arg::Value));
        if takes_value && given.expression == "NULL" {
            "0UL".clone_into(&mut given.expression);
        }
        let (fd, given_as) = (self.fd(fd)?, &given.expression);
        let mut call = Call::new(match (abi, arg, check.layout) {
            (Abi::Native, _, _) => format!("ioctl({fd}, {request}, {given_as})"),
            (Abi::Ia32, Arg::Value(_), _) => format!("ia32_call({fd}, {request}, {given_as})"),
            (Abi::Ia32, Arg::Buffer { .. }, Layout::Text) => {
                format!("ioctl_ia32({fd}, {request}, (void *){given_as}, strlen({given_as}) + 1)")
            }
            (Abi::Ia32, Arg::Buffer { bytes, .. }, _) => {
                format!("ioctl_ia32({fd}, {request}, {given_as}, {})", bytes.len())
            }
        });
        call.declarations = given.declarations;
        call.statements = given.statements;
        call.returns_slot = save_ret.as_ref().map(|slot| slot.0.clone());
        if let Some(buffer) = given.buffer {
            call.saves = self.saves(&buffer, &given.memory, given.length, save)?;
            call.data = Data::Struct {
                buffer,
                memory: given.memory,
                length: given.length,
                fetch: given.fetch,
            };
        } else if !save.is_empty() {
            return Err("fields to save of a call without a struct".to_owned());
        }
        Ok(call)
    }

    /// Returns the statements that save fields.
    pub fn saves(
        &self,
        buffer: &Buffer,
        memory: &str,
        length: usize,
        save: &[Save],
    ) -> Result<Vec<String>, String> {
        let mut statements = Vec::new();
        for one in save {
            let Some(variable) = self.words.variables.name(&one.slot) else {
                continue;
            };
            let width = one.width.bytes();
            if one.offset + width > length {
                return Err(format!(
                    "`{variable}`, a field to save behind the end of the struct"
                ));
            }
            let from = buffer.number(one.offset, width).unwrap_or_else(|| {
                let offset = one.offset;
                format!("little_endian((unsigned char *){memory} + {offset}, {width})")
            });
            statements.push(format!("{variable} = {from};"));
        }
        Ok(statements)
    }
}
