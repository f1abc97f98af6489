//! One op as one expression of C.

use case::{Check, Layout, WantData};
use wire::{
    Access, Account, Chain, HostAction, Location, Memory, Op, OpenFlags, Patch, Resource, Save,
    Value, Width,
};

use crate::{
    argument::{self, argument},
    buffer::{Buffer, Words},
    number::{offset, plain},
    stage::Stage,
    text,
};

/// How an expression tells its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// -1, and `errno`.
    Errno,
    /// A signal, or 0.
    Signal,
    /// `struct dma`.
    Dma,
}

/// What an op leaves to be looked at.
#[derive(Debug, Default)]
pub enum Data {
    /// Nothing.
    #[default]
    Nothing,
    /// A struct.
    Struct {
        /// The variable.
        buffer: Buffer,
        /// Pointer to what the kernel was given.
        memory: String,
        /// Bytes of it that are there.
        length: usize,
        /// How the variable gets them.
        fetch: Option<String>,
    },
    /// Bytes.
    Bytes {
        /// Pointer to them.
        pointer: String,
        /// How many.
        length: String,
    },
}

/// One op.
#[derive(Debug)]
pub struct Call {
    /// Declarations, with what they hold.
    pub declarations: Vec<String>,
    /// Statements before the call.
    pub statements: Vec<String>,
    /// The call.
    pub expression: String,
    /// How it ends.
    pub end: End,
    /// What stands for the return value.
    pub returned: Option<String>,
    /// What it leaves.
    pub data: Data,
    /// The slot that gets its return value.
    pub returns_slot: Option<String>,
    /// Statements that keep what is in the data.
    pub saves: Vec<String>,
}

impl Call {
    fn new(expression: String) -> Self {
        Self {
            declarations: Vec::new(),
            statements: Vec::new(),
            expression,
            end: End::Errno,
            returned: None,
            data: Data::Nothing,
            returns_slot: None,
            saves: Vec::new(),
        }
    }

    fn saving(self, slot: &str) -> Self {
        Self {
            returns_slot: Some(slot.to_owned()),
            ..self
        }
    }
}

/// Writes calls.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// What names stand for.
    pub stage: &'a Stage,
    /// Names of numbers and variables.
    pub words: Words<'a>,
}

