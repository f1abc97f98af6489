//! DMA: which memory a device can reach.

use wire::{DmaAccess, DmaOp, Returned, Value};

use crate::{
    build::Builder,
    expect::{Expect, Layout, WantEnd},
    input::{SlotName, body, resolved},
    node::At,
    problem::Problem,
    role::Role,
    steps::Action,
    value::show,
};

body! {
    /// `dma: {from: group.0, iova: 0x100000, lands: $page}` or `..., blocked: $page}`
    ///
    /// The page is filled before, so both outcomes show in memory as well as in the device. With
    /// `reads` or `unread` the device reads: a command that is put into the page, and whose answer
    /// stays in the device.
    pub struct DmaBody in "dma" {
        /// The device that writes or reads.
        from: Role,
        /// The address that it writes to or reads from.
        iova: Value,
        /// A page of the process that has to receive the data from the device.
        lands: Option<Value>,
        /// A page of the process that has to stay unchanged, because the DMA is blocked.
        blocked: Option<Value>,
        /// A page of the process that the device has to be able to read.
        reads: Option<Value>,
        /// A page of the process that the device must not be able to read.
        unread: Option<Value>,
    }
}

/// A DMA of one device, with its expected end.
#[derive(Debug, Clone)]
pub struct Dma {
    from: Role,
    iova: Value,
    page: Value,
    access: DmaAccess,
    ending: DmaEnding,
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

impl Dma {
    fn new(body: DmaBody, at: At) -> Result<Self, Problem> {
        let given = [
            body.lands
                .map(|page| (page, DmaAccess::Write, DmaEnding::Lands)),
            body.blocked
                .map(|page| (page, DmaAccess::Write, DmaEnding::Blocked)),
            body.reads
                .map(|page| (page, DmaAccess::Read, DmaEnding::Lands)),
            body.unread
                .map(|page| (page, DmaAccess::Read, DmaEnding::Blocked)),
        ];
        let mut given = given.into_iter().flatten();
        let (Some((page, access, ending)), None) = (given.next(), given.next()) else {
            let why = "give one of `lands`, `blocked`, `reads` and `unread`";
            return Err(Problem::other(at, why));
        };
        Ok(Self {
            from: body.from,
            iova: body.iova,
            page,
            access,
            ending,
        })
    }
}

impl Action for Dma {
    fn label(&self) -> String {
        let (to, end) = match (self.access, self.ending) {
            (DmaAccess::Write, DmaEnding::Lands) => ("to", "lands"),
            (DmaAccess::Write, DmaEnding::Blocked) => ("to", "is blocked"),
            (DmaAccess::Read, DmaEnding::Lands) => ("that reads", "succeeds"),
            (DmaAccess::Read, DmaEnding::Blocked) => ("that reads", "is blocked"),
        };
        format!("DMA from {} {to} {} {end}", self.from, show(&self.iova))
    }

    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = to.roles.device(self.from)?;
        let engine = device
            .engine
            .ok_or_else(|| format!("a device {} that does DMA on demand", self.from))?;
        let signature = device.signature.clone();
        let end = |ending| match ending {
            DmaEnding::Lands => WantEnd::Lands {
                signature: signature.clone(),
            },
            DmaEnding::Blocked => WantEnd::Blocked,
        };
        let (device, iova, page) = (device.name.clone(), self.iova.clone(), self.page.clone());
        let op = match self.access {
            DmaAccess::Write => DmaOp::Dma {
                device,
                engine,
                iova,
                watch: page,
            },
            DmaAccess::Read => DmaOp::Fetch {
                device,
                engine,
                iova,
                page,
            },
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
