//! A walk through the model as a case file, which can be run and read.

use std::{
    collections::{BTreeSet, HashSet},
    fmt::{self, Write},
};

use model::{Answer, Device, Edge, Event, Graph, Group, Ioas, Iommu, Race, Shape, State, World};

use crate::{
    case_language::{CaseLanguage, RANDOM, does_dma, end_name, shape_name},
    observability::{Control, Observability},
    orders::Orders,
    probe::{DmaTarget, Probe, all_targets, kernel_does_dma, probes, remaps, returned},
    random_walk::{Move, Played, RandomWalk},
    readback::{held, readbacks},
};

/// Time limit of a walk. Long ones take seconds, and a busy host makes them slower.
const TIMEOUT_MS: u32 = 60_000;

/// Physical address of a page that a default domain may map one to one, and that Linux leaves to the
/// firmware.
const DIRECT: u64 = 0x50000;

/// A case, and the transition that each of its steps belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// The case file.
    pub text: String,
    /// For each step of the case, the position in the walk of its transition; none for a step of
    /// the set-up.
    pub transition_of: Vec<Option<usize>>,
    /// The observations, in the order of the walk.
    pub looks: Vec<Look>,
    /// The races whose answers are assumed, because they tell the state that follows.
    pub assumed: Vec<Assumed>,
}

/// A race whose answers are assumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assumed {
    /// Its step of the case.
    pub step: usize,
    /// Its position among the moves.
    pub position: usize,
    /// All answers that the model allows, and what they tell.
    pub allowed: Vec<([Answer; 2], usize)>,
}

impl Assumed {
    /// Returns what the ends tell that a failure of this race describes, if the model allows them.
    pub fn told_by(&self, reason: &str) -> Option<usize> {
        let mut lines = reason.lines().map(str::trim);
        let observed = lines.find_map(|line| line.strip_prefix("observed: "))?;
        let (one, other) = observed.split_once(" | ")?;
        let given = |[first, second]: &[Answer; 2]| is(*first, one) && is(*second, other);
        let mut allowed = self.allowed.iter();
        let (_, told) = allowed.find(|(answers, _)| given(answers))?;
        Some(*told)
    }
}

/// Whether this is the answer that a failure describes.
fn is(answer: Answer, observed: &str) -> bool {
    match answer {
        Answer::Ok => observed == "success",
        Answer::Errno(name) => observed == name,
        Answer::Refused => observed != "success",
    }
}

/// An observation after a transition: sysfs is read, and DMA is observed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// The position of the transition in the walk.
    pub position: usize,
    /// Where DMA is tried.
    pub extent: Extent,
}

/// Where an observation tries DMA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// At every target.
    Everywhere,
    /// Where it has to land, and at one other target.
    OneTarget,
}

/// States and transitions after which sysfs is read and DMA is observed.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// States that were observed at every page.
    states: HashSet<usize>,
    edges: HashSet<usize>,
}

impl Seen {
    /// Returns the observation that a transition still needs, and notes it.
    fn need(&mut self, number: usize, edge: &Edge) -> Option<Extent> {
        let extent = match (self.states.contains(&edge.to), self.edges.contains(&number)) {
            (false, _) => Extent::Everywhere,
            // The state was observed before, but not after this transition.
            (true, false) => Extent::OneTarget,
            (true, true) => return None,
        };
        self.add(number, edge, extent);
        Some(extent)
    }

    /// Notes an observation.
    pub fn add(&mut self, number: usize, edge: &Edge, extent: Extent) {
        self.edges.insert(number);
        if extent == Extent::Everywhere {
            self.states.insert(edge.to);
        }
    }

    /// Whether a transition and the state that it leads to were observed.
    pub fn is_complete(&self, number: usize, edge: &Edge) -> bool {
        self.edges.contains(&number) && self.states.contains(&edge.to)
    }
}

impl Script {
    /// Writes a walk through a graph as a case. After each transition that is not yet in `seen`,
    /// sysfs is read and DMA is observed; in each state that is not yet there, at every page.
    /// These observations are added to `seen`, for the walks that are run together with this one.
    pub fn of_edges(
        world: &World,
        graph: &Graph,
        walk: &[usize],
        observability: &Observability,
        seen: &mut Seen,
    ) -> Self {
        let mut writer = Writer::begin(world, observability);
        for (position, number) in walk.iter().enumerate() {
            writer.now = Some(position);
            let edge = &graph.edges[*number];
            let state = &graph.states[edge.to];
            writer.line(format_args!("  # {}: {}", edge.event, edge.rule.says));
            for step in writer.language.event(edge.event, edge.rule.answer, state) {
                writer.step(format_args!("{step}"));
            }
            let Some(extent) = seen.need(*number, edge) else {
                continue;
            };
            let all = all_targets(world, observability);
            let others = match extent {
                Extent::Everywhere => all,
                Extent::OneTarget => all
                    .get(number % all.len().max(1))
                    .copied()
                    .into_iter()
                    .collect(),
            };
            writer.observe(&[state], &others);
            writer.observe_return(&graph.states[edge.from], state);
            writer.looks.push(Look { position, extent });
        }
        writer.end()
    }

