//! Every way from an observation to a verdict, without a guest.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test panics to fail")]

use std::time::Duration;

use case::{
    At, Check, Compiled, Expect, FailingStep, Injection, Known as Finding, KnownComplaint, Layout,
    Name, Parts, Planned, Race, Shows, Sources, WantEnd, Xfail,
};
use rstest::rstest;
use runner::{
    guest::{CaseEnd, Lost, Observation},
    judge::{Judgement, Known, Steps, judge},
    verdict::Verdict,
};
use wire::{
    Abi, Arg, Attempt, ControlOp, Dma, DmaEnd, End, FailNth, Failure, Fault, Fd, Injected, IoctlOp,
    Observed, Op, Outcome, Phases, Plan, ProcessOp, Racer,
};

const SIGNATURE: &str = "nqn:solo-0";

fn check(end: WantEnd, plan: Option<WantEnd>) -> Check {
    let plans = plan.map(|end| Planned {
        clause: "S3.1".to_owned(),
        check: check(end, None),
    });
    Check {
        step: 0,
        label: "a step".to_owned(),
        at: At::default(),
        needs_dma: matches!(end, WantEnd::Lands { .. }),
        expect: Expect::ending(end),
        plans: plans.into_iter().collect(),
        layout: Layout::Nothing,
        shown: true,
        parts: Parts::Whole,
    }
}

fn nothing() -> Op {
    let fault = Fault::None;
    ProcessOp::Fault { fault }.into()
}

fn compiled(checks: Vec<Check>) -> Compiled {
    let ops = checks.iter().map(|_| nothing()).collect();
    let plan = Plan {
        name: "case".to_owned(),
        ops,
        restore: Vec::new(),
        timeout_ms: 1,
    };
    Compiled { plan, checks }
}

fn ok() -> Observed {
    Observed::Ok {
        ret: 0,
        data: Vec::new(),
    }
}

fn errno(errno: i32) -> Observed {
    Observed::Errno {
        errno,
        data: Vec::new(),
    }
}

fn dma(end: DmaEnd, changed: u32) -> Observed {
    let signature = if changed > 0 { SIGNATURE } else { "" };
    Observed::Dma(Dma {
        access: wire::DmaAccess::Write,
        end,
        changed,
        signature: signature.to_owned(),
    })
}

fn seen(observed: Vec<Observed>) -> Observation {
    Observation {
        outcomes: observed
            .into_iter()
            .map(|observed| Some(Outcome { observed, us: 1 }))
            .collect(),
        end: CaseEnd::Done {
            end: End::Finished,
            changes: Vec::new(),
        },
        kmsg_before: Vec::new(),
        kmsg: Vec::new(),
        wall: Duration::ZERO,
        phases: Phases::default(),
    }
}

fn verdict(compiled: &Compiled, seen: &Observation, known: Known<'_>) -> Judgement {
    let steps = Steps::of(compiled, &seen.outcomes, &Sources::default());
    judge(compiled, seen, &steps, known, || None)
}

const LOCK_ORDER: &str = "---
of: kernel
seen: Linux 7.3.4
no_case: any case may close the circle
complaint: [possible circular locking dependency, \"&a_lock\", \"&b_lock\"]
---

# Two locks are taken in both orders

## What

## Evidence

## Cases

## Mend
";

fn lockdep(locks: &[&str]) -> Vec<String> {
    let lines = ["WARNING: possible circular locking dependency detected"];
    lines
        .iter()
        .chain(locks)
        .map(|it| (*it).to_owned())
        .collect()
}

fn warning() -> Vec<String> {
    let lines = [
        "------------[ cut here ]------------",
        "WARNING: CPU: 0 PID: 1 at a.c:1",
    ];
    lines.map(str::to_owned).to_vec()
}

#[rstest]
#[case::exactly_it(lockdep(&["(&a_lock)", "(&b_lock)"]), 0, Verdict::Xfail)]
#[case::another_circle(lockdep(&["(&a_lock)", "(&c_lock)"]), 0, Verdict::Splat)]
#[case::and_another(
    [lockdep(&["(&a_lock)", "(&b_lock)"]), warning()].concat(), 0, Verdict::Splat
)]
#[case::and_a_step_that_fails(lockdep(&["(&a_lock)", "(&b_lock)"]), 22, Verdict::Splat)]
fn a_finding_may_complain_in_any_case(
    #[case] kmsg: Vec<String>,
    #[case] ended: i32,
    #[case] wanted: Verdict,
) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lock-order.md"), LOCK_ORDER).unwrap();
    let findings = case::Findings::load(folder.path(), false).unwrap();
    let observed = if ended == 0 { ok() } else { errno(ended) };
    let seen = Observation {
        kmsg,
        ..seen(vec![observed])
    };
    let known = Known {
        findings: Some(&findings),
        ..Known::default()
    };
    let compiled = compiled(vec![check(WantEnd::Success, None)]);
    let judged = verdict(&compiled, &seen, known);
    assert_eq!(judged.verdict, wanted, "{:?}", judged.reason);
}

