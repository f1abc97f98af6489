//! The model's own honesty: for each rule that is made wrong, a walk diverges.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test panics to fail"
)]

mod common;

use common::{intel, lab};
use explore::{Traversal, take_records, walk_cases, write};
use model::{Answer, Binding, Device, Event, Ioas, Pt, Reading, Rule, Shape, State, World, decide};
use runner::{
    run::{Cancel, run},
    verdict::Verdict,
};

/// How a rule is made wrong.
enum Wrong {
    /// It is forgotten.
    Missing,
    /// It answers something else.
    Answers(Answer),
    /// A success changes nothing.
    Idle,
    /// A success does what another rule's does.
    Does(fn(&World, &mut State, Event)),
}

use Wrong::{Answers, Does, Idle, Missing};

/// Neither a call nor DMA tells at once that a device has no driver any more.
const ONLY_SYSFS_TELLS: &str = "driver leaves";

/// The calls and sysfs are the same whether a bound device is blocked or not.
const ONLY_DMA_TELLS: &str = "bind";

/// As if bind gave access to the first IOAS of the iommu_fd, instead of the blocking domain.
fn attaches_at_once(world: &World, next: &mut State, event: Event) {
    let Event::Bind(device, iommu) = event else {
        return;
    };
    let first = world.ioases.iter().position(|of| *of == iommu);
    if let Some(file) = &mut next.devices[device.0].file {
        let attached = first.map(Ioas).map(Pt::Ioas);
        file.binding = Some(Binding::Iommufd {
            iommu,
            attached,
            pasid: None,
        });
    }
}

/// As if a reset gave the device back to the blocking domain.
fn detaches(_: &World, next: &mut State, event: Event) {
    let Event::Reset(device) = event else {
        return;
    };
    if let Some(Binding::Iommufd { attached, .. }) = binding(next, device) {
        *attached = None;
    }
}

/// The binding of a device's file.
fn binding(state: &mut State, device: Device) -> Option<&mut Binding> {
    let file = state.devices[device.0].file.as_mut();
    file.and_then(|file| file.binding.as_mut())
}

/// As if the device's own DMA went where its PASID is attached.
fn attaches_the_device(_: &World, next: &mut State, event: Event) {
    if let Event::AttachPasid(device, pt) = event
        && let Some(Binding::Iommufd {
            attached, pasid, ..
        }) = binding(next, device)
    {
        (*attached, *pasid) = (Some(pt), Some(pt));
    }
}

/// As if the device were detached with its PASID.
fn detaches_the_device(_: &World, next: &mut State, event: Event) {
    if let Event::DetachPasid(device) = event
        && let Some(Binding::Iommufd {
            attached, pasid, ..
        }) = binding(next, device)
    {
        (*attached, *pasid) = (None, None);
    }
}

fn wrong_rules() -> Vec<(&'static str, World, Wrong)> {
    // Where model and kernel disagree about what is open, vfio-pci would wait for ever.
    let calm = |mut world: World| {
        world.scope.drivers = false;
        world
    };
    let group = || calm(World::group(Shape::Functions));
    let path = || calm(World::group_path(Shape::Functions));
    vec![
        ("bind: another iommu_fd has the group", group(), Missing),
        ("bind: not viable", group(), Missing),
        ("bind: bound", group(), Answers(Answer::Errno("EBUSY"))),
        (
            "attach: a second IOAS",
            group(),
            Answers(Answer::Errno("EBUSY")),
        ),
        ("kernel driver: the group is owned", group(), Missing),
        ("detach", group(), Idle),
        (
            "close: mapped",
            group(),
            Does(|_, next, event| {
                if let Event::Close(device) = event {
                    next.devices[device.0].file = None; // as if the mapping went with the file
                }
            }),
        ),
        ("attach", group(), Idle),
        (
            "bind: the group is open",
            path(),
            Answers(Answer::Errno("EPERM")),
        ),
        ("unset container: a device is open", path(), Missing),
        ("set IOMMU", path(), Idle),
        (ONLY_SYSFS_TELLS, World::group(Shape::Functions), Idle),
        (ONLY_DMA_TELLS, group(), Does(attaches_at_once)),
        (
            "kernel driver",
            group(),
            Answers(Answer::Errno("EBUSY")), // as if the group were never given back
        ),
        ("plug", World::hotplug(), Idle),
        ("reset: not bound", World::resettable(), Missing),
        (
            "reset",
            World::resettable(),
            Answers(Answer::Errno("ENOTTY")),
        ),
        ("reset", World::resets(), Does(detaches)),
        ("arrival", World::arrivals(), Idle),
        ("kernel driver comes", World::kernel_driver(), Idle),
        ("destroy: in use", World::mdev(), Missing),
        ("attach: a second page table", World::page_tables(), Missing),
        ("attach: beside a PASID", World::pasids(), Missing),
        ("attach PASID: beside an IOAS", World::pasids(), Missing),
        (
            "attach PASID: a second page table",
            World::pasids(),
            Missing,
        ),
        ("attach PASID", World::pasids(), Does(attaches_the_device)),
        ("detach PASID", World::pasids(), Does(detaches_the_device)),
        (
            "destroy: an IOAS that has an HWPT",
            World::page_table_lifetime(),
            Missing,
        ),
    ]
}

