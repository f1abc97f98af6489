//! A walk through the model as a case file: what runs, and what a person reads of it.

use std::{
    collections::{BTreeSet, HashSet},
    fmt::{self, Write},
};

use model::{Graph, Group, Ioas, Iommu, Shape, State, World};

use crate::{
    course::{Course, Move, Played},
    probe::{Probe, Target, kernel_does_dma, probes},
    readback::readbacks,
    sight::Sight,
    words::{Words, does_dma, end_name, shape_name},
};

/// A case, and where each transition of the walk begins in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The case file.
    pub text: String,
    /// For each step of the case, the transition it belongs to, as position in the walk;
    /// none for the set-up.
    pub transition_of: Vec<Option<usize>>,
}

/// States and transitions after which sysfs was read and DMA was looked at.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    states: HashSet<usize>,
    edges: HashSet<usize>,
}

/// Writes a walk down. After each transition that is not yet in `seen` sysfs is read and DMA is looked at, closely
/// in each state that is not.
#[must_use]
pub fn script(
    world: &World,
    graph: &Graph,
    walk: &[usize],
    sight: &Sight,
    seen: &mut Seen,
) -> Script {
    let mut writer = Writer::begin(world, sight);
    for (position, number) in walk.iter().enumerate() {
        writer.now = Some(position);
        let edge = &graph.edges[*number];
        let state = &graph.states[edge.to];
        writer.line(format_args!("  # {}: {}", edge.event, edge.rule.says));
        for step in writer.words.event(edge.event, edge.rule.answer, state) {
            writer.step(format_args!("{step}"));
        }
        let others = if seen.states.insert(edge.to) {
            writer.everywhere()
        } else if seen.edges.insert(*number) {
            // What a known state allows is known; that this transition led to it is not.
            vec![Ioas(number % world.ioases.len())]
        } else {
            continue;
        };
        writer.observe(&[state], &others);
    }
    writer.end()
}

/// Writes a course down: a walk whose events may race. After every move sysfs is read
/// and DMA is looked at closely, for what holds in all states that are possible.
#[must_use]
pub fn course(course: &Course, moves: &[Move], sight: &Sight) -> Script {
    let world = course.world();
    let mut writer = Writer::begin(world, sight);
    let mut course = course.clone();
    for (position, one) in moves.iter().enumerate() {
        writer.now = Some(position);
        let Some((played, next)) = course.play(*one) else {
            break; // the rules know no answer: nothing can be said from here on
        };
        writer.played(&played, &next);
        let everywhere = writer.everywhere();
        let states: Vec<_> = next.possible().states().collect();
        writer.observe(&states, &everywhere);
        course = next;
    }
    writer.end()
}

/// What is in all of these sets.
fn common<T: Ord + Clone>(mut sets: impl Iterator<Item = BTreeSet<T>>) -> BTreeSet<T> {
    let first = sets.next().unwrap_or_default();
    sets.fold(first, |known, more| &known & &more)
}

struct Writer<'a> {
    world: &'a World,
    words: Words<'a>,
    sight: &'a Sight,
    text: String,
    transition_of: Vec<Option<usize>>,
    now: Option<usize>,
}

impl<'a> Writer<'a> {
    /// With everything that is there before the first transition.
    fn begin(world: &'a World, sight: &'a Sight) -> Self {
        let mut writer = Self {
            world,
            words: Words(world),
            sight,
            text: String::new(),
            transition_of: Vec::new(),
            now: None,
        };
        writer.head();
        writer.set_up();
        writer
    }

