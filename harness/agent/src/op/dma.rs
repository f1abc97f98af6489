//! DMA by devices, and physical addresses.

use std::{fs::File, io, os::unix::fs::FileExt};

use wire::{Dma, DmaEngine, DmaOp, Observed, Value, Width};

use crate::{
    exec::Executor,
    guard,
    memory::{PAGE, peek},
    op_error::{Done, OpError, broken, ok},
};

/// Contents of a watched page before the DMA.
const UNTOUCHED: u64 = 0xa5a5_a5a5_a5a5_a5a5;
/// Range of the subsystem's NQN in an NVMe Identify Controller page.
const SIGNATURE: std::ops::Range<usize> = 768..1024;

impl Executor {
    pub fn dma(&mut self, op: &DmaOp) -> Done {
        match op {
            DmaOp::Dma {
                device,
                engine: DmaEngine::Nvme,
                iova,
                watch,
            } => self.write_page(device, iova, watch),
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
        let signature = match changed {
            0 => String::new(),
            _ => signature(&after),
        };
        Err(OpError::Observed(Observed::Dma(Dma {
            end,
            changed,
            signature,
        })))
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

fn signature(page: &[u8]) -> String {
    let text = page.get(SIGNATURE).unwrap_or_default();
    let end = text.iter().position(|byte| !byte.is_ascii_graphic());
    String::from_utf8_lossy(&text[..end.unwrap_or(text.len())]).into_owned()
}
