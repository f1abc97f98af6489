//! Executes the ops of a plan, one after the other, in the case's own process.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd},
    os::unix::fs::FileExt,
    sync::Barrier,
    thread::{self, ScopedJoinHandle},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        eventfd::{EfdFlags, EventFd},
        mman::{MapFlags, ProtFlags, mmap, munmap},
        wait::WaitStatus,
    },
};
use wire::{
    Access, Arg, Chain, Dma, Location, Memory, Observed, Op, OpenFlags, Outcome, Patch, Save,
    Value, Width,
};

use crate::{
    config,
    engine::Engines,
    fault, file, guard, hold,
    injection::{self, Injection},
    memory::{EdgeBuffer, PAGE, anonymous, nonzero, peek, pointer, protect},
    memory_file,
    process::{self, Processes, Side, Slots},
    rights,
    stop::{Done, Stop, broken, failure, ok},
    sysfs, touch,
};

/// What a watched page holds before the device is told to write.
const UNTOUCHED: u64 = 0xa5a5_a5a5_a5a5_a5a5;
/// Where an NVMe Identify Controller page holds the subsystem's NQN, and how long it is.
const SIGNATURE: std::ops::Range<usize> = 768..1024;

/// Values that ops left for later ops, and devices in use.
#[derive(Default)]
pub struct Machine {
    slots: Slots,
    engines: Engines,
    processes: Processes,
    /// Failure that is injected into the next system call that a case is about.
    pub inject: Option<Injection>,
}

impl Machine {
    /// Executes one op and says what happened.
    pub fn execute(&mut self, op: &Op) -> Outcome {
        let outcome = self.execute_awake(op);
        self.engines.rest();
        outcome
    }

    /// As [`Self::execute`], for an op that DMA follows: devices stay as they do DMA, since
    /// to get them so takes longer than the DMA itself.
    pub fn execute_awake(&mut self, op: &Op) -> Outcome {
        match op {
            Op::In { process, op } => return self.execute_in(process, op),
            Op::Finish { process, .. } => {
                let outcome = self.processes.finish(process, &mut self.slots);
                return outcome.unwrap_or_else(|| no_process(process));
            }
            Op::Repeat { times, counter, op } => return self.repeat(*times, counter, op),
            _ => {}
        }
        let start = Instant::now();
        let observed = match self.perform(op) {
            Ok((ret, data)) => Observed::Ok { ret, data },
            Err(Stop::Observed(observed)) => observed,
            Err(Stop::Missing(missing)) => Observed::NotRun { missing },
            Err(Stop::Failed(error)) => failure(&error),
        };
        Outcome {
            observed,
            us: start.elapsed().as_micros() as u64,
        }
    }

    /// The outcome is that of the op, its time included.
    fn execute_in(&mut self, process: &str, op: &Op) -> Outcome {
        let outcome = self.processes.execute(process, &mut self.slots, op);
        outcome.unwrap_or_else(|| no_process(process))
    }

    /// The outcome of the last execution; the time is that of all.
    fn repeat(&mut self, times: u64, counter: &str, op: &Op) -> Outcome {
        let start = Instant::now();
        let mut observed = Observed::Ok {
            ret: 0,
            data: Vec::new(),
        };
        for turn in 0..times {
            self.slots.insert(counter.to_owned(), turn);
            observed = self.execute(op).observed;
            if !matches!(observed, Observed::Ok { .. }) {
                break;
            }
        }
        Outcome {
            observed,
            us: start.elapsed().as_micros() as u64,
        }
    }

    /// Every thread has a copy of the values; what each saved comes together at the end.
    fn together(&mut self, ops: &[Op]) -> Observed {
        let gate = Barrier::new(ops.len());
        let slots = &self.slots;
        let race = |op| {
            let mut own = Self {
                slots: slots.clone(),
                ..Self::default()
            };
            gate.wait();
            let outcome = own.execute(op);
            own.slots
                .retain(|name, value| slots.get(name) != Some(value));
            (outcome, own.slots)
        };
        let ended: Vec<_> = thread::scope(|scope| {
            let racers: Vec<_> = ops.iter().map(|op| scope.spawn(move || race(op))).collect();
            racers.into_iter().map(ScopedJoinHandle::join).collect()
        });
        let mut outcomes = Vec::new();
        for ended in ended {
            let Ok((outcome, saved)) = ended else {
                continue; // the agent has a bug, and the judge misses an outcome
            };
            self.slots.extend(saved);
            outcomes.push(outcome);
        }
        Observed::Together(outcomes)
    }

