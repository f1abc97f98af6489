//! DMA by devices, and physical addresses.

use std::{fs::File, io, os::unix::fs::FileExt};

use wire::{Dma, DmaAccess, DmaEnd, DmaEngine, DmaOp, Observed, Value, Width};

use crate::{
    dma_engine::{SIGNATURE, UNTOUCHED},
    exec::Executor,
    guard,
    memory::{PAGE, peek},
    op_error::{Done, OpError, broken, ok},
};

/// Size of a command.
const COMMAND: u64 = 64;

impl Executor {
    pub fn dma(&mut self, op: &DmaOp) -> Done {
        match op {
            DmaOp::Dma {
                device,
                engine: DmaEngine::Nvme,
                iova,
                watch,
            } => self.write_page(device, iova, watch),
            DmaOp::Fetch {
                device,
                engine: DmaEngine::Nvme,
                iova,
                page,
            } => self.read_page(device, iova, page),
            DmaOp::Phys { at, .. } => physical_address(self.value(at)?),
        }
    }

    fn write_page(&mut self, device: &str, iova: &Value, watch: &Value) -> Done {
        let (iova, watch) = (self.value(iova)?, self.value(watch)?);
        // The same device may have written the same bytes before.
        for offset in (0..PAGE).step_by(8) {
            guard::store(watch + offset, Width::W8, UNTOUCHED)?;
        }
        let before = peek(watch, PAGE)?;
        // If the device cannot be driven, there is no verdict on the kernel.
        let end = self.engines.write_page(device, iova);
        let end = end.map_err(|error| broken(&error))?;
        let after = peek(watch, PAGE)?;
        let pairs = before.iter().zip(&after);
        let changed = pairs.filter(|(old, new)| old != new).count() as u32;
        let text = after.get(SIGNATURE.start as usize..SIGNATURE.end as usize);
        observed(DmaAccess::Write, end, changed, text.unwrap_or_default())
    }

    fn read_page(&mut self, device: &str, iova: &Value, page: &Value) -> Done {
        let (iova, page) = (self.value(iova)?, self.value(page)?);
        // The command may not lie in a page that cannot be written.
        guard::store(page, Width::W8, UNTOUCHED)?;
        let read = self.engines.read_page(device, iova, page);
        let (end, text) = read.map_err(|error| broken(&error))?;
        // A command that stays would be read through a stale translation as well.
        for at in (page..page + COMMAND).step_by(8) {
            guard::store(at, Width::W8, UNTOUCHED)?;
        }
        let before = UNTOUCHED.to_le_bytes();
        let pairs = before.iter().cycle().zip(&text);
        let changed = pairs.filter(|(old, new)| old != new).count() as u32;
        // The completion entry is always refused.
        let end = match (end, changed) {
            (DmaEnd::Faulted, 1..) => DmaEnd::Completed,
            (end, _) => end,
        };
        observed(DmaAccess::Read, end, changed, &text)
    }
}

/// Reads a physical address. A pagemap entry has the frame number in its low 55 bits, and presence
/// in bit 63.
fn physical_address(at: u64) -> Done {
    let mut entry = [0; 8];
    File::open("/proc/self/pagemap")?.read_exact_at(&mut entry, at / PAGE * 8)?;
    let entry = u64::from_le_bytes(entry);
    if entry >> 63 == 0 {
        return Err(io::Error::other("the page is not present").into());
    }
    ok((entry & ((1 << 55) - 1)) * PAGE + at % PAGE)
}

fn observed(access: DmaAccess, end: DmaEnd, changed: u32, text: &[u8]) -> Done {
    let signature = match changed {
        0 => String::new(),
        _ => signature(text),
    };
    Err(OpError::Observed(Observed::Dma(Dma {
        access,
        end,
        changed,
        signature,
    })))
}

fn signature(text: &[u8]) -> String {
    let end = text.iter().position(|byte| !byte.is_ascii_graphic());
    String::from_utf8_lossy(&text[..end.unwrap_or(text.len())]).into_owned()
}
