//! Judges an observation: one total function from what was seen to a verdict.

use std::collections::HashMap;

use case::{Check, Compiled, Expect, FieldWant, Parts, Sources, Want, WantData, WantEnd, Xfail};
use wire::{Dma, DmaEnd, End, Observed, Op, Outcome, Value};

use crate::{
    guest::{CaseEnd, Lost, Observation},
    injected, race, splat,
    verdict::Verdict,
};

/// A verdict and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, for every verdict but a plain PASS.
    pub reason: Option<String>,
    /// Whether a step showed what the plan demands where Linux is known to deviate.
    pub conforms_to_plan: bool,
    /// The first step that is not as expected, counted from 0.
    pub failed_step: Option<usize>,
}

impl Judgement {
    fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            reason: Some(reason.into()),
            conforms_to_plan: false,
            failed_step: None,
        }
    }

    /// A known failure that did not show.
    fn stale(reason: &str) -> Self {
        let text = format!("passes, although known to fail: {reason}");
        Self::new(Verdict::Xpass, text)
    }

    /// With what the kernel had complained about before, as the likely cause.
    fn after(self, splat: Option<String>) -> Self {
        let Some(splat) = splat else { return self };
        let reason = self.reason.unwrap_or_default();
        let text = format!("{reason}\nbefore, the kernel complained:\n{splat}");
        Self::new(self.verdict, text)
    }

    /// With how the guest or the case's process ended thereafter.
    fn ended(self, lost: Option<Self>) -> Self {
        let Some(how) = lost.and_then(|lost| lost.reason) else {
            return self;
        };
        let splat = self.reason.unwrap_or_default();
        Self::new(self.verdict, format!("{how}\n{splat}"))
    }

    /// At a step.
    fn at(self, failed_step: Option<usize>) -> Self {
        Self {
            failed_step,
            ..self
        }
    }

    /// A case whose need is not met.
    #[must_use]
    pub fn skip(need: &str) -> Self {
        Self::new(Verdict::Skip, format!("needs {need}"))
    }

    /// Infrastructure failed before the case could run.
    #[must_use]
    pub fn error(why: &str) -> Self {
        Self::new(Verdict::Error, why)
    }
}

/// Failures that are known, with their reasons.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// Of the case, on this guest.
    pub xfail: Option<&'a Xfail>,
    /// Of the platform: DMA that should land never does.
    pub dma_never_lands: Option<&'a str>,
}

fn is_known(splat: &str, xfail: &Xfail) -> bool {
    xfail
        .splat
        .as_deref()
        .is_some_and(|text| splat.contains(text))
}

/// Judges what was seen. `snapshot` is the outcome of comparing the transcript: none when it
/// is as stored.
#[must_use]
pub fn judge(
    compiled: &Compiled,
    observation: &Observation,
    known: Known<'_>,
    snapshot: Option<String>,
    sources: &Sources,
) -> Judgement {
    let splat = splat::find(&observation.kmsg);
    let place = || lost_at(compiled, observation, sources);
    let known_splat = known.xfail.filter(|xfail| xfail.splat.is_some());
    match (splat, known_splat, lost(observation)) {
        // An excuse for a complaint excuses no guest that panics or hangs.
        (splat, _, Some(lost)) if lost.verdict != Verdict::Error => {
            return lost.after(splat).at(place());
        }
        (Some(splat), Some(known), _) if is_known(&splat, known) => {
            return Judgement::new(Verdict::Xfail, &known.reason);
        }
        // A process that the kernel ended in an Oops is no failure of the harness.
        (Some(splat), _, lost) => {
            let place = lost.is_some().then(place).flatten();
            return Judgement::new(Verdict::Splat, splat).ended(lost).at(place);
        }
        (None, _, Some(lost)) => return lost.at(place()),
        (None, Some(known), None) => return Judgement::stale(&known.reason),
        (None, None, None) => {}
    }
    let xfail = known.xfail.map(|xfail| xfail.reason.as_str());
    let steps = judge_steps(compiled, observation, sources);
    let mut excuse = xfail;
    let mut failed_step = None;
    if compiled.checks.iter().any(|check| check.needs_dma) {
        excuse = excuse.or(known.dma_never_lands);
    }
    let (failure, conforms_to_plan) = match steps {
        Steps::AsExpected => (left_behind(observation).or(snapshot), false),
        Steps::AsPlanned => (left_behind(observation), true),
        Steps::Broken(why) => return Judgement::error(&why),
        Steps::Failed { why, step, landing } => {
            failed_step = Some(step);
            // What is known of DMA excuses no other failure.
            excuse = xfail.or(excuse.filter(|_| landing));
            (Some(why), false)
        }
    };
    let mut judgement = match (failure, excuse) {
        (None, None) => Judgement {
            verdict: Verdict::Pass,
            reason: None,
            conforms_to_plan,
            failed_step: None,
        },
        (Some(why), None) => Judgement::new(Verdict::Fail, why),
        (Some(_), Some(reason)) => Judgement::new(Verdict::Xfail, reason),
        (None, Some(reason)) => Judgement::stale(reason),
    };
    judgement.conforms_to_plan = conforms_to_plan;
    judgement.failed_step = failed_step;
    judgement
}