fn lands() -> WantEnd {
    WantEnd::Lands {
        signature: SIGNATURE.to_owned(),
    }
}

#[rstest]
#[case::as_expected(WantEnd::Success, ok(), Verdict::Pass)]
#[case::the_errno(WantEnd::Errno(22), errno(22), Verdict::Pass)]
#[case::another_errno(WantEnd::Errno(22), errno(16), Verdict::Fail)]
#[case::an_error_for_success(WantEnd::Success, errno(22), Verdict::Fail)]
#[case::success_for_an_error(WantEnd::Errno(22), ok(), Verdict::Fail)]
#[case::lands(lands(), dma(DmaEnd::Completed, 4096), Verdict::Pass)]
#[case::lands_nowhere(lands(), dma(DmaEnd::Completed, 0), Verdict::Fail)]
#[case::blocked(WantEnd::Blocked, dma(DmaEnd::Faulted, 0), Verdict::Pass)]
#[case::blocked_but_written(WantEnd::Blocked, dma(DmaEnd::Faulted, 8), Verdict::Fail)]
#[case::silence_is_not_blocked(WantEnd::Blocked, dma(DmaEnd::TimedOut, 0), Verdict::Fail)]
#[case::absence_is_not_blocked(WantEnd::Blocked, dma(DmaEnd::Absent, 0), Verdict::Fail)]
#[case::signal(WantEnd::Signal(7), Observed::Signal(7), Verdict::Pass)]
#[case::not_run(WantEnd::Errno(9), Observed::NotRun { missing: "a".to_owned() }, Verdict::Fail)]
#[case::broken(WantEnd::Success, Observed::Broken { why: "x".to_owned() }, Verdict::Error)]
fn a_step_decides(#[case] want: WantEnd, #[case] observed: Observed, #[case] wanted: Verdict) {
    let judged = verdict(
        &compiled(vec![check(want, None)]),
        &seen(vec![observed]),
        Known::default(),
    );
    assert_eq!(judged.verdict, wanted, "{:?}", judged.reason);
    assert_eq!(judged.reason.is_none(), wanted == Verdict::Pass);
}

#[rstest]
#[case::panic(CaseEnd::Lost(Lost::Panic("x".to_owned())), Verdict::Panic)]
#[case::frozen(CaseEnd::Lost(Lost::Frozen), Verdict::Hang)]
#[case::qemu(CaseEnd::Lost(Lost::QemuEnded("x".to_owned())), Verdict::Error)]
#[case::late(CaseEnd::Done { end: End::TimedOut { stack: String::new() }, changes: vec![] }, Verdict::Hang)]
#[case::stuck(CaseEnd::Done { end: End::Unkillable { stack: String::new() }, changes: vec![] }, Verdict::Hang)]
#[case::killed(CaseEnd::Done { end: End::Killed { signal: 9 }, changes: vec![] }, Verdict::Error)]
#[case::changed(CaseEnd::Done { end: End::Finished, changes: vec!["driver".to_owned()] }, Verdict::Fail)]
fn an_end_decides_before_any_step(#[case] end: CaseEnd, #[case] wanted: Verdict) {
    let observation = Observation {
        end,
        ..seen(vec![ok()])
    };
    let case = compiled(vec![check(WantEnd::Success, None)]);
    assert_eq!(
        verdict(&case, &observation, Known::default()).verdict,
        wanted
    );
}

fn killed() -> CaseEnd {
    CaseEnd::Done {
        end: End::Killed { signal: 9 },
        changes: vec![],
    }
}

