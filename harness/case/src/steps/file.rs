//! `read_file`, `write_file`, `random`, `fault`.

use wire::{Location, Op};

use crate::{
    build::Builder,
    expect::{Expect, Layout, WantData, WantEnd},
    fields::Fields,
    node::Node,
    problem::Problem,
    steps::step::read_errno,
};

/// `read_file: {path: "/sys/kernel/iommu_groups/{group}/type", text: identity}`
#[derive(Debug, Clone, PartialEq)]
pub struct ReadFile {
    path: String,
    data: WantData,
    end: WantEnd,
}

impl ReadFile {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "read_file")?;
        let path = fields.need("path")?.text()?.to_owned();
        let text = fields
            .text("text")?
            .map(|text| WantData::Text(text.to_owned()));
        let word = fields
            .text("word")?
            .map(|word| WantData::Word(word.to_owned()));
        let end = read_errno(&mut fields)?;
        fields.finish()?;
        Ok(Self {
            path,
            data: text.or(word).unwrap_or(WantData::Anything),
            end,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("read {}", self.path)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let at = Location::Path(to.cast.fill(&self.path)?);
        let mut expect = Expect::ending(self.end.clone());
        expect.data = self.data.clone();
        to.push(Op::ReadFile { at }, expect, Layout::Text);
        Ok(())
    }
}

/// How long a file may take to say what is waited for.
const DEADLINE_MS: u64 = 2000;

/// `await_file: {path: "/sys/bus/pci/devices/{group.0}/power/runtime_status", text: suspended}`
#[derive(Debug, Clone, PartialEq)]
pub struct AwaitFile {
    path: String,
    text: String,
    timeout_ms: u64,
}

impl AwaitFile {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "await_file")?;
        let path = fields.need("path")?.text()?.to_owned();
        let text = fields.need("text")?.text()?.to_owned();
        let timeout_ms = fields.number("ms")?.unwrap_or(DEADLINE_MS);
        fields.finish()?;
        Ok(Self {
            path,
            text,
            timeout_ms,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("wait for {} in {}", self.text, self.path)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = Op::AwaitFile {
            at: Location::Path(to.cast.fill(&self.path)?),
            text: self.text.clone(),
            timeout_ms: self.timeout_ms,
        };
        let mut expect = Expect::SUCCESS;
        expect.data = WantData::Text(self.text.clone());
        to.push(op, expect, Layout::Text);
        Ok(())
    }
}

/// `write_file: {path: /sys/..., text: "1", after: "0", errno: EBUSY}`
///
/// `after` is written when the case is over, however it ends: the file is of the whole guest.
#[derive(Debug, Clone, PartialEq)]
pub struct WriteFile {
    path: String,
    text: String,
    after: Option<String>,
    end: WantEnd,
}

impl WriteFile {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "write_file")?;
        let path = fields.need("path")?.text()?.to_owned();
        let text = fields.need("text")?.text()?.to_owned();
        let after = fields.text("after")?.map(str::to_owned);
        let end = read_errno(&mut fields)?;
        fields.finish()?;
        Ok(Self {
            path,
            text,
            after,
            end,
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("write {} to {}", self.text, self.path)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// With the need that the guest does not meet.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let at = Location::Path(to.cast.fill(&self.path)?);
        let text = to.cast.fill(&self.text)?;
        if let Some(after) = &self.after {
            to.touch_file(at.clone(), after);
        }
        to.push(
            Op::WriteFile { at, text },
            Expect::ending(self.end.clone()),
            Layout::Nothing,
        );
        Ok(())
    }
}

/// `random: {bytes: 16}`: the native driver of the only bound random number device fetches
/// them by DMA. `errno: ENODEV` where no such device is bound.
#[derive(Debug, Clone, PartialEq)]
pub struct Random {
    bytes: u64,
    end: WantEnd,
}

impl Random {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let mut fields = Fields::of(body, "random")?;
        let bytes = fields.number("bytes")?.unwrap_or(16);
        let end = read_errno(&mut fields)?;
        fields.finish()?;
        Ok(Self { bytes, end })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        "random bytes through the native driver".to_owned()
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        let op = Op::ReadDevice {
            path: "/dev/hwrng".to_owned(),
            length: self.bytes,
            timeout_ms: 2000,
        };
        let mut expect = Expect::ending(self.end.clone());
        if self.end == WantEnd::Success {
            expect.data = WantData::Length(usize::try_from(self.bytes).unwrap_or(usize::MAX));
            to.push_dma(op, expect, Layout::Volatile);
        } else {
            to.push(op, expect, Layout::Volatile);
        }
        Ok(())
    }
}

/// `fault: panic`: only for the tests of the harness.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault(wire::Fault);

const FAULTS: [(&str, wire::Fault); 8] = [
    ("none", wire::Fault::None),
    ("panic", wire::Fault::PanicKernel),
    ("hang", wire::Fault::Hang),
    ("kill_agent", wire::Fault::KillAgent),
    ("warn", wire::Fault::Warn),
    ("die", wire::Fault::Die),
    ("garbage", wire::Fault::Garbage),
    ("lock_memory", wire::Fault::LockMemory),
];

impl Fault {
    /// Reads the step.
    ///
    /// # Errors
    /// With the first thing that is wrong.
    pub fn read(body: &Node) -> Result<Self, Problem> {
        let name = body.text()?;
        let found = FAULTS.iter().find(|(known, _)| *known == name);
        found.map(|(_, fault)| Self(*fault)).ok_or_else(|| {
            Problem::unknown_name(body.at, "fault", name, FAULTS.map(|(name, _)| name))
        })
    }

    /// What it does.
    #[must_use]
    pub fn label(&self) -> String {
        format!("fault {:?}", self.0)
    }

    /// Adds its op.
    ///
    /// # Errors
    /// Never.
    pub fn compile(&self, to: &mut Builder<'_>) -> Result<(), String> {
        to.push(Op::Fault(self.0), Expect::SUCCESS, Layout::Nothing);
        Ok(())
    }
}
