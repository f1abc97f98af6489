//! Devices that do DMA on demand.
//!
//! The device is QEMU's `nvme` with a controller memory buffer.
//!
//! To write, it has the submission queue in its own memory, so a command reaches the device in any
//! security context. Only the writes of the command cross the IOMMU: the Identify data and its
//! completion entry, both to the target page. A blocked completion write raises CSTS.CFS within
//! microseconds, and a successful one asserts INTx; both can be detected without the host's memory.
//!
//! To read, it has the submission queue in the target page and the Identify data in its own memory,
//! where they are seen if the command could be read. The completion entry goes nowhere, so that
//! CSTS.CFS ends both.
//!
//! The device is driven through its sysfs resource files. That needs no vfio descriptor, so
//! the same probe works before bind, while bound, and after the last close.

use std::{
    collections::{HashMap, hash_map::Entry},
    fs::{File, OpenOptions},
    io,
    num::NonZeroUsize,
    os::unix::fs::FileExt,
    time::{Duration, Instant},
};

use nix::sys::mman::{MapFlags, ProtFlags, mmap};
use wire::{DmaEnd, Width};

use crate::{guard, sysfs};

const PCI_COMMAND: u64 = 4;
const PCI_STATUS: u64 = 6;
const COMMAND_MEMORY: u16 = 1 << 1;
const COMMAND_MASTER: u16 = 1 << 2;
const COMMAND_INTX_DISABLE: u16 = 1 << 10;
const STATUS_INTERRUPT: u16 = 1 << 3;

// NVM Express base specification, controller registers.
const INTMS: u64 = 0x0c;
const INTMC: u64 = 0x10;
const CC: u64 = 0x14;
const CSTS: u64 = 0x1c;
const AQA: u64 = 0x24;
const ASQ: u64 = 0x28;
const ACQ: u64 = 0x30;
const CMBMSC: u64 = 0x50;
const SQ0_TAIL: u64 = 0x1000;
const CQ0_HEAD: u64 = 0x1004;
const CC_ENABLE: u64 = 1 | (6 << 16) | (4 << 20); // EN, 64-byte SQEs, 16-byte CQEs
const CSTS_READY: u64 = 1;
const CSTS_FATAL: u64 = 2;
/// Address at which the device sees its own memory buffer. An address in this window never leaves
/// the device, so it is outside of all IOVAs that cases use.
const CMB_BASE: u64 = 0xfff0_0000_0000_0000;
const CMBMSC_ENABLE: u64 = 3;
const IDENTIFY: u64 = 0x06;
const IDENTIFY_CONTROLLER: u64 = 1;

/// The low half of a register of 64 bits.
const HALF: u64 = 0xffff_ffff;
const ALL_ONES: u64 = 0xffff_ffff;
const DEADLINE: Duration = Duration::from_secs(3);
/// Minimum number of polls before a timeout: if the whole guest was paused, the deadline may pass
/// although the device had no time.
const ASKED: u32 = 5000;

/// Offset of the Identify data of a command that was read from a page.
const CMB_DATA: u64 = 0x1000;
/// Offset of completion entries that are to go nowhere: the controller does not support a completion
/// queue in its own memory.
const CMB_NOWHERE: u64 = 0x2000;
/// Range of the subsystem's NQN in an NVMe Identify Controller page.
pub const SIGNATURE: std::ops::Range<u64> = 768..1024;
/// Contents of memory before the DMA.
pub const UNTOUCHED: u64 = 0xa5a5_a5a5_a5a5_a5a5;

/// Devices that this process has mapped.
#[derive(Default)]
pub struct DmaEngines(HashMap<String, Nvme>);

impl DmaEngines {
    /// Lets `device` write its Identify page to `iova`.
    pub fn write_page(&mut self, device: &str, iova: u64) -> io::Result<DmaEnd> {
        let engine = self.engine(device)?;
        let command = engine.buffer;
        engine.identify(&Places {
            queue: CMB_BASE,
            data: iova,
            completion: iova,
            command,
        })
    }

