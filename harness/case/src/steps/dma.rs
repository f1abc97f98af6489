//! DMA: which memory a device can reach.

use wire::{DmaOp, Returned, Value};

use crate::{
    build::Builder,
    expect::{Expect, Layout, WantEnd},
    input::{SlotName, Word, body, resolved, words},
    node::At,
    problem::Problem,
    role::Role,
    steps::Action,
    value::show,
};

words!(DmaEnding);

body! {
    /// `dma: {from: group.0, iova: 0x100000, lands: $page}` or `..., blocked: $page}`
    ///
    /// The page is filled before, so both outcomes show in memory as well as in the device.
    pub struct DmaBody in "dma" {
        /// The device that writes.
        from: Role,
        /// The address that it writes to.
        iova: Value,
        /// A page of the process that has to receive the data from the device.
        lands: Option<Value>,
        /// A page of the process that has to stay unchanged, because the DMA is blocked.
        blocked: Option<Value>,
        /// How the DMA would end on a kernel that conforms to the plan of 2021.
        plan: Option<DmaEnding>,
    }
}

/// A DMA of one device, with its expected end.
#[derive(Debug, Clone)]
pub struct Dma {
    from: Role,
    iova: Value,
    page: Value,
    ending: DmaEnding,
    plan: Option<DmaEnding>,
}

resolved! {
    Dma from DmaBody;
}

/// How a DMA ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DmaEnding {
    /// It reaches the page.
    Lands,
    /// It is blocked.
    Blocked,
}

impl Word for DmaEnding {
    const WHAT: &'static str = "end of a DMA";
    const ALL: &'static [(&'static str, Self)] =
        &[("lands", Self::Lands), ("blocked", Self::Blocked)];
}

impl Dma {
    fn new(body: DmaBody, at: At) -> Result<Self, Problem> {
        let (page, ending) = match (body.lands, body.blocked) {
            (Some(page), None) => (page, DmaEnding::Lands),
            (None, Some(page)) => (page, DmaEnding::Blocked),
            _ => return Err(Problem::other(at, "give one of `lands` and `blocked`")),
        };
        Ok(Self {
            from: body.from,
            iova: body.iova,
            page,
            ending,
            plan: body.plan,
        })
    }
}

impl Action for Dma {
    fn label(&self) -> String {
        let end = match self.ending {
            DmaEnding::Lands => "lands",
            DmaEnding::Blocked => "is blocked",
        };
        format!("DMA from {} to {} {end}", self.from, show(&self.iova))
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = to.roles.device(self.from)?;
        let engine = device
            .engine
            .ok_or_else(|| format!("a device {} that does DMA on demand", self.from))?;
        let end = |ending| match ending {
            DmaEnding::Lands => WantEnd::Lands {
                signature: device.signature.clone(),
            },
            DmaEnding::Blocked => WantEnd::Blocked,
        };
        if let Some(planned) = self.plan {
            to.plan(end(planned));
        }
        let op = DmaOp::Dma {
            device: device.name.clone(),
            engine,
            iova: self.iova.clone(),
            watch: self.page.clone(),
        };
        let expect = Expect::ending(end(self.ending));
        match self.ending {
            DmaEnding::Lands => to.push_dma(op, expect, Layout::Nothing),
            DmaEnding::Blocked => to.push(op, expect, Layout::Nothing),
        }
        Ok(())
    }
}

body! {
    /// `phys: {of: $page, save: pa}`
    pub struct Phys in "phys" {
        /// An address in the page.
        of: Value,
        /// The name for its physical address.
        save: SlotName,
    }
}

impl Action for Phys {
    fn label(&self) -> String {
        format!("physical address of {}", show(&self.of))
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.prepare(DmaOp::Phys {
            at: self.of.clone(),
            save: Returned(self.save.0.clone()),
        });
        Ok(())
    }

    fn asserts(&self) -> bool {
        false
    }
}
