//! Judges an observation: one total function from the observation to a verdict.

use case::{Check, Compiled, Findings, Parts, Xfail};
use wire::{DmaEnd, End, Observed, Outcome};

use crate::{
    guest::{CaseEnd, Lost, Observation},
    judge::{
        exact::Seen,
        failure::{Failure, Lacking},
        steps::Steps,
    },
    splat,
    verdict::Verdict,
};

/// A verdict with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The reason, for every verdict except a plain PASS.
    pub reason: Option<String>,
    /// The clauses of the plan that every step is as they demand, where Linux is known to deviate.
    pub as_planned: Vec<String>,
    /// The first step that is not as expected, counted from 0.
    pub failed_step: Option<usize>,
    /// Whether it fails by its transcript alone: every expectation is met.
    pub only_transcript: bool,
}

impl Judgement {
    fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            reason: Some(reason.into()),
            as_planned: Vec::new(),
            failed_step: None,
            only_transcript: false,
        }
    }

    /// Every expectation is met, and the transcript differs.
    fn changed(difference: String) -> Self {
        Self {
            only_transcript: true,
            ..Self::new(Verdict::Fail, difference)
        }
    }

    /// A case passed although it is known to fail.
    fn stale(reason: &str) -> Self {
        let text = format!("passes, although known to fail: {reason}");
        Self::new(Verdict::Xpass, text)
    }

    /// Adds an earlier complaint of the kernel to the reason, as the likely cause.
    fn after(self, splat: Option<String>) -> Self {
        let Some(splat) = splat else { return self };
        let reason = self.reason.unwrap_or_default();
        let text = format!("{reason}\nthe kernel complained before:\n{splat}");
        Self::new(self.verdict, text)
    }

    /// Adds how the guest or the case's process ended afterwards.
    fn ended(self, lost: Option<Self>) -> Self {
        let Some(how) = lost.and_then(|lost| lost.reason) else {
            return self;
        };
        let splat = self.reason.unwrap_or_default();
        Self::new(self.verdict, format!("{how}\n{splat}"))
    }

    /// Says that this is not the known failure.
    fn although_known(self, known: &Xfail, verdict: Verdict, differences: &[String]) -> Self {
        let differences = differences.join("; ");
        let reason = self.reason.unwrap_or_default();
        let text = format!(
            "the known failure is {}, but {differences}\n{reason}",
            known.reason
        );
        Self {
            verdict,
            reason: Some(text),
            ..self
        }
    }

    /// Sets the failed step.
    fn at(self, failed_step: Option<usize>) -> Self {
        Self {
            failed_step,
            ..self
        }
    }

    /// The verdict for a case with an unmet need.
    pub fn skip(need: &str) -> Self {
        Self::new(Verdict::Skip, format!("needs {need}"))
    }

    /// The verdict for a case whose need was promised and is not met, which another record fails
    /// for.
    pub fn waiting(for_id: &str, need: &str) -> Self {
        Self::new(Verdict::Skip, format!("waits for {for_id}: needs {need}"))
    }

    /// The verdict if the infrastructure failed before the case could run.
    pub fn error(why: &str) -> Self {
        Self::new(Verdict::Error, why)
    }
}

/// Known failures with their reasons.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// Known failure of the case on this guest.
    pub xfail: Option<&'a Xfail>,
    /// Findings, of which some complain in any case.
    pub findings: Option<&'a Findings>,
    /// Known failure of the platform: the reason why DMA never lands on it.
    pub dma_never_lands: Option<&'a str>,
    /// Known failure of the platform: the reason why devices of the mock are not made on it. A
    /// kernel on which they are made has a backport.
    pub mock_devices_unbound: Option<&'a str>,
}

impl Known<'_> {
    /// Returns the reason why the platform is known to fail in this way.
    fn of_platform(&self, failure: &Failure) -> Option<&str> {
        match failure.lacking? {
            Lacking::Landing => self.dma_never_lands,
            Lacking::MockDevice => self.mock_devices_unbound,
        }
    }
}

/// Judges what was observed. `snapshot` compares the transcript and returns the difference, if
/// there is one. It is called only for a case that met its expectations.
pub fn judge(
    compiled: &Compiled,
    observation: &Observation,
    steps: &Steps,
    known: Known<'_>,
    snapshot: impl FnOnce() -> Option<String>,
) -> Judgement {
    let of_platform = |failure: &Failure| known.of_platform(failure).is_some();
    let explaining = |complaint: &str| {
        let finding = known.findings?.explaining(complaint)?.reason;
        // A case that names the finding has to show it.
        let is_own = known.xfail.is_some_and(|own| own.reason == finding);
        (!is_own).then_some(finding)
    };
    let seen = || Seen::of(compiled, observation, steps, of_platform, explaining);
    let Some(xfail) = known.xfail else {
        let unexcused = judge_unexcused(compiled, observation, steps, known, snapshot);
        return match unexcused.verdict {
            Verdict::Splat => judge_complaint(unexcused, seen().as_ref()),
            _ => unexcused,
        };
    };
    // A known failure is looked at as a whole, so its transcript is not compared.
    let unexcused = judge_unexcused(compiled, observation, steps, known, || None);
    match seen() {
        Some(seen) => judge_known(unexcused, &seen, xfail),
        None => unexcused,
    }
}

/// Judges a case as if it were not known to fail.
fn judge_unexcused(
    compiled: &Compiled,
    observation: &Observation,
    steps: &Steps,
    known: Known<'_>,
    snapshot: impl FnOnce() -> Option<String>,
) -> Judgement {
    match judge_guest(compiled, observation, steps) {
        Some(judgement) => judgement,
        None => judge_steps(compiled, observation, steps, known, snapshot),
    }
}