    /// Lets `device` read an Identify command from `iova`, which `page` of this process may be
    /// mapped to. Returns what the signature in its own memory is then.
    pub fn read_page(
        &mut self,
        device: &str,
        iova: u64,
        page: u64,
    ) -> io::Result<(DmaEnd, Vec<u8>)> {
        let engine = self.engine(device)?;
        let data = engine.buffer + CMB_DATA;
        let words = || SIGNATURE.step_by(8).map(|at| data + at);
        for at in words() {
            check(guard::store(at, Width::W8, UNTOUCHED))?;
        }
        let end = engine.identify(&Places {
            queue: iova,
            data: CMB_BASE + CMB_DATA,
            completion: CMB_BASE + CMB_NOWHERE,
            command: page,
        })?;
        let mut signature = Vec::new();
        for at in words() {
            signature.extend(load(at, Width::W8)?.to_le_bytes());
        }
        Ok((end, signature))
    }

    fn engine(&mut self, device: &str) -> io::Result<&mut Nvme> {
        Ok(match self.0.entry(device.to_owned()) {
            // A case may have removed the device from the bus and let it be found again.
            Entry::Occupied(engine) if engine.get().is_there() => engine.into_mut(),
            Entry::Occupied(mut engine) => {
                engine.insert(Nvme::open(device)?);
                engine.into_mut()
            }
            Entry::Vacant(place) => place.insert(Nvme::open(device)?),
        })
    }

    /// Restores the command registers of the devices.
    pub fn restore_command(&mut self) {
        for (device, engine) in &mut self.0 {
            if let Err(error) = engine.restore_command() {
                eprintln!("conformance agent: the command register of {device}: {error}");
            }
        }
    }

    /// Forgets a device that was unplugged, because its mappings are gone.
    pub fn forget(&mut self, device: &str) {
        self.0.remove(device);
    }
}

/// A case may end between two DMAs.
impl Drop for DmaEngines {
    fn drop(&mut self) {
        self.restore_command();
    }
}

/// Where an Identify command is, and what the device writes.
struct Places {
    /// The submission queue, as the device sees it.
    queue: u64,
    /// The data, as the device sees them.
    data: u64,
    /// The completion queue, as the device sees it.
    completion: u64,
    /// The submission queue, as this process sees it.
    command: u64,
}

struct Nvme {
    config: File,
    registers: u64,
    buffer: u64,
    /// Original value of the command register while the device is enabled for DMA.
    command: Option<u16>,
}

impl Nvme {
    fn open(device: &str) -> io::Result<Self> {
        let sysfs = sysfs::pci(device);
        let config = OpenOptions::new()
            .read(true)
            .write(true)
            .open(sysfs.join("config"))?;
        Ok(Self {
            config,
            registers: map(&sysfs.join("resource0"), 0x2000)?,
            buffer: map(&sysfs.join("resource2"), 0x2000)?,
            command: None,
        })
    }

    /// Whether its files are still those of the device: a file of a removed one gives ENODEV.
    fn is_there(&self) -> bool {
        self.config_u16(PCI_COMMAND).is_ok()
    }

    fn identify(&mut self, places: &Places) -> io::Result<DmaEnd> {
        if self.command.is_none() {
            let command = self.config_u16(PCI_COMMAND)?;
            self.command = Some(command);
            self.set_command(command | COMMAND_MEMORY | COMMAND_MASTER | COMMAND_INTX_DISABLE)?;
        }
        self.identify_enabled(places)
    }

    fn restore_command(&mut self) -> io::Result<()> {
        self.command
            .take()
            .map_or(Ok(()), |command| self.set_command(command))
    }

    fn identify_enabled(&self, places: &Places) -> io::Result<DmaEnd> {
        if self.get(CSTS)? == ALL_ONES {
            return Ok(DmaEnd::Absent);
        }
        self.set(CC, 0)?;
        self.await_status(CSTS_READY, 0)?;
        // QEMU keeps the mask over CC.EN, and the end of a command is seen by its interrupt.
        self.set(INTMC, HALF)?;
        // The controller takes the address when the enable bits are set, which are in the low half.
        self.set(CMBMSC + 4, (CMB_BASE | CMBMSC_ENABLE) >> 32)?;
        self.set(CMBMSC, (CMB_BASE | CMBMSC_ENABLE) & HALF)?;
        self.set(AQA, 0x0001_0001)?; // two entries each
        self.set_address(ASQ, places.queue)?;
        self.set_address(ACQ, places.completion)?;
        self.set(CC, CC_ENABLE)?;
        self.await_status(CSTS_READY, CSTS_READY)?;
        self.submit(places)?;
        let end = self.await_end()?;
        if end == DmaEnd::TimedOut {
            self.complain()?;
        }
        if end == DmaEnd::Completed {
            // The controller would raise an interrupt for a completion that does not exist.
            self.set(CQ0_HEAD, 1)?;
        }
        self.set(CC, 0)?;
        Ok(end)
    }

