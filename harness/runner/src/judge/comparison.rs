//! Compares one outcome with the expectation.

use case::{Expect, FieldWant, Want, WantData, WantEnd};
use wire::{DmaEnd, Observed, Outcome, Value};

use crate::judge::{
    description::{detail, observed_end, shown_bytes, want_end},
    values::Values,
};

/// What was expected of an op and what was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// A description.
    pub expected: String,
    /// A description that is the same in every run and build.
    pub observed: String,
    /// What else was observed, which may differ between runs and builds: the number of bytes that
    /// DMA changed, the points of injected failures.
    pub details: Vec<String>,
}

impl Mismatch {
    /// A mismatch without details.
    pub fn new(expected: impl Into<String>, observed: impl Into<String>) -> Self {
        Self {
            expected: expected.into(),
            observed: observed.into(),
            details: Vec::new(),
        }
    }
}

/// Compares one outcome with the expectation. Returns every difference; if it ended differently,
/// this is the only one.
pub fn compare(expect: &Expect, outcome: &Outcome, values: &Values) -> Vec<Mismatch> {
    if !ends_as(&expect.end, outcome) {
        let mismatch = Mismatch::new(want_end(&expect.end), observed_end(outcome));
        let details = detail(outcome).into_iter().collect();
        return vec![Mismatch {
            details,
            ..mismatch
        }];
    }
    let (ret, data) = match &outcome.observed {
        Observed::Ok { ret, data } => (*ret, data.as_slice()),
        Observed::Errno { data, .. } => (0, data.as_slice()),
        _ => return Vec::new(),
    };
    let hex = |value| format!("{value:#x}");
    let returned = expect.returns.iter();
    let returned = returned.map(|want| check_want("return value", want, ret, values, hex));
    let fields = expect.fields.iter();
    let fields = fields.map(|field| check_field(field, data, values));
    let of_data = [check_data(&expect.data, data, values)];
    let checks = returned.chain(fields).chain(of_data);
    checks.filter_map(Result::err).collect()
}

/// Whether the op ended as `want` says.
pub fn ends_as(want: &WantEnd, outcome: &Outcome) -> bool {
    match (want, &outcome.observed) {
        (WantEnd::Success, Observed::Ok { .. }) => true,
        (WantEnd::Errno(want), Observed::Errno { errno, .. }) => want == errno,
        (WantEnd::Refused, Observed::Errno { .. }) => true,
        (WantEnd::Signal(want), Observed::Signal(signal)) => want == signal,
        (WantEnd::Lands { signature }, Observed::Dma(dma)) => {
            dma.end == DmaEnd::Completed && dma.changed > 0 && dma.signature == *signature
        }
        (WantEnd::Blocked, Observed::Dma(dma)) => dma.end == DmaEnd::Faulted && dma.changed == 0,
        _ => false,
    }
}

fn check_field(want: &FieldWant, data: &[u8], values: &Values) -> Result<(), Mismatch> {
    let name = want.field.name;
    let Some(value) = data.get(want.base..).and_then(|data| want.field.get(data)) else {
        let observed = format!(
            "the data has only {} bytes and ends before the field",
            data.len()
        );
        return Err(Mismatch::new(format!("a field `{name}`"), observed));
    };
    check_want(name, &want.want, value, values, |value| {
        want.field.text(value)
    })
}

fn check_want(
    what: &str,
    want: &Want,
    value: u64,
    values: &Values,
    text: impl Fn(u64) -> String,
) -> Result<(), Mismatch> {
    let known = |wanted: &Value| {
        values.value(wanted).ok_or_else(|| {
            let expected = format!("{what} to be compared with {wanted:?}");
            Mismatch::new(expected, "no value was saved under that name")
        })
    };
    let (met, expected) = match want {
        Want::Is(wanted) => {
            let wanted = known(wanted)?;
            (value == wanted, format!("{what} {}", text(wanted)))
        }
        Want::Not(wanted) => {
            let wanted = known(wanted)?;
            (
                value != wanted,
                format!("{what} other than {}", text(wanted)),
            )
        }
        Want::Has(bits) => (
            value & bits == *bits,
            format!("{what} with {}", text(*bits)),
        ),
        Want::Lacks(bits) => (value & bits == 0, format!("{what} without {}", text(*bits))),
    };
    if met {
        return Ok(());
    }
    Err(Mismatch::new(expected, format!("{what} {}", text(value))))
}

fn check_data(want: &WantData, data: &[u8], values: &Values) -> Result<(), Mismatch> {
    if let WantData::Number(want) = want {
        let value = wire::little_endian(data);
        return check_want("value", want, value, values, |value| format!("{value:#x}"));
    }
    let text = String::from_utf8_lossy(data);
    let met = match want {
        WantData::Anything | WantData::Number(_) => true,
        WantData::All(byte) => data.iter().all(|other| other == byte),
        WantData::Changed(byte) => data.iter().any(|other| other != byte),
        WantData::Bytes(bytes) => data == bytes,
        WantData::Text(wanted) => text.trim() == wanted.trim(),
        WantData::Word(word) => text
            .split_whitespace()
            .any(|other| other.trim_matches(['[', ']']) == word),
        WantData::Length(length) => data.len() == *length,
    };
    if met {
        return Ok(());
    }
    let expected = match want {
        WantData::Text(text) => shown_bytes(text.as_bytes()),
        want => format!("{want:x?}"),
    };
    Err(Mismatch::new(expected, shown_bytes(data)))
}
