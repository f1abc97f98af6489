//! `memfd`, `udmabuf`: files that are memory.

use wire::{Op, Value};

use crate::{
    build::Builder,
    expect::{Expect, Layout, WantEnd},
    fields::Fields,
    node::{Node, Tree},
    problem::Problem,
    steps::{memory::FILL, step::read_errno},
    value,
};

/// `F_SEAL_*` of `linux/fcntl.h`.
const SEALS: [(&str, u32); 5] = [
    ("SEAL", 0x1),
    ("SHRINK", 0x2),
    ("GROW", 0x4),
    ("WRITE", 0x8),
    ("FUTURE_WRITE", 0x10),
];

/// `memfd: {file: 0x4000, other: {size: 0x4000, hole: true, seals: [SHRINK], huge: true}}`
#[derive(Debug, Clone, PartialEq)]
pub struct Memfd(Vec<File>);

#[derive(Debug, Clone, PartialEq)]
struct File {
    slot: String,
    size: u64,
    fill: Option<u8>,
    seals: u32,
    huge: bool,
}

impl Memfd {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let files = body.entries()?.iter().map(|(name, node)| {
            let place = Node {
                at: name.at,
                tree: Tree::Text(name.text.clone()),
            };
            File::read(value::name(&place)?, node)
        });
        files.collect::<Result<_, _>>().map(Self)
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|file| file.slot.as_str()).collect();
        format!("memfd {}", names.join(", "))
    }

    /// Adds its ops.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        for file in &self.0 {
            if file.huge {
                to.cast.need_feature(Some("hugepages"))?;
            }
            to.prepare(Op::Memfd {
                size: file.size,
                fill: file.fill,
                seals: file.seals,
                huge: file.huge,
                save: file.slot.clone(),
            });
        }
        Ok(())
    }
}

impl File {
    fn read(slot: String, node: &Node) -> Result<Self, Problem> {
        if let Tree::Int(size) = node.tree {
            return Ok(Self {
                slot,
                size,
                fill: Some(FILL),
                seals: 0,
                huge: false,
            });
        }
        let mut fields = Fields::of(node, "memfd")?;
        let size = fields.number("size")?.unwrap_or(0x1000);
        let fill = fields.number("fill")?.unwrap_or(u64::from(FILL)) as u8;
        let hole = fields.flag("hole")?;
        let huge = fields.flag("huge")?;
        let mut seals = 0;
        for item in fields.take("seals").map_or(&[][..], Node::items) {
            seals |= read_seal(item)?;
        }
        fields.finish()?;
        Ok(Self {
            slot,
            size,
            fill: (!hole).then_some(fill),
            seals,
            huge,
        })
    }
}

fn read_seal(node: &Node) -> Result<u32, Problem> {
    let name = node.text()?;
    let found = SEALS.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, bit)| *bit)
        .ok_or_else(|| Problem::unknown_name(node.at, "seal", name, SEALS.map(|(name, _)| name)))
}

/// `udmabuf: {save: buffer, of: $file, offset: 0, size: 0x1000, errno: EINVAL}`
#[derive(Debug, Clone, PartialEq)]
pub struct Udmabuf {
    save: String,
    file: Value,
    offset: u64,
    size: u64,
    end: WantEnd,
}

impl Udmabuf {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "udmabuf")?;
        let save = value::name(fields.need("save")?)?;
        let file = value::value(fields.need("of")?)?;
        let offset = fields.number("offset")?.unwrap_or(0);
        let size = fields.number("size")?.unwrap_or(0x1000);
        let end = read_errno(&mut fields)?;
        fields.finish()?;
        Ok(Self {
            save,
            file,
            offset,
            size,
            end,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("udmabuf {}", self.save)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.cast.need_feature(Some("udmabuf"))?;
        let op = Op::Udmabuf {
            file: self.file.clone(),
            offset: self.offset,
            size: self.size,
            save: self.save.clone(),
        };
        to.push(op, Expect::ending(self.end.clone()), Layout::Nothing);
        Ok(())
    }
}