/// An Oops kills the process that it happens to: it is a complaint, and neither a failure of the
/// harness nor the lesser evil where the guest goes down with it.
#[rstest]
#[case::killed(killed(), Verdict::Splat)]
#[case::with_the_agent(CaseEnd::Lost(Lost::AgentDied("x".to_owned())), Verdict::Splat)]
#[case::panic(CaseEnd::Lost(Lost::Panic("x".to_owned())), Verdict::Panic)]
#[case::hang(CaseEnd::Lost(Lost::Frozen), Verdict::Hang)]
fn a_complaint_says_why_a_case_ended(#[case] end: CaseEnd, #[case] wanted: Verdict) {
    let observation = Observation {
        end,
        kmsg: vec!["BUG: kernel NULL pointer dereference".to_owned()],
        ..seen(vec![ok()])
    };
    let case = compiled(vec![check(WantEnd::Success, None)]);
    let judged = verdict(&case, &observation, Known::default());
    assert_eq!(judged.verdict, wanted);
    let reason = judged.reason.unwrap();
    assert!(reason.contains("NULL pointer"), "{reason}");
    assert!(reason.contains("after op 0"), "{reason}");
}

fn name(text: &str) -> Name {
    Name {
        at: At::default(),
        text: text.to_owned(),
    }
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn shows(steps: &[(&str, &str)], complaints: &[&[&str]]) -> Shows {
    let steps = steps.iter().map(|(step, observed)| FailingStep {
        step: name(step),
        observed: texts(&[observed]),
    });
    let complaints = complaints.iter().map(|any| KnownComplaint(texts(any)));
    Shows {
        steps: steps.collect(),
        complaints: complaints.collect(),
        ..Shows::default()
    }
}

/// Judges a case of two equal steps that expect success and of a known failure.
fn known_to_fail(shows: Shows, observation: &Observation) -> Judgement {
    let finding = Finding {
        name: "known".to_owned(),
        reason: "known: It is known".to_owned(),
    };
    let xfail = Xfail::always(finding, shows);
    let known = Known {
        xfail: Some(&xfail),
        ..Known::default()
    };
    let success = || check(WantEnd::Success, None);
    let second = Check {
        step: 1,
        ..success()
    };
    verdict(&compiled(vec![success(), second]), observation, known)
}

fn complaining(kmsg: &[&str], observation: Observation) -> Observation {
    Observation {
        kmsg: texts(kmsg),
        ..observation
    }
}

fn ending(end: End, changes: &[&str], observation: Observation) -> Observation {
    Observation {
        end: CaseEnd::Done {
            end,
            changes: texts(changes),
        },
        ..observation
    }
}

const SECOND: &str = "a step (2)";

#[rstest]
#[case::as_known(&[ok(), errno(22)], Verdict::Xfail, "")]
#[case::stale(&[ok(), ok()], Verdict::Xpass, "passes, although known to fail: known: It is known")]
#[case::another_errno(&[ok(), errno(16)], Verdict::Fail, "but `a step (2)` shows `EBUSY`\n")]
#[case::another_step(
    &[errno(22), ok()],
    Verdict::Fail,
    "known failure is known: It is known, but `a step` shows `EINVAL`; `a step (2)` is as expected"
)]
#[case::one_more_step(&[errno(5), errno(22)], Verdict::Fail, "but `a step` shows `EIO`\nstep 1 ")]
#[case::agent(&[ok(), Observed::Broken { why: "x".to_owned() }], Verdict::Error, "x")]
#[case::agent_after_a_failure(&[errno(22), Observed::Broken { why: "x".to_owned() }], Verdict::Fail, "step 1 ")]
fn a_known_failure_is_a_step_and_what_it_shows(
    #[case] observed: &[Observed],
    #[case] wanted: Verdict,
    #[case] why: &str,
) {
    let judged = known_to_fail(shows(&[(SECOND, "EINVAL")], &[]), &seen(observed.to_vec()));
    let reason = judged.reason.unwrap();
    assert_eq!(judged.verdict, wanted, "{reason}");
    assert!(reason.contains(why), "{reason}");
}

