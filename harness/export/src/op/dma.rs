//! DMA by devices.

use wire::{DmaEngine, DmaOp, Value};

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
            } => self.device_dma("dma", device, iova, watch),
            DmaOp::Fetch {
                device,
                engine: DmaEngine::Nvme,
                iova,
                page,
            } => self.device_dma("dma_read", device, iova, page),
        }
    }

    fn device_dma(
        &self,
        helper: &str,
        device: &str,
        iova: &Value,
        page: &Value,
    ) -> Result<Call, String> {
        let device = self.placeholders.device(device);
        let (iova, page) = (self.value(iova)?, self.value(page)?);
        Ok(Call {
            end: End::Dma,
            ..Call::new(format!("{helper}({device}, {iova}, {page})"))
        })
    }
}
