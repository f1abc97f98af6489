//! DMA by devices.

use wire::{DmaEngine, DmaOp};

use crate::call::{Call, Caller, End};

impl Caller<'_> {
    pub fn dma(&self, op: &DmaOp) -> Result<Call, String> {
        match op {
            DmaOp::Phys { at, save } => {
                Ok(Call::new(format!("phys({})", self.value(at)?)).saving(&save.0))
            }
            DmaOp::Dma {
                device,
                engine: DmaEngine::Nvme,
                iova,
                watch,
            } => {
                let device = self.placeholders.device(device);
                let (iova, watch) = (self.value(iova)?, self.value(watch)?);
                Ok(Call {
                    end: End::Dma,
                    ..Call::new(format!("dma({device}, {iova}, {watch})"))
                })
            }
        }
    }
}