fn lost(observation: &Observation) -> Option<Judgement> {
    let (verdict, reason) = match &observation.end {
        CaseEnd::Lost(lost @ Lost::Panic(_)) => (Verdict::Panic, lost.to_string()),
        CaseEnd::Lost(lost @ Lost::Frozen) => (Verdict::Hang, lost.to_string()),
        CaseEnd::Lost(lost) => (Verdict::Error, lost.to_string()),
        CaseEnd::Done {
            end: End::TimedOut { stack },
            ..
        } => (
            Verdict::Hang,
            format!("the case hangs and was killed\n{stack}"),
        ),
        CaseEnd::Done {
            end: End::Unkillable { stack },
            ..
        } => (
            Verdict::Hang,
            format!("the case hangs in the kernel and cannot be killed\n{stack}"),
        ),
        CaseEnd::Done {
            end: End::Killed { signal },
            ..
        } => (
            Verdict::Error,
            format!("the case's process died of signal {signal}"),
        ),
        CaseEnd::Done {
            end: End::Exited { code },
            ..
        } => (
            Verdict::Error,
            format!("the case's process ended with code {code}"),
        ),
        CaseEnd::Done {
            end: End::Finished | End::Stopped,
            ..
        } => return None,
    };
    let last = observation.outcomes.iter().rposition(Option::is_some);
    let at = last.map_or("before the first op".to_owned(), |index| {
        format!("after op {index}")
    });
    Some(Judgement::new(verdict, format!("{reason} ({at})")))
}

/// The step at which a case was lost: the first that went wrong before, or else the first of
/// which nobody heard how it ended.
fn lost_at(compiled: &Compiled, observation: &Observation, sources: &Sources) -> Option<usize> {
    if let Steps::Failed { step, .. } = judge_steps(compiled, observation, sources) {
        return Some(step);
    }
    let ended = observation.outcomes.iter().take_while(|it| it.is_some());
    Some(compiled.checks.get(ended.count())?.step)
}

fn left_behind(observation: &Observation) -> Option<String> {
    let CaseEnd::Done { changes, .. } = &observation.end else {
        return None;
    };
    let text = format!(
        "the case leaves the guest changed:\n  {}",
        changes.join("\n  ")
    );
    observation.left_changes().then_some(text)
}

enum Steps {
    AsExpected,
    AsPlanned,
    Failed {
        why: String,
        step: usize,
        landing: bool,
    },
    Broken(String),
}

