//! The expectations of an op as statements.

use case::{Expect, FieldWant, Want, WantData, WantEnd};
use wire::Value;

use crate::{
    buffer::{Buffer, Words},
    call::{Call, Data, End},
    number::{errno, plain},
    placeholders::Placeholders,
    text,
};

/// Writes checks.
#[derive(Debug, Clone, Copy)]
pub struct Checker<'a> {
    /// The meanings of names.
    pub placeholders: &'a Placeholders,
    /// Names of numbers and variables.
    pub words: Words<'a>,
}

impl Checker<'_> {
    /// The check of how a call ends, around its expression.
    pub fn end(&self, want: &WantEnd, end: End, seen: &str) -> Result<String, String> {
        Ok(match (end, want) {
            (End::Errno, WantEnd::Success) => format!("want_success({seen});"),
            (End::Errno, WantEnd::Errno(number)) => {
                format!("WANT_ERRNO({seen}, {});", errno_name(*number)?)
            }
            (End::Errno, WantEnd::Refused) => format!("want_refused({seen});"),
            (End::Signal, WantEnd::Success) => format!("want_signal({seen}, 0);"),
            (End::Signal, WantEnd::Signal(number)) => {
                format!("want_signal({seen}, {});", signal_name(*number)?)
            }
            (End::Dma, want) => {
                let condition = self.dma(want, seen)?;
                let words = text::literal(&ending(want)?);
                format!("if (!{condition})\n\tfail({words}, \"%s\", dma_text({seen}));")
            }
            _ => return Err(format!("this call cannot end with {want:?}")),
        })
    }

    fn dma(&self, want: &WantEnd, seen: &str) -> Result<String, String> {
        match want {
            WantEnd::Lands { signature } => {
                let device = self
                    .placeholders
                    .signs(signature)
                    .ok_or("a device of unknown signature")?;
                Ok(format!("landed({seen}, {}_serial)", device.variable))
            }
            WantEnd::Blocked => Ok(format!("blocked({seen})")),
            other => Err(format!("a DMA does not end with {other:?}")),
        }
    }

    /// Returns the condition that a call has ended in this way.
    pub fn condition(&self, want: &WantEnd, end: End, seen: &str) -> Result<String, String> {
        Ok(match (end, want) {
            (End::Errno, WantEnd::Success) => format!("{seen} != -1"),
            (End::Errno, WantEnd::Errno(number)) => {
                format!("{seen} == -1 && errno == {}", errno_name(*number)?)
            }
            (End::Errno, WantEnd::Refused) => format!("{seen} == -1"),
            (End::Signal, WantEnd::Success) => format!("{seen} == 0"),
            (End::Signal, WantEnd::Signal(number)) => {
                format!("{seen} == {}", signal_name(*number)?)
            }
            (End::Dma, want) => self.dma(want, seen)?,
            _ => return Err(format!("this call cannot end with {want:?}")),
        })
    }

    /// Returns the checks of the return value and the data of a call.
    pub fn rest(&self, expect: &Expect, call: &Call) -> Result<Vec<String>, String> {
        let mut lines = Vec::new();
        let failed = matches!(expect.end, WantEnd::Errno(_) | WantEnd::Refused);
        match (&expect.returns, &expect.end) {
            (None, _) => {}
            (Some(want), WantEnd::Success) => {
                let seen = call.returned.as_deref().unwrap_or("ret");
                lines.push(self.want("return value", seen, want, plain)?);
            }
            (Some(Want::Is(Value::Const(0))), _) => {}
            (Some(_), _) => return Err("an expected return value of a call that fails".to_owned()),
        }
        match &call.data {
            Data::Struct {
                buffer,
                memory,
                length,
                fetch,
            } => {
                if !expect.fields.is_empty() {
                    lines.extend(fetch.clone());
                }
                for field in &expect.fields {
                    lines.extend(self.field(field, buffer, memory, *length)?);
                }
                if expect.data != WantData::Anything {
                    return Err("expected bytes of a struct".to_owned());
                }
            }
            _ if !expect.fields.is_empty() => {
                return Err("expected fields of a call without a \
                struct"
                    .to_owned());
            }
            Data::Bytes { pointer, length } if !failed => {
                lines.extend(self.data(&expect.data, pointer, length)?);
            }
            _ if expect.data != WantData::Anything => {
                return Err("expected bytes of a call without data".to_owned());
            }
            _ => {}
        }
        Ok(lines)
    }

    fn want(
        &self,
        name: &str,
        seen: &str,
        want: &Want,
        shown: impl Fn(u64) -> String,
    ) -> Result<String, String> {
        let name = text::literal(name);
        let value = |value: &Value| match value {
            Value::Const(number) => match self.placeholders.group_number(*number) {
                Some(variable) => Ok(variable.to_owned()),
                None => Ok(shown(*number)),
            },
            value => self.words.value(value),
        };
        Ok(match want {
            Want::Is(wanted) => format!("want_equal({name}, {seen}, {});", value(wanted)?),
            Want::Not(unwanted) => format!("want_other({name}, {seen}, {});", value(unwanted)?),
            Want::Has(bits) => format!("want_bits({name}, {seen}, {});", shown(*bits)),
            Want::Lacks(bits) => format!("want_no_bits({name}, {seen}, {});", shown(*bits)),
        })
    }

    fn field(
        &self,
        want: &FieldWant,
        buffer: &Buffer,
        memory: &str,
        length: usize,
    ) -> Result<Vec<String>, String> {
        let field = want.field;
        let start = want.base + field.offset as usize;
        if start + field.width.bytes() as usize > length {
            return Err(format!(
                "an expected field {} behind the end of its struct",
                field.name
            ));
        }
        let shown = |value| self.words.numbers.field(field, value);
        if let Some(seen) = buffer.field(want.base, field) {
            return Ok(vec![self.want(field.name, &seen, &want.want, shown)?]);
        }
        let seen = match (memory.starts_with('&'), owner(field)) {
            (false, Some(of)) => {
                let base = plain(want.base as u64);
                let pointer = format!("(struct {of} *)((char *){memory} + {base})");
                format!("({pointer})->{}", field.name)
            }
            _ if field.signed => {
                return Err(format!("a signed field {} of another struct", field.name));
            }
            _ => {
                let width = field.width.bytes();
                format!("little_endian((unsigned char *){memory} + {start}, {width})")
            }
        };
        Ok(vec![self.want(field.name, &seen, &want.want, shown)?])
    }

    fn data(&self, want: &WantData, pointer: &str, length: &str) -> Result<Vec<String>, String> {
        Ok(vec![match want {
            WantData::Anything => return Ok(Vec::new()),
            WantData::All(byte) => {
                format!("want_all({pointer}, {length}, {});", plain((*byte).into()))
            }
            WantData::Changed(byte) => {
                format!(
                    "want_changed({pointer}, {length}, {});",
                    plain((*byte).into())
                )
            }
            WantData::Bytes(bytes) => {
                let shown: Vec<_> = bytes.iter().map(|byte| plain((*byte).into())).collect();
                let shown = shown.join(", ");
                let array = format!("(const unsigned char[]){{ {shown} }}");
                format!("want_bytes({pointer}, {length}, {array}, {});", bytes.len())
            }
            WantData::Number(want) => {
                let seen = format!("little_endian({pointer}, {length})");
                self.want("value", &seen, want, plain)?
            }
            WantData::Text(wanted) => {
                let wanted = self.placeholders.text(wanted.trim());
                format!("want_text({pointer}, {length}, {wanted});")
            }
            WantData::Word(word) => {
                format!(
                    "want_word({pointer}, {length}, {});",
                    self.placeholders.text(word)
                )
            }
            WantData::Length(wanted) => {
                format!("want_equal(\"number of bytes\", {length}, {wanted});")
            }
        }])
    }
}