/// Judges a case with a complaint that is not known of it: a finding may complain in any case.
fn judge_complaint(unexcused: Judgement, seen: Option<&Seen>) -> Judgement {
    match seen.and_then(Seen::only_anywhere) {
        Some(finding) => Judgement::new(Verdict::Xfail, finding),
        None => unexcused,
    }
}

/// Judges a case that is known to fail, given its verdict if it were not.
fn judge_known(unexcused: Judgement, seen: &Seen, known: &Xfail) -> Judgement {
    if seen.is_nothing() {
        return match unexcused.verdict {
            Verdict::Pass => Judgement {
                as_planned: unexcused.as_planned,
                ..Judgement::stale(&known.reason)
            },
            _ => unexcused,
        };
    }
    let differences = seen.differs_from(&known.shows);
    if differences.is_empty() {
        return Judgement::new(Verdict::Xfail, &known.reason).at(unexcused.failed_step);
    }
    let verdict = match unexcused.verdict {
        Verdict::Splat if !seen.complains_of_more(&known.shows) => Verdict::Fail,
        Verdict::Xfail => Verdict::Fail,
        other => other,
    };
    unexcused.although_known(known, verdict, &differences)
}

/// Returns the verdict that the end of the case and the kernel log decide, independent of the
/// steps.
fn judge_guest(compiled: &Compiled, observation: &Observation, steps: &Steps) -> Option<Judgement> {
    let splat = splat::find(&observation.kmsg);
    let place = || lost_at(compiled, observation, steps);
    Some(match (splat, lost(observation)) {
        (splat, Some(lost)) if lost.verdict != Verdict::Error => lost.after(splat).at(place()),
        // If the process died in a kernel Oops, the harness is not at fault.
        (Some(splat), lost) => {
            let place = lost.is_some().then(place).flatten();
            Judgement::new(Verdict::Splat, splat).ended(lost).at(place)
        }
        (None, Some(lost)) => lost.at(place()),
        (None, None) => return None,
    })
}

/// Judges a case by its steps. A known failure of the platform excuses only steps that fail by it.
fn judge_steps(
    compiled: &Compiled,
    observation: &Observation,
    steps: &Steps,
    known: Known<'_>,
    snapshot: impl FnOnce() -> Option<String>,
) -> Judgement {
    let checks = compiled.checks.iter().zip(&observation.outcomes);
    let needs_dma = checks
        .into_iter()
        .any(|(check, outcome)| lands(check, outcome));
    let never = known.dma_never_lands.filter(|_| needs_dma);
    let left_behind = left_behind(observation);
    match steps {
        Steps::Broken(why) => Judgement::error(why),
        Steps::Failed(failures) => {
            let first = &failures.first;
            let others = failures.iter();
            let mut others = others.filter(|failure| known.of_platform(failure).is_none());
            let other = match first.lacking {
                // Without the device the steps after it mean nothing.
                Some(Lacking::MockDevice) => None,
                _ => others.next(),
            };
            match (known.of_platform(first), other, left_behind) {
                (Some(reason), None, None) => Judgement::new(Verdict::Xfail, reason),
                (Some(_), None, Some(left)) => Judgement::new(Verdict::Fail, left),
                (Some(_), Some(other), _) => failed(other),
                (None, ..) => failed(first),
            }
        }
        Steps::AsPlanned(clauses) => Judgement {
            as_planned: clauses.clone(),
            ..passed(left_behind, never, || None)
        },
        Steps::AsExpected => passed(left_behind, never, snapshot),
    }
}

/// Whether a check wants DMA to land. After a race it depends on how the race ended, and what came
/// out says it.
fn lands(check: &Check, outcome: &Option<Outcome>) -> bool {
    let landed = |outcome: &Outcome| match &outcome.observed {
        Observed::Dma(dma) => dma.end == DmaEnd::Completed,
        _ => false,
    };
    check.needs_dma
        && match check.parts {
            Parts::ByRace(_) => outcome.as_ref().is_some_and(landed),
            _ => true,
        }
}

fn failed(failure: &Failure) -> Judgement {
    Judgement::new(Verdict::Fail, &failure.why).at(Some(failure.step))
}

/// Judges a case whose steps are all as expected; the guest or the snapshot may not be.
fn passed(
    left_behind: Option<String>,
    never: Option<&str>,
    snapshot: impl FnOnce() -> Option<String>,
) -> Judgement {
    match (left_behind, never) {
        (Some(why), _) => Judgement::new(Verdict::Fail, why),
        (None, Some(reason)) => Judgement::stale(reason),
        (None, None) => match snapshot() {
            Some(difference) => Judgement::changed(difference),
            None => Judgement {
                verdict: Verdict::Pass,
                reason: None,
                as_planned: Vec::new(),
                failed_step: None,
                only_transcript: false,
            },
        },
    }
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
            format!("the case hung and was killed\n{stack}"),
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
            format!("the case's process was killed by signal {signal}"),
        ),
        CaseEnd::Done {
            end: End::Exited { code },
            ..
        } => (
            Verdict::Error,
            format!("the case's process exited with code {code}"),
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

/// Returns the step at which a case was lost: the first that failed, or else the first without an
/// outcome.
fn lost_at(compiled: &Compiled, observation: &Observation, steps: &Steps) -> Option<usize> {
    if let Steps::Failed(failures) = steps {
        return Some(failures.first.step);
    }
    let ended = observation.outcomes.iter().take_while(|it| it.is_some());
    Some(compiled.checks.get(ended.count())?.step)
}

fn left_behind(observation: &Observation) -> Option<String> {
    let CaseEnd::Done { changes, .. } = &observation.end else {
        return None;
    };
    let text = format!(
        "the case left the guest changed:\n  {}",
        changes.join("\n  ")
    );
    observation.left_changes().then_some(text)
}