fn judge_steps(compiled: &Compiled, observation: &Observation, sources: &Sources) -> Steps {
    let mut slots = Slots::default();
    let ops = compiled.plan.ops.iter().zip(&compiled.checks);
    for ((op, check), outcome) in ops.zip(&observation.outcomes) {
        let Some(outcome) = outcome else {
            return Steps::Broken(format!("{}: no outcome was reported", check.label));
        };
        if let Some(why) = broken(outcome) {
            let place = sources.place(check.at);
            return Steps::Broken(format!("{place}: {}: {why}", check.label));
        }
        let planned = check
            .plan
            .as_ref()
            .is_some_and(|plan| ends_as(plan, outcome));
        if planned && !ends_as(&check.expect.end, outcome) {
            return Steps::AsPlanned;
        }
        if let Err(mismatch) = compare_op(op, check, outcome, &mut slots) {
            let why = describe(check, &mismatch, sources);
            return Steps::Failed {
                why,
                step: check.step,
                landing: check.needs_dma,
            };
        }
        slots.learn(op, outcome);
    }
    Steps::AsExpected
}

fn compare_op(
    op: &Op,
    check: &Check,
    outcome: &Outcome,
    slots: &mut Slots,
) -> Result<(), Mismatch> {
    match &check.parts {
        Parts::Whole => compare(&check.expect, outcome, slots),
        Parts::Injected(injection) => injected::compare_all(op, check, injection, outcome, slots),
        Parts::Together(race) => race::compare_all(race, outcome, slots),
    }
}

/// Sees a case go wrong while it runs.
#[derive(Debug)]
pub struct Lookout<'a> {
    compiled: &'a Compiled,
    slots: Slots,
}

impl<'a> Lookout<'a> {
    /// Of a case that begins.
    #[must_use]
    pub fn new(compiled: &'a Compiled) -> Self {
        Self {
            compiled,
            slots: Slots::default(),
        }
    }

    /// Whether the op at this position did not end as expected. Has to hear of all, in their
    /// order.
    pub fn sees_failure(&mut self, index: usize, outcome: &Outcome) -> bool {
        let op = self.compiled.plan.ops.get(index);
        let Some((op, check)) = op.zip(self.compiled.checks.get(index)) else {
            return false;
        };
        let failed = compare_op(op, check, outcome, &mut self.slots).is_err();
        self.slots.learn(op, outcome);
        failed
    }
}

/// Why the agent could not carry an op out, or a part of it.
fn broken(outcome: &Outcome) -> Option<&str> {
    match &outcome.observed {
        Observed::Broken { why } => Some(why),
        Observed::Together(outcomes) => outcomes.iter().find_map(broken),
        _ => None,
    }
}

fn describe(check: &Check, mismatch: &Mismatch, sources: &Sources) -> String {
    format!(
        "step {} ({}) at {}\n  expected: {}\n  observed: {}",
        check.step + 1,
        check.label,
        sources.place(check.at),
        mismatch.expected,
        mismatch.observed
    )
}

/// What an op should have shown and what it showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// In words.
    pub expected: String,
    /// In words.
    pub observed: String,
}

/// Values that ops saved, told from their outcomes.
#[derive(Debug, Default)]
pub struct Slots(HashMap<String, u64>);

impl Slots {
    /// Takes over what the op left.
    pub fn learn(&mut self, op: &Op, outcome: &Outcome) {
        for left in op.leaves(outcome) {
            self.0.insert(left.target.slot().to_owned(), left.value);
        }
    }

    fn value(&self, value: &Value) -> Option<u64> {
        match value {
            Value::Const(number) => Some(*number),
            Value::Slot { name, add } => Some(self.0.get(name)?.wrapping_add(*add)),
        }
    }
}

/// Compares one outcome with what was expected of it.
///
/// # Errors
/// With the first difference.
pub fn compare(expect: &Expect, outcome: &Outcome, slots: &Slots) -> Result<(), Mismatch> {
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
        check_want("return value", want, ret, slots, |value| {
            format!("{value:#x}")
        })?;
    }
    for field in &expect.fields {
        check_field(field, data, slots)?;
    }
    check_data(&expect.data, data, slots)
}