    fn perform(&mut self, op: &Op) -> Done {
        match op {
            Op::Open { at, flags, save } => self.open(at, *flags, save),
            Op::Close { fd } => self.close(fd),
            Op::Ioctl {
                fd,
                request,
                arg,
                save,
                save_ret,
            } => {
                let (ret, data) = self.ioctl(fd, *request, arg, save)?;
                if let Some(slot) = save_ret {
                    self.slots.insert(slot.clone(), ret);
                }
                Ok((ret, data))
            }
            Op::Alloc {
                memory,
                length,
                fill,
                save,
            } => self.alloc(*memory, *length, *fill, save),
            Op::Mmap {
                fd,
                offset,
                length,
                access,
                save,
            } => self.mmap(fd, offset, *length, *access, save),
            Op::Munmap { at, length } => self.munmap(at, *length),
            Op::Program {
                path,
                args,
                timeout_ms,
            } => {
                let limit = Duration::from_millis(*timeout_ms);
                Ok(crate::binary::run(path, args, limit)?)
            }
            Op::Load { at, width } => {
                let value = guard::load(self.value(at)?, *width)?;
                Ok((value, value.to_le_bytes()[..width.bytes()].to_vec()))
            }
            Op::Store { at, width, value } => {
                guard::store(self.value(at)?, *width, self.value(value)?)?;
                ok(0)
            }
            Op::Touch { at } => ok(touch::faults(self.value(at)?)?),
            Op::Peek { at, length, save } => self.peek(at, *length, save),
            Op::Read { fd, into, length } => {
                let (fd, into) = (self.value(fd)? as RawFd, self.value(into)?);
                // SAFETY: the plan decides what the address points to; the kernel checks it.
                let read = || unsafe { libc::read(fd, into as *mut _, *length as usize) };
                ok(self.call(|| Errno::result(read()))? as u64)
            }
            Op::Write { fd, from, length } => {
                let (fd, from) = (self.value(fd)? as RawFd, self.value(from)?);
                // SAFETY: as above; the kernel only reads.
                let write = || unsafe { libc::write(fd, from as *const _, *length as usize) };
                ok(self.call(|| Errno::result(write()))? as u64)
            }
            Op::Pread {
                fd,
                offset,
                length,
                save,
            } => self.pread(fd, offset, *length, save.as_deref()),
            Op::Pwrite {
                fd,
                offset,
                bytes,
                patches,
            } => self.pwrite(fd, offset, bytes, patches),
            Op::Transfer {
                fd,
                write,
                offset,
                length,
                at,
            } => self.transfer(fd, *write, offset, *length, at),
            Op::PciCapability {
                fd,
                id,
                chain,
                save,
            } => self.pci_capability(fd, *id, *chain, save),
            Op::ReadFile { at } => Ok((0, file::read_file(&self.path_of(at)?)?)),
            Op::WriteFile { at, text } => {
                let path = self.path_of(at)?;
                sysfs::write_by(path, text, |file, bytes| self.call(|| file.write(bytes)))?;
                ok(0)
            }
            Op::Driver { device, driver } => {
                sysfs::set_driver(device, driver.as_deref())?;
                ok(0)
            }
            Op::Phys { at, save } => self.phys(at, save),
            Op::Dma {
                device,
                engine: wire::Engine::Nvme,
                iova,
                watch,
            } => self.dma(device, iova, watch),
            Op::ReadDevice {
                path,
                length,
                timeout_ms,
            } => Ok((0, file::read_device(path, *length, *timeout_ms)?)),
            Op::Eventfd { save } => {
                let fd = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC)?;
                self.keep(save, std::os::fd::OwnedFd::from(fd).into_raw_fd())
            }
            Op::Wait { fd, timeout_ms } => self.wait(fd, *timeout_ms),
            Op::Events { fd, timeout_ms } => self.events(fd, *timeout_ms),
            Op::Signal { fd } => {
                let written = self.with_file(fd, |mut file| file.write(&1u64.to_ne_bytes()))?;
                ok(written as u64)
            }
            Op::Arrive {
                device,
                driver,
                timeout_ms,
            } => {
                self.engines.forget(device);
                sysfs::arrive(device, driver.as_deref(), *timeout_ms)?;
                ok(0)
            }
            Op::Await {
                path,
                there,
                timeout_ms,
            } => {
                file::await_path(path, *there, *timeout_ms)?;
                ok(0)
            }
            Op::Host(action) => Err(broken(&io::Error::other(format!(
                "{action:?} is not for this process to do"
            )))),
            Op::Memfd {
                size,
                fill,
                seals,
                huge,
                save,
            } => {
                let fd = memory_file::memfd(*size, *fill, *seals, *huge)?;
                self.keep(save, fd.into_raw_fd())
            }
            Op::Udmabuf {
                file,
                offset,
                size,
                save,
            } => {
                let fd = memory_file::udmabuf(self.value(file)? as RawFd, *offset, *size)?;
                self.keep(save, fd.into_raw_fd())
            }
            Op::Capability { number, effective } => {
                rights::set_capability(*number, *effective)?;
                ok(0)
            }
            Op::Limit { resource, limit } => {
                rights::set_limit(*resource, *limit)?;
                ok(0)
            }
            Op::Account(account) => ok(rights::account(*account)?),
            Op::Fork { process } => self.fork(process),
            // Only `execute` can give an op's outcome whole; it never comes here with one.
            Op::In { process: name, .. }
            | Op::Finish { process: name, .. }
            | Op::Repeat { counter: name, .. } => Err(Stop::Missing(name.clone())),
            Op::Start { process, op } => {
                let started = self.processes.start(process, &self.slots, op);
                match started.ok_or_else(|| Stop::Missing(process.clone()))? {
                    Ok(()) => ok(0),
                    Err(why) => Err(broken(&io::Error::other(why))),
                }
            }
            Op::Hold { at, length, save } => {
                let fd = hold::hold(self.value(at)?, *length)?;
                self.keep(save, fd.into_raw_fd())
            }
            Op::Held {
                process,
                hold,
                timeout_ms,
                save,
            } => {
                let fd = self.descriptor(process, hold)?;
                let at = hold::held(fd, Duration::from_millis(*timeout_ms))?;
                self.slots.insert(save.clone(), at);
                ok(at)
            }
            Op::Blocked {
                process,
                timeout_ms,
            } => {
                let timeout = Duration::from_millis(*timeout_ms);
                let blocked = self.processes.blocked(process, timeout);
                blocked.ok_or_else(|| Stop::Missing(process.clone()))??;
                ok(0)
            }
            Op::Release { process, hold, at } => {
                hold::release(&self.descriptor(process, hold)?, self.value(at)?)?;
                ok(0)
            }
            Op::AwaitFile {
                at,
                text,
                timeout_ms,
            } => Ok((0, file::await_file(&self.path_of(at)?, text, *timeout_ms)?)),
            Op::Exit { process } => self.exit(process),
            Op::Fault(fault) => fault::commit(*fault),
            Op::FailNth(plan) => Err(Stop::Observed(injection::run(self, plan))),
            Op::Together(ops) => Err(Stop::Observed(self.together(ops))),
        }
    }

    /// Makes a system call that a case is about, with the failure that is to be injected.
    fn call<T>(&mut self, call: impl FnOnce() -> T) -> T {
        match &mut self.inject {
            None => call(),
            Some(injection) => injection.call(call),
        }
    }

    fn descriptor(&self, process: &str, fd: &Value) -> Result<OwnedFd, Stop> {
        let fd = self.value(fd)?;
        let copy = self.processes.descriptor(process, fd);
        Ok(copy.ok_or_else(|| Stop::Missing(process.to_owned()))??)
    }

    fn fork(&mut self, name: &str) -> Done {
        if let Side::Child(link) = self.processes.fork(name)? {
            process::serve(link, |slots, op| {
                std::mem::swap(&mut self.slots, slots);
                let outcome = self.execute(op);
                std::mem::swap(&mut self.slots, slots);
                outcome
            });
            // SAFETY: ends without running the destructors of what the parent still uses.
            unsafe { libc::_exit(0) };
        }
        ok(0)
    }

    fn exit(&mut self, name: &str) -> Done {
        let status = self.processes.exit(name);
        match status.ok_or_else(|| Stop::Missing(name.to_owned()))?? {
            WaitStatus::Signaled(_, signal, _) => {
                Err(Stop::Observed(Observed::Signal(signal as i32)))
            }
            WaitStatus::Exited(_, code) => ok(code as u64),
            other => Err(broken(&io::Error::other(format!(
                "process {name}: {other:?}"
            )))),
        }
    }

    fn value(&self, value: &Value) -> Result<u64, Stop> {
        match value {
            Value::Const(number) => Ok(*number),
            Value::Slot { name, add } => self
                .slots
                .get(name)
                .map(|base| base.wrapping_add(*add))
                .ok_or_else(|| Stop::Missing(name.clone())),
        }
    }

    fn keep(&mut self, slot: &str, fd: RawFd) -> Done {
        self.slots.insert(slot.to_owned(), fd as u64);
        ok(fd as u64)
    }

    fn path_of(&self, at: &Location) -> Result<String, Stop> {
        match at {
            Location::Path(path) => Ok(path.clone()),
            Location::Descriptor(fd) => Ok(format!("/proc/self/fd/{}", self.value(fd)?)),
            Location::Link { link, prefix } => match sysfs::link_name(link) {
                Some(name) => Ok(format!("{prefix}{name}")),
                None => Err(Errno::ENOENT.into()),
            },
            Location::Entry {
                directory,
                starts,
                prefix,
            } => {
                let names = sysfs::names(directory);
                match names.iter().find(|name| name.starts_with(starts.as_str())) {
                    Some(name) => Ok(format!("{prefix}{name}")),
                    // What opening the node would give: there is none.
                    None => Err(Errno::ENOENT.into()),
                }
            }
        }
    }

    fn open(&mut self, at: &Location, flags: OpenFlags, save: &str) -> Done {
        let (path, options) = (self.path_of(at)?, file::options(flags));
        let file = self.call(|| options.open(path))?;
        self.keep(save, file.into_raw_fd())
    }

    fn close(&mut self, fd: &Value) -> Done {
        nix::unistd::close(self.value(fd)? as RawFd)?;
        ok(0)
    }

    fn ioctl(&mut self, fd: &Value, request: u32, arg: &Arg, save: &[Save]) -> Done {
        let fd = self.value(fd)? as RawFd;
        match arg {
            Arg::Value(value) => {
                let value = self.value(value)?;
                ok(self.call(|| raw_ioctl(fd, request, value))?)
            }
            Arg::Buffer {
                bytes,
                patches,
                read_only,
            } => {
                let mut bytes = bytes.clone();
                for patch in patches {
                    self.patch(&mut bytes, patch)?;
                }
                self.ioctl_buffer(fd, request, &bytes, *read_only, save)
            }
        }
    }

    fn patch(&self, bytes: &mut [u8], patch: &Patch) -> Result<(), Stop> {
        let value = self.value(&patch.value)?.to_le_bytes();
        let width = patch.width.bytes();
        // A case may give a struct that is too short for one of its fields.
        for (to, from) in bytes.iter_mut().skip(patch.offset).zip(&value[..width]) {
            *to = *from;
        }
        Ok(())
    }

    fn ioctl_buffer(
        &mut self,
        fd: RawFd,
        request: u32,
        bytes: &[u8],
        read_only: bool,
        save: &[Save],
    ) -> Done {
        let buffer = EdgeBuffer::new(bytes, read_only)?;
        let result = self.call(|| raw_ioctl(fd, request, buffer.at));
        let after = buffer.bytes();
        match result {
            Ok(ret) => {
                self.save(&after, save);
                Ok((ret, after))
            }
            Err(errno) => {
                let errno = errno as i32;
                Err(Stop::Observed(Observed::Errno { errno, data: after }))
            }
        }
    }

    fn alloc(&mut self, memory: Memory, length: u64, fill: u8, save: &str) -> Done {
        let kind = match memory {
            Memory::Shared => MapFlags::MAP_SHARED,
            Memory::Huge => MapFlags::MAP_PRIVATE | MapFlags::MAP_HUGETLB,
            Memory::Anonymous | Memory::ReadOnly | Memory::NoAccess => MapFlags::MAP_PRIVATE,
        };
        let at = anonymous(length, kind)?;
        if fill != 0 {
            // SAFETY: the mapping was made just now with this length.
            unsafe { std::ptr::write_bytes(at as *mut u8, fill, length as usize) };
        }
        let access = match memory {
            Memory::Anonymous | Memory::Shared | Memory::Huge => {
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE
            }
            Memory::ReadOnly => ProtFlags::PROT_READ,
            Memory::NoAccess => ProtFlags::PROT_NONE,
        };
        protect(at, length, access)?;
        self.slots.insert(save.to_owned(), at);
        ok(at)
    }

    fn mmap(
        &mut self,
        fd: &Value,
        offset: &Value,
        length: u64,
        access: Access,
        save: &str,
    ) -> Done {
        let (fd, offset) = (self.value(fd)?, self.value(offset)?);
        let (access, kind) = match access {
            Access::ReadWrite => (
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_SHARED,
            ),
            Access::ReadOnly => (ProtFlags::PROT_READ, MapFlags::MAP_SHARED),
            Access::Execute => (
                ProtFlags::PROT_READ | ProtFlags::PROT_EXEC,
                MapFlags::MAP_SHARED,
            ),
            Access::CopyOnWrite => (
                ProtFlags::PROT_READ | ProtFlags::PROT_WRITE,
                MapFlags::MAP_PRIVATE,
            ),
        };
        let length = nonzero(length)?;
        // SAFETY: a new mapping, only ever touched through `guard`.
        let map =
            |fd: BorrowedFd<'_>| unsafe { mmap(None, length, access, kind, fd, offset as i64) };
        let at = with_fd(fd, |fd| self.call(|| map(fd)))?;
        self.slots.insert(save.to_owned(), at.as_ptr() as u64);
        ok(at.as_ptr() as u64)
    }

    fn munmap(&mut self, at: &Value, length: u64) -> Done {
        let at = pointer(self.value(at)?)?;
        // SAFETY: plans only unmap what they mapped; nothing of the agent lies there.
        unsafe { munmap(at, length as usize)? };
        ok(0)
    }

    fn peek(&mut self, at: &Value, length: u64, save: &[Save]) -> Done {
        let bytes = peek(self.value(at)?, length)?;
        self.save(&bytes, save);
        Ok((0, bytes))
    }

    fn save(&mut self, bytes: &[u8], save: &[Save]) {
        for one in save {
            self.slots.insert(one.slot.clone(), extract(bytes, one));
        }
    }

    fn pread(&mut self, fd: &Value, offset: &Value, length: u64, save: Option<&str>) -> Done {
        let offset = self.value(offset)?;
        let mut bytes = vec![0; length as usize];
        let read = self.with_file(fd, |file| file.read_at(&mut bytes, offset))?;
        bytes.truncate(read);
        if let Some(slot) = save {
            let value = wire::little_endian(&bytes);
            self.slots.insert(slot.to_owned(), value);
        }
        Ok((read as u64, bytes))
    }

    fn pwrite(&self, fd: &Value, offset: &Value, bytes: &[u8], patches: &[Patch]) -> Done {
        let offset = self.value(offset)?;
        let mut bytes = bytes.to_vec();
        for patch in patches {
            self.patch(&mut bytes, patch)?;
        }
        let written = self.with_file(fd, |file| file.write_at(&bytes, offset))?;
        ok(written as u64)
    }

    fn transfer(&self, fd: &Value, write: bool, offset: &Value, length: u64, at: &Value) -> Done {
        let (fd, offset) = (self.value(fd)? as RawFd, self.value(offset)? as i64);
        let (at, length) = (self.value(at)?, length as usize);
        // SAFETY: the kernel checks the address; what lies there is memory of the plan's own,
        // or none.
        let done = unsafe {
            if write {
                libc::pwrite(fd, at as *const libc::c_void, length, offset)
            } else {
                libc::pread(fd, at as *mut libc::c_void, length, offset)
            }
        };
        ok(Errno::result(done)? as u64)
    }

    fn pci_capability(&mut self, fd: &Value, id: u16, chain: Chain, save: &str) -> Done {
        let found = self.with_file(fd, |file| config::capability(file, id, chain))?;
        self.slots.insert(save.to_owned(), found);
        ok(found)
    }

    fn with_file<T>(
        &self,
        fd: &Value,
        work: impl FnOnce(&File) -> io::Result<T>,
    ) -> Result<T, Stop> {
        // SAFETY: borrowed for the call only: ManuallyDrop keeps it open.
        let file = unsafe { File::from_raw_fd(self.value(fd)? as RawFd) };
        let file = std::mem::ManuallyDrop::new(file);
        Ok(work(&file)?)
    }

    /// A pagemap entry holds the frame number in its low 55 bits, presence in bit 63.
    fn phys(&mut self, at: &Value, save: &str) -> Done {
        let at = self.value(at)?;
        let mut entry = [0; 8];
        File::open("/proc/self/pagemap")?.read_exact_at(&mut entry, at / PAGE * 8)?;
        let entry = u64::from_le_bytes(entry);
        if entry >> 63 == 0 {
            return Err(io::Error::other("the page is not present").into());
        }
        let physical = (entry & ((1 << 55) - 1)) * PAGE + at % PAGE;
        self.slots.insert(save.to_owned(), physical);
        ok(physical)
    }

    fn dma(&mut self, device: &str, iova: &Value, watch: &Value) -> Done {
        let (iova, watch) = (self.value(iova)?, self.value(watch)?);
        // The same device may have written the same bytes before.
        for offset in (0..PAGE).step_by(8) {
            guard::store(watch + offset, Width::W8, UNTOUCHED)?;
        }
        let before = peek(watch, PAGE)?;
        // What the device cannot be made to do is no verdict on the kernel.
        let end = self
            .engines
            .write_page(device, iova)
            .map_err(|error| broken(&error))?;
        let after = peek(watch, PAGE)?;
        let changed = before
            .iter()
            .zip(&after)
            .filter(|(old, new)| old != new)
            .count() as u32;
        let signature = if changed == 0 {
            String::new()
        } else {
            signature(&after)
        };
        Err(Stop::Observed(Observed::Dma(Dma {
            end,
            changed,
            signature,
        })))
    }

    fn events(&self, fd: &Value, timeout_ms: u64) -> Done {
        let (ready, _) = self.wait(fd, timeout_ms)?;
        let mut count = [0; 8];
        if ready == 1 {
            self.with_file(fd, |mut file| file.read_exact(&mut count))?;
        }
        ok(u64::from_ne_bytes(count))
    }

    fn wait(&self, fd: &Value, timeout_ms: u64) -> Done {
        let fd = self.value(fd)?;
        let timeout = PollTimeout::try_from(timeout_ms).unwrap_or(PollTimeout::MAX);
        let ready = with_fd(fd, |fd| {
            let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
            poll(&mut fds, timeout)
        })?;
        ok(ready as u64)
    }
}