    /// Writes a walk whose events may race as a case. After every move sysfs is read and DMA is
    /// observed at every page, as far as all possible states agree. The answers of a race that
    /// tell the state are assumed to be those of `orders`.
    pub fn of_moves(
        begin: &RandomWalk,
        moves: &[Move],
        observability: &Observability,
        orders: &Orders,
    ) -> Self {
        let world = begin.world();
        let mut writer = Writer::begin(world, observability);
        let mut at = begin.clone();
        for (position, one) in moves.iter().enumerate() {
            writer.now = Some(position);
            let Some((played, next)) = at.play(*one) else {
                break; // the rules have no answer: nothing is known from here on
            };
            let next = writer.played(&played, next, orders);
            let everywhere = all_targets(world, observability);
            let states: Vec<_> = next.possible().states().collect();
            writer.observe(&states, &everywhere);
            let before: Vec<_> = at.possible().states().collect();
            if let ([before], [after]) = (before.as_slice(), states.as_slice()) {
                writer.observe_return(before, after);
            }
            at = next;
        }
        writer.end()
    }
}

/// The elements that all of these sets have.
fn common<T: Ord + Clone>(mut sets: impl Iterator<Item = BTreeSet<T>>) -> BTreeSet<T> {
    let first = sets.next().unwrap_or_default();
    sets.fold(first, |known, more| &known & &more)
}

struct Writer<'a> {
    world: &'a World,
    language: CaseLanguage<'a>,
    observability: &'a Observability,
    text: String,
    transition_of: Vec<Option<usize>>,
    looks: Vec<Look>,
    assumed: Vec<Assumed>,
    now: Option<usize>,
}