impl Caller<'_> {
    /// The op as an expression.
    ///
    /// # Errors
    /// When it has no counterpart in C.
    pub fn call(&self, op: &Op, check: &Check) -> Result<Call, String> {
        let stage = self.stage;
        Ok(match op {
            Op::Open { at, flags, save } => {
                let flags = open_flags(*flags);
                let path = self.location(at)?;
                Call::new(format!("open({path}, {flags} | O_CLOEXEC)")).saving(save)
            }
            Op::Close { fd } => Call::new(format!("close({})", self.value(fd)?)),
            Op::Ioctl { .. } => self.ioctl(op, check)?,
            Op::Alloc {
                memory,
                length,
                fill,
                save,
            } => Call::new(alloc(*memory, *length, *fill)).saving(save),
            Op::Mmap {
                fd,
                offset,
                length,
                access,
                save,
            } => {
                let (access, kind) = access_flags(*access);
                let (fd, offset) = (self.value(fd)?, self.offset(offset)?);
                let length = plain(*length);
                Call::new(format!(
                    "(long)mmap(NULL, {length}, {access}, {kind}, {fd}, {offset})"
                ))
                .saving(save)
            }
            Op::Munmap { at, length } => {
                let at = self.address(at)?;
                Call::new(format!("munmap({at}, {})", plain(*length)))
            }
            Op::Load { at, width } => {
                let (at, width) = (self.value(at)?, width.bytes());
                let value = self.words.slots.fresh("value");
                Call {
                    declarations: vec![format!("__u64 {value} = 0;")],
                    end: End::Signal,
                    returned: Some(value.clone()),
                    ..Call::new(format!("load({at}, {width}, &{value})"))
                }
            }
            Op::Store { at, width, value } => {
                let (at, value) = (self.value(at)?, self.value(value)?);
                Call {
                    end: End::Signal,
                    ..Call::new(format!("store({at}, {}, {value})", width.bytes()))
                }
            }
            Op::Peek { at, length, save } => self.peek(at, *length, save, check)?,
            Op::Read { fd, into, length } => Call::new(format!(
                "read({}, {}, {})",
                self.value(fd)?,
                self.address(into)?,
                plain(*length)
            )),
            Op::Write { fd, from, length } => Call::new(format!(
                "write({}, {}, {})",
                self.value(fd)?,
                self.address(from)?,
                plain(*length)
            )),
            Op::Pread {
                fd,
                offset,
                length,
                save,
            } => self.pread(fd, offset, *length, save.as_deref())?,
            Op::Pwrite {
                fd,
                offset,
                bytes,
                patches,
            } => self.pwrite(fd, offset, bytes, patches)?,
            Op::Transfer {
                fd,
                write,
                offset,
                length,
                at,
            } => {
                let name = if *write { "pwrite" } else { "pread" };
                let (fd, offset) = (self.value(fd)?, self.offset(offset)?);
                let at = self.address(at)?;
                Call::new(format!("{name}({fd}, {at}, {}, {offset})", plain(*length)))
            }
            Op::PciCapability {
                fd,
                id,
                chain,
                save,
            } => {
                let extended = *chain == Chain::Extended;
                let id = capability_name(*id, extended);
                let fd = self.value(fd)?;
                let extended = u8::from(extended);
                Call::new(format!("pci_capability({fd}, {id}, {extended})")).saving(save)
            }
            Op::ReadFile { at } => {
                let path = self.location(at)?;
                self.bytes("unsigned char", 4096, |bytes, length| {
                    format!("read_file({path}, {bytes}, {length})")
                })
            }
            Op::WriteFile { at, text } => {
                let (path, text) = (self.location(at)?, stage.text(text));
                Call::new(format!("write_file({path}, {text})"))
            }
            Op::AwaitFile {
                at,
                text,
                timeout_ms,
            } => {
                let (path, text) = (self.location(at)?, stage.text(text));
                self.bytes("unsigned char", 4096, |bytes, length| {
                    format!("await_file({path}, {text}, {timeout_ms}, {bytes}, {length})")
                })
            }
            Op::ReadDevice {
                path,
                length,
                timeout_ms,
            } => {
                let path = stage.text(path);
                self.bytes("unsigned char", *length, |bytes, length| {
                    format!("read_device({path}, {bytes}, {length}, {timeout_ms})")
                })
            }
            Op::Driver { device, driver } => {
                let device = stage.device(device);
                Call::new(format!(
                    "driver({device}, {})",
                    name_or_null(driver.as_deref())
                ))
            }
            Op::Arrive {
                device,
                driver,
                timeout_ms,
            } => {
                let device = stage.device(device);
                let driver = name_or_null(driver.as_deref());
                Call::new(format!("arrive({device}, {driver}, {timeout_ms})"))
            }
            Op::Await {
                path,
                there,
                timeout_ms,
            } => {
                let path = stage.text(path);
                Call::new(format!("await_path({path}, {there}, {timeout_ms})"))
            }
            Op::Phys { at, save } => Call::new(format!("phys({})", self.value(at)?)).saving(save),
            Op::Dma {
                device,
                engine: wire::Engine::Nvme,
                iova,
                watch,
            } => {
                let device = stage.device(device);
                let (iova, watch) = (self.value(iova)?, self.value(watch)?);
                Call {
                    end: End::Dma,
                    ..Call::new(format!("dma({device}, {iova}, {watch})"))
                }
            }
            Op::Eventfd { save } => Call::new("eventfd(0, EFD_CLOEXEC)".to_owned()).saving(save),
            Op::Wait { fd, timeout_ms } => {
                Call::new(format!("wait_for({}, {timeout_ms})", self.value(fd)?))
            }
            Op::Events { fd, timeout_ms } => {
                Call::new(format!("take_events({}, {timeout_ms})", self.value(fd)?))
            }
            Op::Signal { fd } => Call::new(format!("signal_event({})", self.value(fd)?)),
            Op::Host(action) => Call::new(self.ask(action)),
            Op::Memfd {
                size,
                fill,
                seals,
                huge,
                save,
            } => {
                let fill = fill.map_or_else(|| "-1".to_owned(), |fill| plain(fill.into()));
                let flags = if *huge { "MFD_HUGETLB" } else { "0" };
                let (size, seals) = (plain(*size), seal_names(*seals));
                Call::new(format!("memory_file({size}, {fill}, {flags}, {seals})")).saving(save)
            }
            Op::Udmabuf {
                file,
                offset,
                size,
                save,
            } => {
                let (offset, size) = (plain(*offset), plain(*size));
                Call::new(format!("udmabuf({}, {offset}, {size})", self.value(file)?)).saving(save)
            }
            Op::Capability { number, effective } => {
                let name = capability(*number).ok_or("an unknown capability")?;
                Call::new(format!("capability({name}, {})", u8::from(*effective)))
            }
            Op::Limit { resource, limit } => {
                let name = match resource {
                    Resource::Memlock => "RLIMIT_MEMLOCK",
                    Resource::Nofile => "RLIMIT_NOFILE",
                };
                Call::new(format!("soft_limit({name}, {})", plain(*limit)))
            }
            Op::Account(account) => Call::new(account_line(*account)),
            Op::Fork { process } => Call::new(format!("fork_process(&{})", variable(process))),
            Op::Exit { process } => Call::new(format!("end_process(&{})", variable(process))),
            Op::Hold { at, length, save } => {
                Call::new(format!("hold({}, {})", self.value(at)?, plain(*length))).saving(save)
            }
            Op::Held {
                process,
                hold,
                timeout_ms,
                save,
            } => {
                let (process, hold) = (variable(process), self.value(hold)?);
                Call::new(format!("held(&{process}, {hold}, {timeout_ms})")).saving(save)
            }
            Op::Release { process, hold, at } => {
                let (process, hold) = (variable(process), self.value(hold)?);
                Call::new(format!("let_go(&{process}, {hold}, {})", self.value(at)?))
            }
            Op::Touch { at } => Call::new(format!("touch({})", self.value(at)?)),
            Op::Blocked {
                process,
                timeout_ms,
            } => Call::new(format!("asleep(&{}, {timeout_ms})", variable(process))),
            Op::Program { .. } => return Err("a program of the guest".to_owned()),
            Op::Fault(_) => return Err("a fault that tests the harness itself".to_owned()),
            Op::In { .. }
            | Op::Start { .. }
            | Op::Finish { .. }
            | Op::Repeat { .. }
            | Op::Together(_)
            | Op::FailNth(_) => return Err("a step within a step within a step".to_owned()),
        })
    }

    fn value(&self, value: &Value) -> Result<String, String> {
        self.words.value(value)
    }

    /// A value as a pointer.
    fn address(&self, value: &Value) -> Result<String, String> {
        match value {
            Value::Const(number) => Ok(format!("unknown_address({})", plain(*number))),
            Value::Slot { add: 0, .. } => Ok(format!("(void *){}", self.value(value)?)),
            Value::Slot { .. } => Ok(format!("(void *)({})", self.value(value)?)),
        }
    }

    fn offset(&self, value: &Value) -> Result<String, String> {
        match value {
            Value::Const(number) => Ok(offset(*number)),
            Value::Slot { add: 0, .. } => self.value(value),
            Value::Slot { name, add } => {
                let slot = Value::Slot {
                    name: name.clone(),
                    add: 0,
                };
                let slot = self.value(&slot)?;
                match *add {
                    add if add > u64::MAX / 2 => {
                        Ok(format!("{slot} - {}", plain(add.wrapping_neg())))
                    }
                    add => Ok(format!("{} + {slot}", offset(add))),
                }
            }
        }
    }

    /// Where something is, as an expression.
    ///
    /// # Errors
    /// When nothing saves what it is told by.
    pub fn location(&self, at: &Location) -> Result<String, String> {
        Ok(match at {
            Location::Path(path) => self.stage.text(path),
            Location::Descriptor(fd) => format!("text(\"/proc/self/fd/%d\", {})", self.value(fd)?),
            Location::Entry {
                directory,
                starts,
                prefix,
            } => {
                if let (Some((bus, device)), "") = (vfio_device(directory, prefix), starts.as_str())
                {
                    return Ok(format!(
                        "device_node(\"{bus}\", {})",
                        self.stage.text(device)
                    ));
                }
                let directory = self.stage.text(directory);
                let (starts, prefix) = (text::literal(starts), text::literal(prefix));
                format!("entry({directory}, {starts}, {prefix})")
            }
            Location::Link { link, prefix } => {
                let link = self.stage.text(link);
                format!("link_target({link}, {})", text::literal(prefix))
            }
        })
    }

    fn ioctl(&self, op: &Op, check: &Check) -> Result<Call, String> {
        let Op::Ioctl {
            fd,
            request,
            arg,
            save,
            save_ret,
        } = op
        else {
            return Err("no ioctl".to_owned());
        };
        let request = argument::request(*request, check.layout, &check.label);
        let mut given = argument(arg, check.layout, self.stage, self.words)?;
        let takes_value = uapi::ioctl(&request)
            .is_some_and(|ioctl| matches!(ioctl.arg, uapi::Arg::None | uapi::Arg::Value));
        if takes_value && given.expression == "NULL" {
            "0UL".clone_into(&mut given.expression);
        }
        let mut call = Call::new(format!(
            "ioctl({}, {request}, {})",
            self.value(fd)?,
            given.expression
        ));
        call.declarations = given.declarations;
        call.statements = given.statements;
        call.returns_slot.clone_from(save_ret);
        if let Some(buffer) = given.buffer {
            call.saves = self.saves(&buffer, &given.memory, given.length, save)?;
            call.data = Data::Struct {
                buffer,
                memory: given.memory,
                length: given.length,
                fetch: given.fetch,
            };
        } else if !save.is_empty() {
            return Err("fields of no struct that are to be kept".to_owned());
        }
        Ok(call)
    }

    /// Statements that keep fields.
    fn saves(
        &self,
        buffer: &Buffer,
        memory: &str,
        length: usize,
        save: &[Save],
    ) -> Result<Vec<String>, String> {
        let mut statements = Vec::new();
        for one in save {
            let Some(variable) = self.words.slots.name(&one.slot) else {
                continue;
            };
            let width = one.width.bytes();
            if one.offset + width > length {
                return Err(format!(
                    "`{variable}`, which lies behind the end of the struct"
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

    fn peek(&self, at: &Value, length: u64, save: &[Save], check: &Check) -> Result<Call, String> {
        let at = self.value(at)?;
        if let Layout::Struct(layout) = check.layout {
            let buffer = Buffer::empty(layout, "found", self.words.slots);
            let name = buffer.name.clone();
            let call = Call::new(format!(
                "peek({at}, (unsigned char *)&{name}, sizeof({name}))"
            ));
            return Ok(Call {
                declarations: vec![buffer.declaration.clone()],
                end: End::Signal,
                saves: self.saves(&buffer, &format!("&{name}"), buffer.length, save)?,
                data: Data::Struct {
                    memory: format!("&{name}"),
                    length: buffer.length,
                    buffer,
                    fetch: None,
                },
                ..call
            });
        }
        if !save.is_empty() {
            return Err("fields of no struct that are to be kept".to_owned());
        }
        let call = self.bytes("unsigned char", length, |bytes, length| {
            format!("peek({at}, {bytes}, {length})")
        });
        let Data::Bytes { pointer, .. } = &call.data else {
            return Err("bytes of no length".to_owned());
        };
        Ok(Call {
            end: End::Signal,
            data: Data::Bytes {
                length: format!("sizeof({pointer})"),
                pointer: pointer.clone(),
            },
            ..call
        })
    }

    /// A call that fills an array and returns how much of it.
    fn bytes(&self, of: &str, length: u64, call: impl FnOnce(&str, &str) -> String) -> Call {
        let name = self.words.slots.fresh("bytes");
        // Not on the stack, where it is long.
        let storage = if length > 0x10000 { "static " } else { "" };
        Call {
            declarations: vec![format!("{storage}{of} {name}[{}];", plain(length))],
            data: Data::Bytes {
                pointer: name.clone(),
                length: "ret".to_owned(),
            },
            ..Call::new(call(&name, &format!("sizeof({name})")))
        }
    }

    fn pread(
        &self,
        fd: &Value,
        offset: &Value,
        length: u64,
        save: Option<&str>,
    ) -> Result<Call, String> {
        let (fd, offset) = (self.value(fd)?, self.offset(offset)?);
        let mut call = self.bytes("unsigned char", length, |bytes, length| {
            format!("pread({fd}, {bytes}, {length}, {offset})")
        });
        if let (Some(variable), Data::Bytes { pointer, .. }) = (
            save.and_then(|slot| self.words.slots.name(slot)),
            &call.data,
        ) {
            call.saves = vec![format!("{variable} = little_endian({pointer}, ret);")];
        }
        Ok(call)
    }

    fn pwrite(
        &self,
        fd: &Value,
        offset: &Value,
        bytes: &[u8],
        patches: &[Patch],
    ) -> Result<Call, String> {
        let (fd, offset) = (self.value(fd)?, self.offset(offset)?);
        let name = self.words.slots.fresh("value");
        let call = Call::new(format!("pwrite({fd}, &{name}, sizeof({name}), {offset})"));
        let declaration = match (patches, Width::of(bytes.len() as u64)) {
            ([patch], Some(width)) if patch.offset == 0 && patch.width == width => {
                let value = self.value(&patch.value)?;
                format!("__u{} {name} = {value};", width.bytes() * 8)
            }
            ([], Some(width)) => {
                let value = plain(wire::little_endian(bytes));
                format!("__u{} {name} = {value};", width.bytes() * 8)
            }
            ([], None) => {
                let bytes: Vec<_> = bytes.iter().map(|byte| plain((*byte).into())).collect();
                format!("unsigned char {name}[] = {{ {} }};", bytes.join(", "))
            }
            _ => return Err("bytes with values in between".to_owned()),
        };
        Ok(Call {
            declarations: vec![declaration],
            ..call
        })
    }

    fn ask(&self, action: &HostAction) -> String {
        let (before, device, after) = match action {
            HostAction::Unplug(id) => ("Unplug the device ", id, " (QEMU: device_del)"),
            HostAction::Plug(id) => ("Plug the device ", id, " in again (QEMU: device_add)"),
        };
        format!(
            "ask({})",
            self.stage.text(&format!("{before}{device}{after}"))
        )
    }
}

/// The bus and the device whose node is meant.
fn vfio_device<'a>(directory: &'a str, prefix: &str) -> Option<(&'a str, &'a str)> {
    let directory = directory.strip_prefix("/sys/bus/")?;
    let device = directory.strip_suffix("/vfio-dev")?;
    let (bus, device) = device.split_once("/devices/")?;
    // A function that a case creates has its slot behind the bus: that is more than a name.
    (prefix == "/dev/vfio/devices/").then_some((bus, device))
}

/// The variable of a process.
#[must_use]
pub fn variable(process: &str) -> String {
    format!("{process}_process")
}

fn open_flags(flags: OpenFlags) -> &'static str {
    match flags {
        OpenFlags::ReadWrite => "O_RDWR",
        OpenFlags::ReadOnly => "O_RDONLY",
        OpenFlags::WriteOnly => "O_WRONLY",
    }
}

fn access_flags(access: Access) -> (&'static str, &'static str) {
    match access {
        Access::ReadWrite => ("PROT_READ | PROT_WRITE", "MAP_SHARED"),
        Access::ReadOnly => ("PROT_READ", "MAP_SHARED"),
        Access::Execute => ("PROT_READ | PROT_EXEC", "MAP_SHARED"),
        Access::CopyOnWrite => ("PROT_READ | PROT_WRITE", "MAP_PRIVATE"),
    }
}

fn alloc(memory: Memory, length: u64, fill: u8) -> String {
    let flags = match memory {
        Memory::Shared => "MAP_SHARED",
        Memory::Huge => "MAP_PRIVATE | MAP_HUGETLB",
        Memory::Anonymous | Memory::ReadOnly | Memory::NoAccess => "MAP_PRIVATE",
    };
    let access = match memory {
        Memory::Anonymous | Memory::Shared | Memory::Huge => "PROT_READ | PROT_WRITE",
        Memory::ReadOnly => "PROT_READ",
        Memory::NoAccess => "PROT_NONE",
    };
    let (length, fill) = (plain(length), plain(fill.into()));
    format!("memory({length}, {flags}, {fill}, {access})")
}

fn name_or_null(name: Option<&str>) -> String {
    name.map_or_else(|| "NULL".to_owned(), text::literal)
}

fn account_line(account: Account) -> String {
    format!("accounted({})", text::literal(account.name()))
}

/// `F_SEAL_*` of `linux/fcntl.h`.
fn seal_names(seals: u32) -> String {
    const NAMES: [&str; 5] = [
        "F_SEAL_SEAL",
        "F_SEAL_SHRINK",
        "F_SEAL_GROW",
        "F_SEAL_WRITE",
        "F_SEAL_FUTURE_WRITE",
    ];
    let named: Vec<_> = NAMES
        .iter()
        .enumerate()
        .filter(|(bit, _)| seals & 1 << bit != 0)
        .map(|(_, name)| *name)
        .collect();
    match named.as_slice() {
        [] => "0".to_owned(),
        names => names.join(" | "),
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

fn capability_name(id: u16, extended: bool) -> String {
    let prefix = if extended {
        "PCI_EXT_CAP_ID_"
    } else {
        "PCI_CAP_ID_"
    };
    let known = uapi::constants()
        .find(|constant| constant.name.starts_with(prefix) && constant.value == u64::from(id));
    known.map_or_else(|| plain(id.into()), |constant| constant.name.to_owned())
}

/// Whether what is expected of the data is looked at at all.
#[must_use]
pub fn looks_at(check: &Check) -> bool {
    check.expect.data != WantData::Anything || !check.expect.fields.is_empty()
}