fn no_process(name: &str) -> Outcome {
    Outcome {
        observed: Observed::NotRun {
            missing: name.to_owned(),
        },
        us: 0,
    }
}

fn signature(page: &[u8]) -> String {
    let text = page.get(SIGNATURE).unwrap_or_default();
    let end = text
        .iter()
        .position(|byte| !byte.is_ascii_graphic())
        .unwrap_or(text.len());
    String::from_utf8_lossy(&text[..end]).into_owned()
}

fn raw_ioctl(fd: RawFd, request: u32, arg: u64) -> nix::Result<u64> {
    // SAFETY: the plan decides what the argument points to; memory the kernel writes is a
    // mapping of the plan's own or an edge buffer.
    let ret = unsafe { libc::ioctl(fd, libc::c_ulong::from(request), arg) };
    Errno::result(ret).map(|ret| ret as u64)
}

fn extract(bytes: &[u8], save: &Save) -> u64 {
    let from = bytes.get(save.offset..).unwrap_or_default();
    wire::little_endian(&from[..from.len().min(save.width.bytes())])
}

fn with_fd<T>(fd: u64, work: impl FnOnce(BorrowedFd<'_>) -> nix::Result<T>) -> Result<T, Stop> {
    let fd = fd as RawFd;
    if fd < 0 {
        return Err(Errno::EBADF.into());
    }
    // SAFETY: used for this call only; a closed descriptor gives EBADF, which is an outcome.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    debug_assert!(fd.as_raw_fd() >= 0);
    Ok(work(fd)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within(process: &str, op: Op) -> Op {
        Op::In {
            process: process.to_owned(),
            op: Box::new(op),
        }
    }

    fn returned(outcome: Outcome) -> u64 {
        match outcome.observed {
            Observed::Ok { ret, .. } => ret,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_are_shared_and_memory_is_not() {
        guard::install().unwrap();
        let mut machine = Machine::default();
        let process = "child".to_owned();
        let page = |name: &str, fill| Op::Alloc {
            memory: Memory::Anonymous,
            length: PAGE,
            fill,
            save: name.to_owned(),
        };
        let at = || Value::Slot {
            name: "page".to_owned(),
            add: 0,
        };
        let load = Op::Load {
            at: at(),
            width: Width::W1,
        };
        let store = Op::Store {
            at: at(),
            width: Width::W1,
            value: Value::Const(7),
        };
        returned(machine.execute(&page("page", 1)));
        returned(machine.execute(&Op::Fork {
            process: process.clone(),
        }));
        returned(machine.execute(&within(&process, store)));
        assert_eq!(
            returned(machine.execute(&within(&process, load.clone()))),
            7
        );
        assert_eq!(returned(machine.execute(&load)), 1);
        returned(machine.execute(&within(&process, page("another", 0))));
        assert!(machine.slots.contains_key("another"));
        let exit = Op::Exit { process };
        assert_eq!(returned(machine.execute(&exit)), 0);
        let missing = "child".to_owned();
        assert_eq!(
            machine.execute(&exit).observed,
            Observed::NotRun { missing }
        );
    }

    #[test]
    fn an_op_is_repeated_until_it_fails() {
        guard::install().unwrap();
        let mut machine = Machine::default();
        let counter = || Value::Slot {
            name: "n".to_owned(),
            add: 0,
        };
        let repeat = |times, op| Op::Repeat {
            times,
            counter: "n".to_owned(),
            op: Box::new(op),
        };
        let page = Op::Alloc {
            memory: Memory::Anonymous,
            length: PAGE,
            fill: 0,
            save: "page".to_owned(),
        };
        returned(machine.execute(&page));
        let store = Op::Store {
            at: Value::Slot {
                name: "page".to_owned(),
                add: 0,
            },
            width: Width::W8,
            value: counter(),
        };
        returned(machine.execute(&repeat(5, store)));
        let page = machine.slots["page"];
        assert_eq!(peek(page, 8).ok(), Some(vec![4, 0, 0, 0, 0, 0, 0, 0]));
        // Address 0 is nobody's, so the first load is the last.
        let load = Op::Load {
            at: counter(),
            width: Width::W1,
        };
        let fault = machine.execute(&repeat(5, load)).observed;
        assert_eq!(fault, Observed::Signal(libc::SIGSEGV));
        assert_eq!(machine.slots["n"], 0);
    }

    #[test]
    fn ops_at_once_share_descriptors_and_what_they_save() {
        let mut machine = Machine::default();
        let slot = |name: &str| Value::Slot {
            name: name.to_owned(),
            add: 0,
        };
        let eventfd = |name: &str| Op::Eventfd {
            save: name.to_owned(),
        };
        let ended = |observed: Observed| match observed {
            Observed::Together(outcomes) => outcomes,
            other => panic!("{other:?}"),
        };
        let made = machine.execute(&Op::Together(vec![eventfd("one"), eventfd("two")]));
        for (outcome, name) in ended(made.observed).into_iter().zip(["one", "two"]) {
            assert_eq!(returned(outcome), machine.slots[name]);
        }
        // The waiting thread is released by the other one.
        let fd = slot("one");
        let events = Op::Events {
            fd: fd.clone(),
            timeout_ms: 60_000,
        };
        let both = machine.execute(&Op::Together(vec![events, Op::Signal { fd }]));
        assert_eq!(returned(ended(both.observed).swap_remove(0)), 1);
    }
}