pub(crate) fn ends_as(want: &WantEnd, outcome: &Outcome) -> bool {
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

pub(crate) fn want_end(want: &WantEnd) -> String {
    match want {
        WantEnd::Success => "success".to_owned(),
        WantEnd::Errno(errno) => errno_text(*errno),
        WantEnd::Signal(signal) => signal_text(*signal),
        WantEnd::Lands { signature } => format!("DMA lands, signed {signature}"),
        WantEnd::Blocked => "DMA is blocked".to_owned(),
    }
}

/// How an op ended, in words.
#[must_use]
pub fn observed_end(outcome: &Outcome) -> String {
    match &outcome.observed {
        Observed::Ok { .. } => "success".to_owned(),
        Observed::Errno { errno, .. } => errno_text(*errno),
        Observed::Signal(signal) => signal_text(*signal),
        Observed::Dma(dma) => dma_text(dma),
        Observed::Injected(injected) => injected::text(injected),
        Observed::Together(outcomes) => race::text(outcomes.iter().map(observed_end)),
        Observed::NotRun { missing } => {
            format!("not run: nothing was saved as `{missing}`, because an earlier step failed")
        }
        Observed::Broken { why } => format!("the agent failed: {why}"),
    }
}

fn dma_text(dma: &Dma) -> String {
    let device = match dma.end {
        DmaEnd::Completed => "the device completed its DMA",
        DmaEnd::Faulted => "the device's DMA was refused",
        DmaEnd::TimedOut => "the device's DMA did not end",
        DmaEnd::Absent => "the device does not answer at all",
    };
    match (dma.changed, dma.signature.as_str()) {
        (0, _) => format!("{device}, the page is untouched"),
        (changed, "") => format!("{device}, {changed} bytes of the page changed"),
        (changed, by) => format!("{device}, {changed} bytes of the page changed, signed {by}"),
    }
}

/// Name of an error number.
#[must_use]
pub(crate) fn errno_text(errno: i32) -> String {
    uapi::errno_name(errno).map_or_else(|| format!("errno {errno}"), str::to_owned)
}

fn signal_text(signal: i32) -> String {
    match signal {
        7 => "SIGBUS".to_owned(),
        11 => "SIGSEGV".to_owned(),
        other => format!("signal {other}"),
    }
}

fn check_field(want: &FieldWant, data: &[u8], slots: &Slots) -> Result<(), Mismatch> {
    let name = want.field.name;
    let Some(value) = data.get(want.base..).and_then(|data| want.field.get(data)) else {
        let observed = format!("the {} bytes of data end before it", data.len());
        return Err(Mismatch {
            expected: format!("a field {name}"),
            observed,
        });
    };
    check_want(name, &want.want, value, slots, |value| {
        want.field.text(value)
    })
}

fn check_want(
    what: &str,
    want: &Want,
    value: u64,
    slots: &Slots,
    text: impl Fn(u64) -> String,
) -> Result<(), Mismatch> {
    let known = |wanted: &Value| {
        slots.value(wanted).ok_or_else(|| Mismatch {
            expected: format!("{what} to be compared with {wanted:?}"),
            observed: "nothing was saved under that name".to_owned(),
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

fn check_data(want: &WantData, data: &[u8], slots: &Slots) -> Result<(), Mismatch> {
    if let WantData::Number(want) = want {
        let value = wire::little_endian(data);
        return check_want("value", want, value, slots, |value| format!("{value:#x}"));
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

/// A few bytes in hexadecimal, or text where it is one.
#[must_use]
pub fn shown_bytes(data: &[u8]) -> String {
    let printable = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    if !data.is_empty() && data.iter().all(printable) {
        return format!("`{}`", String::from_utf8_lossy(data).trim());
    }
    let shown: Vec<_> = data
        .iter()
        .take(16)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let more = if data.len() > 16 {
        format!(" ... ({} bytes)", data.len())
    } else {
        String::new()
    };
    format!("{}{more}", shown.join(" "))
}