/// Name of the struct that a field belongs to.
fn owner(field: &'static uapi::Field) -> Option<&'static str> {
    let own =
        |layout: &&&uapi::Struct| layout.fields.iter().any(|known| std::ptr::eq(known, field));
    uapi::structs().iter().find(own).map(|layout| layout.name)
}

/// Describes how something ends.
pub fn ending(end: &WantEnd) -> Result<String, String> {
    Ok(match end {
        WantEnd::Success => "success".to_owned(),
        WantEnd::Errno(number) => errno_name(*number)?.to_owned(),
        WantEnd::Refused => "an errno".to_owned(),
        WantEnd::Signal(number) => signal_name(*number)?.to_owned(),
        WantEnd::Lands { .. } => "DMA lands".to_owned(),
        WantEnd::Blocked => "DMA is blocked".to_owned(),
    })
}

/// Name of an error number, as C has it.
pub fn errno_name(number: i32) -> Result<String, String> {
    // Errnos of 512 and above are internal to the kernel and not in headers of user space.
    match errno(number) {
        Some(name) if number < 512 => Ok(name.to_owned()),
        _ => Ok(number.to_string()),
    }
}

fn signal_name(number: i32) -> Result<&'static str, String> {
    match number {
        7 => Ok("SIGBUS"),
        11 => Ok("SIGSEGV"),
        other => Err(format!("signal {other}")),
    }
}