#[rstest]
#[case::as_known(&["BUG: x"], Verdict::Xfail, "")]
#[case::twice(&["BUG: x", "BUG: x"], Verdict::Xfail, "")]
#[case::by_its_trace(&["BUG: z", "Call Trace:", " x+0x1/0x2"], Verdict::Xfail, "")]
#[case::of_another_compiler(&["BUG: y"], Verdict::Xfail, "")]
#[case::stale(&[], Verdict::Xpass, "known: It is known")]
#[case::another(&["BUG: z"], Verdict::Splat, "also complains:\nBUG: z; the kernel does not complain of `x` or `y`")]
#[case::one_more(&["BUG: x", "BUG: z"], Verdict::Splat, "but the kernel also complains:\nBUG: z\n")]
#[case::one_more_before(&["BUG: z", "BUG: x"], Verdict::Splat, "but the kernel also complains:\nBUG: z\n")]
fn a_known_failure_is_every_complaint(
    #[case] kmsg: &[&str],
    #[case] wanted: Verdict,
    #[case] why: &str,
) {
    let observation = complaining(kmsg, seen(vec![ok(), ok()]));
    let judged = known_to_fail(shows(&[], &[&["x", "y"]]), &observation);
    let reason = judged.reason.unwrap();
    assert_eq!(judged.verdict, wanted, "{reason}");
    assert!(reason.contains(why), "{reason}");
}

#[rstest]
#[case::both(errno(22), &["BUG: x"], Verdict::Xfail)]
#[case::no_complaint(errno(22), &[], Verdict::Fail)]
#[case::complaint_only(ok(), &["BUG: x"], Verdict::Fail)]
#[case::neither(ok(), &[], Verdict::Xpass)]
fn steps_are_judged_beside_a_known_complaint(
    #[case] second: Observed,
    #[case] kmsg: &[&str],
    #[case] wanted: Verdict,
) {
    let observation = complaining(kmsg, seen(vec![ok(), second]));
    let judged = known_to_fail(shows(&[(SECOND, "EINVAL")], &[&["x"]]), &observation);
    assert_eq!(judged.verdict, wanted, "{:?}", judged.reason);
}

#[test]
fn a_known_complaint_does_not_excuse_a_step() {
    let observation = complaining(&["BUG: x"], seen(vec![ok(), errno(22)]));
    let judged = known_to_fail(shows(&[], &[&["x"]]), &observation);
    assert_eq!(judged.verdict, Verdict::Fail);
    let reason = judged.reason.unwrap();
    assert!(
        reason.contains("but `a step (2)` shows `EINVAL`"),
        "{reason}"
    );
}

#[test]
fn a_complaint_is_not_excused_by_a_known_step() {
    let observation = complaining(&["BUG: x"], seen(vec![ok(), errno(22)]));
    let judged = known_to_fail(shows(&[(SECOND, "EINVAL")], &[]), &observation);
    assert_eq!(judged.verdict, Verdict::Splat);
}

const TAINT: &str = "kernel taint: 0x0 became 0x200";

#[rstest]
#[case::nothing(&[], &[], &[], Verdict::Xfail)]
#[case::unknown(&[], &["pinned pages: 0 became 2"], &[], Verdict::Fail)]
#[case::named(&["pinned pages"], &["pinned pages: 0 became 2"], &[], Verdict::Xfail)]
#[case::not_seen(&["pinned pages"], &[], &[], Verdict::Fail)]
#[case::one_more(&["pinned pages"], &["pinned pages: 0 became 2", "still running: x"], &[], Verdict::Fail)]
#[case::taint_of_a_complaint(&[], &[TAINT], &["BUG: x"], Verdict::Xfail)]
#[case::taint_without_a_complaint(&[], &[TAINT], &[], Verdict::Fail)]
#[case::another_taint(&[], &["kernel taint: 0x0 became 0x220"], &["BUG: x"], Verdict::Fail)]
fn a_known_failure_is_everything_that_is_left_changed(
    #[case] leaves: &[&str],
    #[case] changes: &[&str],
    #[case] kmsg: &[&str],
    #[case] wanted: Verdict,
) {
    let complaints: &[&[&str]] = if kmsg.is_empty() { &[] } else { &[&["x"]] };
    let known = Shows {
        leaves: texts(leaves),
        ..shows(&[(SECOND, "EINVAL")], complaints)
    };
    let observation = complaining(kmsg, seen(vec![ok(), errno(22)]));
    let judged = known_to_fail(known, &ending(End::Finished, changes, observation));
    assert_eq!(judged.verdict, wanted, "{:?}", judged.reason);
}

