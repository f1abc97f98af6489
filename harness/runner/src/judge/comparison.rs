//! Compares one outcome with the expectation.

use case::{Expect, FieldWant, Want, WantData, WantEnd};
use wire::{DmaEnd, Observed, Outcome, Value};

use crate::judge::{
    description::{observed_end, shown_bytes, want_end},
    values::Values,
};

/// What was expected of an op and what was observed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// A description.
    pub expected: String,
    /// A description.
    pub observed: String,
}

/// Compares one outcome with the expectation. The error is the first difference.
pub fn compare(expect: &Expect, outcome: &Outcome, values: &Values) -> Result<(), Mismatch> {
    if !ends_as(&expect.end, outcome) {
        return Err(Mismatch {
            expected: want_end(&expect.end),
            observed: observed_end(outcome),
        });
    }
    let (ret, data) = match &outcome.observed {
        Observed::Ok { ret, data } => (*ret, data.as_slice()),
        Observed::Errno { data, .. } => (0, data.as_slice()),
        _ => return Ok(()),
    };
    if let Some(want) = &expect.returns {
        check_want("return value", want, ret, values, |value| {
            format!("{value:#x}")
        })?;
    }
    for field in &expect.fields {
        check_field(field, data, values)?;
    }
    check_data(&expect.data, data, values)
}

/// Whether the op ended as `want` says.
pub fn ends_as(want: &WantEnd, outcome: &Outcome) -> bool {
    match (want, &outcome.observed) {
        (WantEnd::Success, Observed::Ok { .. }) => true,
        (WantEnd::Errno(want), Observed::Errno { errno, .. }) => want == errno,
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
        return Err(Mismatch {
            expected: format!("a field `{name}`"),
            observed,
        });
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
        values.value(wanted).ok_or_else(|| Mismatch {
            expected: format!("{what} to be compared with {wanted:?}"),
            observed: "no value was saved under that name".to_owned(),
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
    Err(Mismatch {
        expected,
        observed: format!("{what} {}", text(value)),
    })
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
    Err(Mismatch {
        expected: format!("{want:x?}"),
        observed: shown_bytes(data),
    })
}