    fn end(self) -> Script {
        Script {
            text: self.text,
            transition_of: self.transition_of,
        }
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn step(&mut self, step: fmt::Arguments<'_>) {
        self.line(format_args!("  - {step}"));
        self.transition_of.push(self.now);
    }

    fn head(&mut self) {
        self.line(format_args!(
            "summary: A walk through the model of a {}",
            self.world.name
        ));
        self.line(format_args!("snapshot: none"));
        // Where model and kernel disagree about what is open, vfio-pci would wait for ever.
        self.line(format_args!("fail_fast: true"));
        let mut shapes = self.world.groups.iter().map(|group| group.shape);
        if shapes.any(|shape| shape == Shape::Mdev) {
            self.line(format_args!("needs: {{features: [mdev_mtty]}}"));
        }
        match self.world.groups[0].shape {
            Shape::Mdev => {}
            shape => self.line(format_args!("shapes: [{}]", shape_name(shape))),
        }
        self.line(format_args!("steps:"));
    }

    fn set_up(&mut self) {
        if self.sight.control {
            for group in self.world.all_groups() {
                self.identity(group);
            }
            self.step(format_args!("memory: {{home: 0x1000}}"));
        }
        for ioas in 0..self.world.ioases.len() {
            self.step(format_args!("memory: {{page{ioas}: 0x1000}}"));
        }
        for iommu in (0..self.world.iommus).map(Iommu) {
            for step in self.words.open_iommu(iommu) {
                self.step(format_args!("{step}"));
            }
        }
        if self.world.scope.group_path {
            self.step(format_args!("memory: {{container_page: 0x1000}}"));
            for group in self.world.all_groups() {
                self.step(format_args!(
                    "open: {{container{}: /dev/vfio/vfio}}",
                    group.0
                ));
            }
        }
    }

    fn identity(&mut self, group: Group) {
        let role = self.words.group_role(group);
        match (does_dma(self.world.groups[group.0].shape), group.0) {
            (false, _) => {}
            (true, 0) => self.step(format_args!("group_type: identity")),
            (true, _) => self.step(format_args!("group_type: {{of: {role}, to: identity}}")),
        }
    }

    fn played(&mut self, played: &Played, next: &Course) {
        match played {
            Played::One(event, rule) => {
                self.line(format_args!("  # {event}: {}", rule.says));
                // Only what is unplugged depends on the state thereafter, and it does not race.
                let state = next.possible().states().next();
                let steps = state.map(|state| self.words.event(*event, rule.answer, state));
                for step in steps.unwrap_or_default() {
                    self.step(format_args!("{step}"));
                }
            }
            Played::Race(events, race) => {
                let ends = race
                    .ends
                    .iter()
                    .map(|[one, other]| format!("[{}, {}]", end_name(*one), end_name(*other)));
                let ends = ends.collect::<Vec<_>>().join(", ");
                self.line(format_args!(
                    "  # at once: {}, and {}",
                    events[0], events[1]
                ));
                self.step(format_args!("together:"));
                self.line(format_args!("      steps:"));
                for event in events {
                    let step = self.words.single(*event).unwrap_or_default();
                    self.line(format_args!("        - {step}"));
                }
                self.line(format_args!("      ends: [{ends}]"));
            }
        }
    }

    fn everywhere(&self) -> Vec<Ioas> {
        (0..self.world.ioases.len()).map(Ioas).collect()
    }

    /// Looks at all that holds in each of these states.
    fn observe(&mut self, states: &[&State], others: &[Ioas]) {
        let (world, sight) = (self.world, self.sight);
        let states = || states.iter().copied();
        for readback in common(states().map(|state| readbacks(world, state))) {
            self.step(format_args!("{readback}"));
        }
        self.look(&common(
            states().map(|state| probes(world, state, sight, others)),
        ));
        if states().all(|state| kernel_does_dma(world, state, sight)) {
            self.step(format_args!("random: {{bytes: 16}}"));
        }
    }

    fn look(&mut self, probes: &BTreeSet<Probe>) {
        if probes.iter().any(|probe| probe.target == Target::Home) {
            // The kernel may have moved the page since: nothing pins it.
            self.step(format_args!("phys: {{of: $home, save: home_pa}}"));
        }
        for probe in probes {
            let role = self.words.role(probe.device);
            let what = if probe.lands { "lands" } else { "blocked" };
            let (iova, page) = match probe.target {
                Target::Home => ("$home_pa".to_owned(), "home".to_owned()),
                Target::Page(ioas) => (
                    format!("{:#x}", self.words.iova(ioas)),
                    format!("page{}", ioas.0),
                ),
                Target::Container => {
                    let iova = format!("{:#x}", self.words.container_iova());
                    (iova, "container_page".to_owned())
                }
            };
            self.step(format_args!(
                "dma: {{from: {role}, iova: {iova}, {what}: ${page}}}"
            ));
        }
    }
}