#[rstest]
#[case::there(Some(SECOND), End::Killed { signal: 9 }, Verdict::Xfail)]
#[case::later(Some("after the last step"), End::Killed { signal: 9 }, Verdict::Fail)]
#[case::elsewhere(Some("a step"), End::Killed { signal: 9 }, Verdict::Fail)]
#[case::not_said(None, End::Killed { signal: 9 }, Verdict::Fail)]
#[case::exited(Some(SECOND), End::Exited { code: 1 }, Verdict::Splat)]
#[case::hung(Some(SECOND), End::TimedOut { stack: String::new() }, Verdict::Hang)]
fn a_known_complaint_kills_its_process_only_where_that_is_said(
    #[case] killed_in: Option<&str>,
    #[case] end: End,
    #[case] wanted: Verdict,
) {
    let known = Shows {
        killed_in: killed_in.map(name),
        ..shows(&[], &[&["x"]])
    };
    let observation = complaining(&["BUG: x"], seen(vec![ok()]));
    let observation = ending(end, &["kernel taint: 0x0 became 0x280"], observation);
    let judged = known_to_fail(known, &observation);
    assert_eq!(judged.verdict, wanted, "{:?}", judged.reason);
    assert!(observation.spoils_guest());
}

#[test]
fn a_process_that_is_not_killed_is_not_the_known_failure() {
    let known = Shows {
        killed_in: Some(name(SECOND)),
        ..shows(&[], &[&["x"]])
    };
    let observation = complaining(&["BUG: x"], seen(vec![ok(), ok()]));
    let judged = known_to_fail(known, &observation);
    assert_eq!(judged.verdict, Verdict::Fail);
    assert!(judged.reason.unwrap().contains("the process is not killed"));
}

#[test]
fn a_panic_is_never_a_known_failure() {
    let observation = Observation {
        end: CaseEnd::Lost(Lost::Panic("x".to_owned())),
        ..complaining(&["BUG: x"], seen(vec![ok(), ok()]))
    };
    let judged = known_to_fail(shows(&[], &[&["x"]]), &observation);
    assert_eq!(judged.verdict, Verdict::Panic);
}

/// DMA may change any number of bytes, and the differing fields of a call are all named.
#[test]
fn a_known_dma_is_the_same_whatever_it_writes() {
    let case = compiled(vec![check(WantEnd::Blocked, None)]);
    for changed in [1, 4096] {
        let steps = Steps::of(
            &case,
            &seen(vec![dma(DmaEnd::Completed, changed)]).outcomes,
            &Sources::default(),
        );
        let Steps::Failed(failures) = steps else {
            panic!("{steps:?}");
        };
        let observed = "the device completed its DMA, the page changed, signed nqn:solo-0";
        assert_eq!(failures.first.observed, [observed]);
        assert!(failures.first.why.ends_with(&format!("; {changed} bytes")));
    }
}

#[rstest]
#[case::the_landing_fails(ok(), dma(DmaEnd::Faulted, 0), Verdict::Xfail)]
#[case::something_else_fails(errno(22), dma(DmaEnd::Faulted, 0), Verdict::Fail)]
#[case::it_lands_after_all(ok(), dma(DmaEnd::Completed, 8), Verdict::Xpass)]
#[case::it_lands_nowhere(ok(), dma(DmaEnd::Completed, 0), Verdict::Xfail)]
fn what_a_platform_cannot_do_excuses_landings_only(
    #[case] first: Observed,
    #[case] second: Observed,
    #[case] wanted: Verdict,
) {
    let known = Known {
        dma_never_lands: Some("known"),
        ..Known::default()
    };
    let case = compiled(vec![check(WantEnd::Success, None), check(lands(), None)]);
    let judged = verdict(&case, &seen(vec![first, second]), known);
    assert_eq!(judged.verdict, wanted);
}

fn mock_call(name: &str) -> Op {
    let call = uapi::ioctl("IOMMU_TEST_CMD").unwrap();
    let layout = call.layout().unwrap();
    let mut bytes = vec![0; layout.size as usize];
    let number = uapi::constant(name).unwrap();
    layout.field("op").unwrap().set(&mut bytes, number).unwrap();
    let arg = Arg::Buffer {
        bytes,
        patches: Vec::new(),
        read_only: false,
    };
    IoctlOp {
        fd: Fd::slot("iommu"),
        request: call.request,
        arg,
        save: Vec::new(),
        save_ret: None,
        abi: Abi::Native,
    }
    .into()
}