fn with_wrong(name: &str, wrong: &Wrong) -> Vec<Rule> {
    let mut rules = Reading::Stage2.rules();
    let at = rules.iter().position(|rule| rule.name == name).expect(name);
    match wrong {
        Missing => drop(rules.remove(at)),
        Answers(answer) => rules[at].answer = *answer,
        Idle => rules[at].then = |_, _, _| {},
        Does(then) => rules[at].then = *then,
    }
    rules
}

/// Keeps one walk that takes a transition which the right rules decide otherwise.
fn keep_telling_walk(traversal: &mut Traversal) {
    let right = Reading::Stage2.rules();
    let differs = |edge: &usize| {
        let edge = &traversal.graph.edges[*edge];
        let before = &traversal.graph.states[edge.from];
        let outcome = decide(&right, &traversal.world, before, edge.event).unwrap();
        outcome.rule.answer != edge.rule.answer || outcome.next != traversal.graph.states[edge.to]
    };
    let telling = traversal
        .walks
        .iter()
        .position(|walk| walk.iter().any(differs));
    traversal.walks = vec![traversal.walks.swap_remove(telling.unwrap())];
}

#[test]
fn each_wrong_rule_is_found() {
    let wrong = wrong_rules();
    let traversals: Vec<_> = wrong
        .iter()
        .map(|(name, world, wrong)| {
            let mut traversal =
                Traversal::new(world.clone(), &with_wrong(name, wrong)).expect(name);
            keep_telling_walk(&mut traversal);
            traversal
        })
        .collect();
    let from = vec![0; traversals.len()];
    let mut walked = walk_cases(&traversals, &from, &intel());
    let cases = tempfile::tempdir().unwrap();
    write(&walked, cases.path()).unwrap();
    let record = tempfile::tempdir().unwrap();
    let lab = lab(cases.path(), record.path());
    let all: Vec<_> = lab.corpus.cases.iter().collect();
    let summary = run(&lab, &all, 1, &mut [], &Cancel::default()).unwrap();
    take_records(&mut walked, &summary.cases);
    for (number, (name, ..)) in wrong.iter().enumerate() {
        let records = walked.iter().filter(|one| one.traversal == number);
        let mut records = records.map(|one| one.record.as_ref().unwrap());
        let found = records.find(|one| one.verdict == Verdict::Fail);
        let found = found.unwrap_or_else(|| panic!("no walk diverges although `{name}` is wrong"));
        if *name == ONLY_SYSFS_TELLS {
            let reason = found.reason.as_ref().unwrap();
            assert!(reason.contains("read /sys/bus/pci/drivers"), "{reason}");
        }
        if *name == ONLY_DMA_TELLS {
            let reason = found.reason.as_ref().unwrap();
            assert!(reason.contains("DMA from"), "{reason}");
        }
    }
}
