//! `dma` and `phys`: what a device can reach.

use wire::{Op, Value};

use crate::{
    build::Builder,
    expect::{Expect, Layout, WantEnd},
    fields::Fields,
    node::Node,
    problem::Problem,
    role::Role,
    steps::ioctl::show,
    value,
};

/// `dma: {from: group.0, iova: 0x100000, lands: $page}` or `..., blocked: $page}`
///
/// The page is filled before, so both outcomes are seen in memory as well as in the device.
/// `plan: lands` or `plan: blocked` says what a kernel that conforms to the plan would show.
#[derive(Debug, Clone, PartialEq)]
pub struct Dma {
    from: Role,
    iova: Value,
    page: Value,
    lands: bool,
    plan_lands: Option<bool>,
}

impl Dma {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "dma")?;
        let from = Role::read_device(fields.need("from")?)?;
        let iova = value::value(fields.need("iova")?)?;
        let (page, lands) = match (fields.take("lands"), fields.take("blocked")) {
            (Some(page), None) => (value::value(page)?, true),
            (None, Some(page)) => (value::value(page)?, false),
            _ => return Err(Problem::other(body.at, "give one of `lands` and `blocked`")),
        };
        let plan_lands = fields.take("plan").map(read_plan).transpose()?;
        fields.finish()?;
        Ok(Self {
            from,
            iova,
            page,
            lands,
            plan_lands,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        let end = if self.lands { "lands" } else { "is blocked" };
        format!("DMA from {} to {} {end}", self.from, show(&self.iova))
    }

    /// Adds its op.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let device = to.cast.device(self.from)?;
        let engine = device
            .engine
            .ok_or_else(|| format!("{} to do DMA on demand", self.from))?;
        let end = |lands| match lands {
            true => WantEnd::Lands {
                signature: device.signature.clone(),
            },
            false => WantEnd::Blocked,
        };
        if let Some(lands) = self.plan_lands {
            to.plan(end(lands));
        }
        let op = Op::Dma {
            device: device.name.clone(),
            engine,
            iova: self.iova.clone(),
            watch: self.page.clone(),
        };
        let expect = Expect::ending(end(self.lands));
        if self.lands {
            to.push_dma(op, expect, Layout::Nothing);
        } else {
            to.push(op, expect, Layout::Nothing);
        }
        Ok(())
    }
}

fn read_plan(node: &Node) -> Result<bool, Problem> {
    match node.text()? {
        "lands" => Ok(true),
        "blocked" => Ok(false),
        other => {
            let known = ["lands", "blocked"];
            Err(Problem::unknown_name(node.at, "end of a DMA", other, known))
        }
    }
}

/// `phys: {of: $page, save: pa}`
#[derive(Debug, Clone, PartialEq)]
pub struct Phys {
    of: Value,
    save: String,
}

impl Phys {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "phys")?;
        let of = value::value(fields.need("of")?)?;
        let node = fields.need("save")?;
        let save = node.text()?.to_owned();
        value::check_name(node, &save)?;
        fields.finish()?;
        Ok(Self { of, save })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("physical address of {}", show(&self.of))
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.prepare(Op::Phys {
            at: self.of.clone(),
            save: self.save.clone(),
        });
        Ok(())
    }
}