#[rstest]
#[case::refused("IOMMU_TEST_OP_MOCK_DOMAIN", errno(22), Verdict::Xfail)]
#[case::with_flags("IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS", errno(22), Verdict::Xfail)]
#[case::another_errno("IOMMU_TEST_OP_MOCK_DOMAIN", errno(12), Verdict::Fail)]
#[case::another_call("IOMMU_TEST_OP_DIRTY", errno(22), Verdict::Fail)]
#[case::a_backport("IOMMU_TEST_OP_MOCK_DOMAIN", ok(), Verdict::Pass)]
fn a_platform_without_mock_devices_excuses_their_refusal_only(
    #[case] name: &str,
    #[case] observed: Observed,
    #[case] wanted: Verdict,
) {
    let known = Known {
        mock_devices_unbound: Some("known"),
        ..Known::default()
    };
    let mut case = compiled(vec![check(WantEnd::Success, None)]);
    case.plan.ops = vec![mock_call(name)];
    assert_eq!(verdict(&case, &seen(vec![observed]), known).verdict, wanted);
}

#[rstest]
#[case::linux_today([errno(22), errno(1), errno(5)], Verdict::Pass, false)]
#[case::the_plan([ok(), ok(), errno(5)], Verdict::Pass, true)]
#[case::neither([errno(16), errno(1), errno(5)], Verdict::Fail, false)]
#[case::half_of_the_plan([ok(), errno(1), errno(5)], Verdict::Fail, false)]
#[case::the_other_half([errno(22), ok(), errno(5)], Verdict::Fail, false)]
#[case::the_plan_and_a_bug([ok(), ok(), errno(6)], Verdict::Fail, false)]
#[case::today_and_a_bug([errno(22), errno(1), errno(6)], Verdict::Fail, false)]
fn a_kernel_may_do_all_that_the_plan_says(
    #[case] observed: [Observed; 3],
    #[case] wanted: Verdict,
    #[case] planned: bool,
) {
    let plan = |errno| check(WantEnd::Errno(errno), Some(WantEnd::Success));
    let case = compiled(vec![plan(22), plan(1), check(WantEnd::Errno(5), None)]);
    let judged = verdict(&case, &seen(observed.into()), Known::default());
    assert_eq!(
        (judged.verdict, !judged.as_planned.is_empty()),
        (wanted, planned)
    );
}

/// Each clause is a side of its own: a kernel cannot begin with the plan of one and go on with that
/// of another.
#[rstest]
#[case::linux_today([ok(), errno(5)], Some(vec![]))]
#[case::one_clause([errno(22), errno(5)], Some(vec!["S2.7a"]))]
#[case::the_other_clause([ok(), errno(6)], Some(vec!["S3.1"]))]
#[case::both([errno(22), errno(6)], None)]
fn a_kernel_follows_one_clause(#[case] observed: [Observed; 2], #[case] wanted: Option<Vec<&str>>) {
    let plan = |clause: &str, end| Planned {
        clause: clause.to_owned(),
        check: check(end, None),
    };
    let mut first = check(WantEnd::Success, None);
    first.plans.push(plan("S2.7a", WantEnd::Errno(22)));
    let mut second = check(WantEnd::Errno(5), None);
    second.plans.push(plan("S3.1", WantEnd::Errno(6)));
    let case = compiled(vec![first, second]);
    let judged = verdict(&case, &seen(observed.into()), Known::default());
    let followed = (judged.verdict == Verdict::Pass).then_some(judged.as_planned);
    let wanted = wanted.map(|it| it.into_iter().map(str::to_owned).collect());
    assert_eq!(followed, wanted);
}

#[test]
fn a_failure_says_how_far_the_plan_was_followed() {
    let plan = |errno| check(WantEnd::Errno(errno), Some(WantEnd::Success));
    let case = compiled(vec![plan(22), check(WantEnd::Errno(5), None), plan(1)]);
    let judged = verdict(
        &case,
        &seen(vec![ok(), errno(5), errno(1)]),
        Known::default(),
    );
    let reason = judged.reason.unwrap();
    assert!(
        reason.contains("expected: success\n  observed: EPERM"),
        "{reason}"
    );
    assert!(reason.contains("as the plan of S3.1 demands"), "{reason}");
}

fn outcome(observed: Observed) -> Outcome {
    Outcome { observed, us: 1 }
}

/// An execution that ended with an errno, or with success where that is 0; what was looked at
/// afterwards ended so.
fn attempt(nth: u32, failure: Failure, errno: i32, after: i32) -> Attempt {
    Attempt {
        nth,
        failure,
        outcome: outcome(ended(errno)),
        after: vec![outcome(ended(after))],
    }
}