    fn submit(&self, places: &Places) -> io::Result<()> {
        // Dword 0 is the opcode, 6 and 7 are PRP1, 10 is CNS. They are written as 64-bit words,
        // because the width of an access does not matter in memory.
        let entry = [IDENTIFY, 0, 0, places.data, 0, IDENTIFY_CONTROLLER, 0, 0];
        for (at, word) in (places.command..).step_by(8).zip(entry) {
            check(guard::store(at, Width::W8, word))?;
        }
        self.set(SQ0_TAIL, 1)
    }

    /// Waits until the completion entry is written (INTx) or blocked (CFS).
    fn await_end(&self) -> io::Result<DmaEnd> {
        let start = Instant::now();
        for asked in 0_u32.. {
            match self.get(CSTS)? {
                ALL_ONES => return Ok(DmaEnd::Absent),
                status if status & CSTS_FATAL != 0 => return Ok(DmaEnd::Faulted),
                _ if self.config_u16(PCI_STATUS)? & STATUS_INTERRUPT != 0 => {
                    return Ok(DmaEnd::Completed);
                }
                _ if asked > ASKED && start.elapsed() > DEADLINE => break,
                _ => std::thread::yield_now(),
            }
        }
        Ok(DmaEnd::TimedOut)
    }

    /// Prints the registers of a controller that neither completes nor fails to the console.
    fn complain(&self) -> io::Result<()> {
        eprintln!(
            "conformance agent: nvme neither completes nor fails: CSTS {:#x} CC {:#x} INTMS \
             {:#x} CMBMSC {:#x} PCI command {:#x} status {:#x}",
            self.get(CSTS)?,
            self.get(CC)?,
            self.get(INTMS)?,
            self.get(CMBMSC)?,
            self.config_u16(PCI_COMMAND)?,
            self.config_u16(PCI_STATUS)?,
        );
        Ok(())
    }

    fn await_status(&self, mask: u64, wanted: u64) -> io::Result<()> {
        let start = Instant::now();
        for asked in 0_u32.. {
            let status = self.get(CSTS)?;
            if status & mask == wanted {
                break;
            }
            if asked > ASKED && start.elapsed() > DEADLINE {
                return Err(io::Error::other(format!("nvme stays at CSTS {status:#x}")));
            }
            std::thread::yield_now();
        }
        Ok(())
    }

    fn get(&self, register: u64) -> io::Result<u64> {
        load(self.registers + register, Width::W4)
    }

    /// Stores to a register, always 4 bytes at once. Under KVM, QEMU splits 8 bytes in two, low
    /// half first, and a controller may act on the first half.
    fn set(&self, register: u64, value: u64) -> io::Result<()> {
        check(guard::store(self.registers + register, Width::W4, value))
    }

    /// Sets an address that the controller reads only when CC.EN is set.
    fn set_address(&self, register: u64, address: u64) -> io::Result<()> {
        self.set(register, address & HALF)?;
        self.set(register + 4, address >> 32)
    }

    fn config_u16(&self, at: u64) -> io::Result<u16> {
        let mut bytes = [0; 2];
        self.config.read_exact_at(&mut bytes, at)?;
        Ok(u16::from_le_bytes(bytes))
    }

    fn set_command(&self, value: u16) -> io::Result<()> {
        self.config.write_all_at(&value.to_le_bytes(), PCI_COMMAND)
    }
}

fn load(at: u64, width: Width) -> io::Result<u64> {
    guard::load(at, width)
        .map_err(|guard::Raised(signal)| io::Error::other(format!("MMIO load: signal {signal}")))
}

fn check(stored: Result<(), guard::Raised>) -> io::Result<()> {
    stored.map_err(|guard::Raised(signal)| io::Error::other(format!("MMIO store: signal {signal}")))
}

fn map(path: &std::path::Path, length: usize) -> io::Result<u64> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|error| {
            io::Error::new(error.kind(), format!("opening {}: {error}", path.display()))
        })?;
    let length = NonZeroUsize::new(length).ok_or_else(|| io::Error::other("empty mapping"))?;
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a new mapping, only ever touched through `guard`.
    let at = unsafe { mmap(None, length, access, MapFlags::MAP_SHARED, &file, 0) }
        .map_err(|error| io::Error::other(format!("mapping {}: {error}", path.display())))?;
    Ok(at.as_ptr() as u64)
}