impl<'a> Writer<'a> {
    /// Writes the head of the case, and the set-up before the first transition.
    fn begin(world: &'a World, observability: &'a Observability) -> Self {
        let mut writer = Self {
            world,
            language: CaseLanguage(world),
            observability,
            text: String::new(),
            transition_of: Vec::new(),
            looks: Vec::new(),
            assumed: Vec::new(),
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
            looks: self.looks,
            assumed: self.assumed,
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
        self.line(format_args!("timeout_ms: {TIMEOUT_MS}"));
        // If model and kernel disagree about what is open, vfio-pci would wait forever.
        self.line(format_args!("fail_fast: true"));
        let mut shapes = self.world.groups.iter().map(|group| group.shape);
        if shapes.any(|shape| shape == Shape::Mdev) {
            self.line(format_args!("needs: {{features: [mdev_mtty]}}"));
        }
        if self.world.scope.pasid {
            // On others IOMMU_HWPT_ALLOC_PASID is refused.
            self.line(format_args!(
                "needs: {{platforms: [intel, intel-scalable, intel-flts]}}"
            ));
        }
        match self.world.groups[0].shape {
            Shape::Mdev => {}
            shape => self.line(format_args!("shapes: [{}]", shape_name(shape))),
        }
        self.line(format_args!("steps:"));
    }

    fn set_up(&mut self) {
        self.set_up_control();
        self.set_up_resets();
        if self.world.scope.hot_reset {
            // A bus can be reset if all its devices are on vfio-pci.
            self.step(format_args!(
                "driver: {{of: group.host-driver, to: vfio-pci}}"
            ));
        }
        for ioas in 0..self.world.ioases.len() {
            self.step(format_args!("memory: {{page{ioas}: 0x1000}}"));
        }
        for iommu in (0..self.world.iommus).map(Iommu) {
            for step in self.language.open_iommu(iommu) {
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

    fn set_up_control(&mut self) {
        match self.observability.control() {
            Control::Identity => {
                for group in self.world.all_groups() {
                    self.identity(group);
                }
                self.step(format_args!("memory: {{control: 0x1000}}"));
            }
            Control::Direct => {
                self.step(format_args!("open: {{physical: /dev/mem}}"));
                self.step(format_args!(
                    "mmap: {{on: physical, offset: {DIRECT:#x}, save: control}}"
                ));
            }
            Control::None(_) => {}
        }
    }

    /// Lets devices be reset that are not between cases, because that takes time.
    fn set_up_resets(&mut self) {
        let (world, language) = (self.world, self.language);
        let does_dma = |device| does_dma(world.groups[world.group_of(device).0].shape);
        for device in world
            .devices()
            .filter(|it| world.scope.reset && does_dma(*it))
        {
            let role = language.role(device);
            self.step(format_args!("reset_method: {{of: {role}, to: flr}}"));
        }
    }

    fn identity(&mut self, group: Group) {
        let role = self.language.group_role(group);
        match (does_dma(self.world.groups[group.0].shape), group.0) {
            (false, _) => {}
            (true, 0) => self.step(format_args!("group_type: identity")),
            (true, _) => self.step(format_args!("group_type: {{of: {role}, to: identity}}")),
        }
    }

    /// Writes a move, and returns the walk after it.
    fn played(&mut self, played: &Played, next: RandomWalk, orders: &Orders) -> RandomWalk {
        match played {
            Played::One(event, rule) => {
                self.line(format_args!("  # {event}: {}", rule.says));
                // Only the steps of an unplug depend on the next state, and an unplug does not
                // race.
                let state = next.possible().states().next();
                let steps = state.map(|state| self.language.event(*event, rule.answer, state));
                for step in steps.unwrap_or_default() {
                    self.step(format_args!("{step}"));
                }
                next
            }
            Played::Race(events, race) => self.race(*events, race, next, orders),
        }
    }

    /// Writes two events at once. If their answers tell the state that follows, answers are
    /// assumed.
    fn race(
        &mut self,
        events: [Event; 2],
        race: &Race,
        next: RandomWalk,
        orders: &Orders,
    ) -> RandomWalk {
        let position = self.now.unwrap_or_default();
        let told = match race.told.as_slice() {
            [] | [_] => None,
            several => orders.chosen(position, several),
        };
        self.line(format_args!(
            "  # at once: {}, and {}",
            events[0], events[1]
        ));
        if told.is_some() {
            self.line(format_args!("  # of the allowed ends, these lead on"));
            let all = race.told.iter().enumerate();
            let allowed =
                all.flat_map(|(told, one)| one.ends.iter().map(move |ends| (*ends, told)));
            let allowed = allowed.collect();
            self.assumed.push(Assumed {
                step: self.transition_of.len(),
                position,
                allowed,
            });
        }
        let ends = told.map_or(&race.ends, |told| &told.ends);
        let ends = ends
            .iter()
            .map(|[one, other]| format!("[{}, {}]", end_name(*one), end_name(*other)));
        let ends = ends.collect::<Vec<_>>().join(", ");
        self.step(format_args!("together:"));
        self.line(format_args!("      steps:"));
        for event in events {
            let step = self.language.single(event).unwrap_or_default();
            self.line(format_args!("        - {step}"));
        }
        self.line(format_args!("      ends: [{ends}]"));
        told.map_or_else(|| next.clone(), |told| next.told(&told.next))
    }

    /// Gives a device of each group that has gone back to a default domain that translates to its
    /// kernel driver, whose DMA has to land, and takes it back.
    fn observe_return(&mut self, before: &State, after: &State) {
        for group in returned(self.world, before, after, self.observability) {
            for step in self.language.lend(group) {
                self.step(format_args!("{step}"));
            }
        }
    }

    /// Observes what holds in each of these states.
    fn observe(&mut self, states: &[&State], others: &[DmaTarget]) {
        let (world, observability) = (self.world, self.observability);
        let states = || states.iter().copied();
        for readback in common(states().map(|state| readbacks(world, state))) {
            self.step(format_args!("{readback}"));
        }
        for step in common(states().map(|state| held(world, state))) {
            self.step(format_args!("{step}"));
        }
        if others.len() == all_targets(world, observability).len() {
            let remaps = common(states().map(|state| remaps(world, state, observability)));
            for (ioas, device) in remaps {
                self.remap(ioas, device);
            }
        }
        self.observe_dma(&common(
            states().map(|state| probes(world, state, observability, others)),
        ));
        if states().all(|state| kernel_does_dma(world, state, observability)) {
            self.step(format_args!("{RANDOM}"));
        }
    }

    /// Takes the page of an IOAS away from a device that is attached, and puts it back: DMA is
    /// blocked between. The probes that follow have to land.
    fn remap(&mut self, ioas: Ioas, device: Device) {
        let language = self.language;
        self.step(format_args!("{}", language.unmap(ioas)));
        self.observe_dma(&BTreeSet::from([Probe {
            device,
            target: DmaTarget::Page(ioas),
            lands: false,
        }]));
        self.step(format_args!("{}", language.map(ioas)));
    }

    fn observe_dma(&mut self, probes: &BTreeSet<Probe>) {
        let physical = |probe: &Probe| probe.target == DmaTarget::Physical;
        let identity = *self.observability.control() == Control::Identity;
        if identity && probes.iter().any(physical) {
            // The page is not pinned, so the kernel may have moved it.
            self.step(format_args!("phys: {{of: $control, save: control_pa}}"));
        }
        for probe in probes {
            let role = self.language.role(probe.device);
            let what = if probe.lands { "lands" } else { "blocked" };
            let (iova, page) = match probe.target {
                DmaTarget::Physical if identity => ("$control_pa".to_owned(), "control".to_owned()),
                DmaTarget::Physical => (format!("{DIRECT:#x}"), "control".to_owned()),
                DmaTarget::Page(ioas) => (
                    format!("{:#x}", self.language.iova(ioas)),
                    format!("page{}", ioas.0),
                ),
                DmaTarget::Container => {
                    let iova = format!("{:#x}", self.language.container_iova());
                    (iova, "container_page".to_owned())
                }
            };
            self.step(format_args!(
                "dma: {{from: {role}, iova: {iova}, {what}: ${page}}}"
            ));
        }
    }
}