fn ended(number: i32) -> Observed {
    match number {
        0 => ok(),
        number => errno(number),
    }
}

#[rstest]
#[case::allowed(vec![attempt(1, Failure::Allocation, 12, 0)], 0, None)]
#[case::each_kind(vec![attempt(1, Failure::Copy, 14, 0), attempt(2, Failure::Hook, 2, 0)], 0, None)]
#[case::survived(vec![attempt(1, Failure::Allocation, 0, 16)], 0, None)]
#[case::of_another_kind(
    vec![attempt(1, Failure::Copy, 14, 0), attempt(2, Failure::Copy, 12, 0)],
    0,
    Some("ENOMEM (a copy failed; the call ended with ENOMEM); at point 2")
)]
#[case::not_allowed(vec![attempt(3, Failure::Allocation, 22, 0)], 0, Some("success or ENOMEM"))]
#[case::changed(vec![attempt(1, Failure::Allocation, 12, 2)], 0, Some("success of a step afterwards"))]
#[case::not_undone(vec![attempt(1, Failure::Allocation, 0, 0)], 0, Some("EBUSY of a step afterwards"))]
#[case::fails_for_ever(vec![attempt(1, Failure::Allocation, 12, 0)], 12, Some("after the last failure"))]
#[case::nothing_to_inject(vec![], 0, Some("a point at which a failure can be injected"))]
fn a_failure_that_is_injected_is_judged(
    #[case] attempts: Vec<Attempt>,
    #[case] last: i32,
    #[case] why: Option<&str>,
) {
    let mut compiled = compiled(vec![check(WantEnd::Success, None)]);
    let plan = nothing;
    let fail_nth = FailNth {
        op: plan(),
        failed: vec![plan()],
        failed_copy: vec![plan()],
        survived: vec![plan()],
        limit: 9,
    };
    compiled.plan.ops[0] = ControlOp::FailNth {
        plan: Box::new(fail_nth),
    }
    .into();
    compiled.checks[0].parts = Parts::Injected(Injection {
        allocations: vec![12],
        copies: vec![14],
        hooks: vec![2, 22],
        failed: vec![check(WantEnd::Success, None)],
        failed_copy: vec![check(WantEnd::Success, None)],
        survived: vec![check(WantEnd::Errno(16), None)],
    });
    let last = Box::new(outcome(ended(last)));
    let seen = seen(vec![Observed::Injected(Injected { attempts, last })]);
    let judged = verdict(&compiled, &seen, Known::default());
    let reason = judged.reason.unwrap_or_default();
    assert!(reason.contains(why.unwrap_or_default()), "{reason}");
    assert_eq!(why.is_none(), judged.verdict == Verdict::Pass, "{reason}");
}

#[rstest]
#[case::that_landed(DmaEnd::Completed, false)]
#[case::that_was_refused(DmaEnd::Faulted, false)]
#[case::that_did_not_end(DmaEnd::TimedOut, true)]
fn a_guest_is_given_up_after_dma(#[case] end: DmaEnd, #[case] spoiled: bool) {
    assert_eq!(seen(vec![ok(), dma(end, 0)]).spoils_guest(), spoiled);
}

/// A call that fails by itself may do so in spite of a failure that does not matter, and what follows
/// is that of a call that failed.
#[rstest]
#[case::as_without_a_failure(22, 0, None)]
#[case::for_lack_of_memory(12, 0, None)]
#[case::otherwise(1, 0, Some("success or ENOMEM"))]
#[case::changed(22, 2, Some("success of a step afterwards"))]
fn a_call_that_fails_anyway_is_judged(
    #[case] end: i32,
    #[case] after: i32,
    #[case] why: Option<&str>,
) {
    let mut compiled = compiled(vec![check(WantEnd::Errno(22), None)]);
    compiled.plan.ops[0] = ControlOp::FailNth {
        plan: Box::new(FailNth {
            op: nothing(),
            failed: vec![nothing()],
            failed_copy: vec![nothing()],
            survived: vec![nothing()],
            limit: 9,
        }),
    }
    .into();
    compiled.checks[0].parts = Parts::Injected(Injection {
        allocations: vec![12],
        copies: vec![14],
        hooks: Vec::new(),
        failed: vec![check(WantEnd::Success, None)],
        failed_copy: vec![check(WantEnd::Success, None)],
        survived: vec![check(WantEnd::Success, None)],
    });
    let attempts = vec![attempt(1, Failure::Allocation, end, after)];
    let last = Box::new(outcome(ended(22)));
    let seen = seen(vec![Observed::Injected(Injected { attempts, last })]);
    let reason = verdict(&compiled, &seen, Known::default()).reason;
    match why {
        None => assert_eq!(reason, None),
        Some(why) => assert!(
            reason.as_deref().unwrap_or_default().contains(why),
            "{reason:?}"
        ),
    }
}

fn racer(observed: Observed) -> Racer {
    Racer {
        outcome: outcome(observed),
        began: 0,
        ended: 1,
    }
}

/// What follows a race is judged by how it ended, and not at all if it ended as it may not.
#[rstest]
#[case::as_it_follows(&[0, 1], 0, None)]
#[case::as_it_follows_the_other_way(&[1, 0], 16, None)]
#[case::as_it_follows_only_the_other_way(&[0, 1], 16, Some("expected: success\n  observed: EBUSY"))]
#[case::as_it_follows_only_one_way(&[1, 0], 0, Some("expected: EBUSY\n  observed: success"))]
#[case::no_way(&[1, 1], 7, Some("success | EPERM; or EPERM | success"))]
fn what_follows_a_race_depends_on_its_end(
    #[case] ends: &[i32],
    #[case] then: i32,
    #[case] why: Option<&str>,
) {
    let success = || check(WantEnd::Success, None);
    let mut compiled = compiled(vec![success(), success()]);
    compiled.checks[0].parts = Parts::Together(Race {
        checks: vec![success(), success()],
        ends: vec![
            vec![WantEnd::Success, WantEnd::Errno(1)],
            vec![WantEnd::Errno(1), WantEnd::Success],
        ],
    });
    compiled.checks[1].parts = Parts::ByRace(vec![success(), check(WantEnd::Errno(16), None)]);
    let racers = ends.iter().map(|end| racer(ended(*end))).collect();
    let seen = seen(vec![Observed::Together(racers), ended(then)]);
    let judged = verdict(&compiled, &seen, Known::default());
    let reason = judged.reason.unwrap_or_default();
    assert!(reason.contains(why.unwrap_or_default()), "{reason}");
    assert_eq!(why.is_none(), judged.verdict == Verdict::Pass, "{reason}");
    assert!(!reason.contains("more"), "{reason}");
}

#[rstest]
#[case::one_way(&[0, 1], None)]
#[case::the_other_way(&[1, 0], None)]
#[case::both_win(&[0, 0], Some("success | success"))]
#[case::nobody_wins(&[1, 1], Some("success | EPERM; or EPERM | success"))]
#[case::an_outcome_is_missing(&[0], Some("2 outcomes"))]
fn a_race_ends_in_a_way_that_is_allowed(#[case] ends: &[i32], #[case] why: Option<&str>) {
    let success = || check(WantEnd::Success, None);
    let mut compiled = compiled(vec![success()]);
    let op = nothing;
    compiled.plan.ops[0] = ControlOp::Together {
        ops: vec![op(), op()],
        delays: Vec::new(),
    }
    .into();
    compiled.checks[0].parts = Parts::Together(Race {
        checks: vec![success(), success()],
        ends: vec![
            vec![WantEnd::Success, WantEnd::Errno(1)],
            vec![WantEnd::Errno(1), WantEnd::Success],
        ],
    });
    let ended = ends.iter().map(|end| racer(ended(*end))).collect();
    let seen = seen(vec![Observed::Together(ended)]);
    let judged = verdict(&compiled, &seen, Known::default());
    let reason = judged.reason.unwrap_or_default();
    assert!(reason.contains(why.unwrap_or_default()), "{reason}");
    assert_eq!(why.is_none(), judged.verdict == Verdict::Pass, "{reason}");
}

/// The agent's own failure is none of the kernel's.
#[test]
fn a_race_of_a_broken_agent_is_an_error() {
    let mut compiled = compiled(vec![check(WantEnd::Success, None)]);
    compiled.checks[0].parts = Parts::Together(Race {
        checks: vec![check(WantEnd::Success, None)],
        ends: vec![vec![WantEnd::Success]],
    });
    let why = "no more threads".to_owned();
    let seen = seen(vec![Observed::Together(vec![racer(Observed::Broken {
        why,
    })])]);
    let judged = verdict(&compiled, &seen, Known::default());
    assert_eq!(judged.verdict, Verdict::Error);
}
