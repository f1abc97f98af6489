//! Text of nodes, arrows, titles and tooltips.

use std::{borrow::Cow, fmt::Write};

use model::{
    Presence,
    view::{DeviceAppearance, GroupAppearance, Meets, Path, Phase, Stage},
};
use textwrap::WordSplitter;

use crate::picture::{
    graph::{Arrow, Line, Link, Node, Picture, StateGraph, refusal},
    result::TransitionResult,
    style::{INK, PALE_INK, fill},
};

/// Maximum length of a row in a node.
const WIDTH: usize = 34;
/// Maximum number of diverging transitions that a tooltip lists.
const NAMED: usize = 8;

/// One row of text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// In bold.
    pub strong: String,
    /// After it.
    pub plain: String,
    /// Of both.
    pub colour: &'static str,
    /// In points.
    pub size: usize,
    /// Behind it.
    pub fill: Option<&'static str>,
}

impl Row {
    pub(super) fn new(strong: &str, plain: &str, colour: &'static str, size: usize) -> Self {
        Self {
            strong: strong.to_owned(),
            plain: plain.to_owned(),
            colour,
            size,
            fill: None,
        }
    }
}

/// The worst result of some lines.
pub fn worst(lines: &[Line]) -> TransitionResult {
    let results = lines.iter().map(|line| line.counts.result());
    results.max().unwrap_or(TransitionResult::NotRun)
}

impl Node {
    /// Its text.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        if self.initial {
            rows.push(Row::new("", "initial state:", PALE_INK, 10));
        }
        for group in &self.appearance.0 {
            let devices: Vec<_> = group.devices.iter().map(device).collect();
            rows.push(Row::new(&devices.join(" + "), "", INK, 13));
            let remarks = remarks(group).into_iter();
            rows.extend(remarks.map(|remark| Row::new("", remark, INK, 11)));
            rows.push(Row {
                fill: Some(fill(group.meets)),
                ..Row::new("", meets(group.meets), INK, 11)
            });
        }
        rows.extend(self.lists());
        rows
    }

    /// One list of events that succeed and stay, and one for each errno.
    fn lists(&self) -> Vec<Row> {
        let mut kinds: Vec<Option<&str>> = Vec::new();
        for line in &self.stays {
            let kind = refusal(line.rule.answer);
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        kinds.sort_unstable();
        kinds.into_iter().flat_map(|kind| self.list(kind)).collect()
    }

    fn list(&self, kind: Option<&str>) -> Vec<Row> {
        let mut lines: Vec<_> = self.stays.clone();
        lines.retain(|line| refusal(line.rule.answer) == kind);
        let mut rows = Vec::new();
        for result in TransitionResult::ALL {
            let some = lines.iter().filter(|line| line.counts.result() == result);
            let mut verbs: Vec<_> = some.map(Line::verb).collect();
            let mut seen = Vec::new();
            verbs.retain(|verb| {
                !seen.contains(verb) && {
                    seen.push(*verb);
                    true
                }
            });
            if !verbs.is_empty() {
                rows.extend(list(kind.unwrap_or("stays:"), &verbs, result));
            }
        }
        rows
    }

    /// Returns its fill, which shows what DMA of its groups reaches, if that is the same for all.
    pub(super) fn fill(&self) -> &'static str {
        let mut fills = self.appearance.0.iter().map(|it| fill(it.meets));
        let first = fills.next().unwrap_or("#ffffff");
        if fills.all(|it| it == first) {
            first
        } else {
            "#ffffff"
        }
    }

    /// Its tooltip.
    pub(super) fn tooltip(&self) -> String {
        tooltip(&self.stays)
    }
}

/// Returns a list of verbs, wrapped into rows.
fn list(head: &str, verbs: &[&str], result: TransitionResult) -> Vec<Row> {
    let stroke = result.stroke();
    let head = format!("{}{head} ", stroke.mark);
    // A line does not end within a verb.
    let verbs = verbs.join(",\n").replace(' ', "\u{a0}").replace('\n', " ");
    let options = textwrap::Options::new(WIDTH).word_splitter(WordSplitter::NoHyphenation);
    let wrapped = textwrap::wrap(
        &verbs,
        options.initial_indent(&head).subsequent_indent("    "),
    );
    let row = |text: &Cow<'_, str>| match text.strip_prefix(&head) {
        Some(text) => Row::new(&head, text, stroke.colour, 10),
        None => Row::new("", text, stroke.colour, 10),
    };
    wrapped.iter().map(row).collect()
}

fn device(appearance: &DeviceAppearance) -> String {
    match appearance.presence {
        Presence::Here => usage(appearance),
        Presence::Leaving => format!("{}, asked for", usage(appearance)),
        Presence::Gone => "unplugged".to_owned(),
    }
}

fn usage(appearance: &DeviceAppearance) -> String {
    let phase = phase(appearance.phase);
    let kept = match appearance.held {
        None => return phase.to_owned(),
        Some(Phase::FromGroup) => "open",
        Some(held) => self::phase(held),
    };
    format!("{phase}, mapping keeps it {kept}")
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::KernelDriver => "on its kernel driver",
        Phase::Driverless => "no driver",
        Phase::Closed => "closed",
        Phase::Open => "open",
        Phase::Bound => "bound",
        Phase::Attached => "attached",
        Phase::OnHwpt => "attached to an HWPT",
        Phase::FromGroup => "got from group",
    }
}

fn remarks(group: &GroupAppearance) -> Vec<&'static str> {
    let path = match group.path {
        Path::Unused => None,
        Path::Open => Some("group node open"),
        Path::Joined => Some("group in a container"),
        Path::Typed => Some("group in a container with IOMMU"),
    };
    let driver = group
        .on_kernel_driver
        .then_some("kernel driver has a member");
    let closed = group.descriptor_closed.then_some("iommu_fd closed");
    path.into_iter().chain(driver).chain(closed).collect()
}

const fn meets(meets: Meets) -> &'static str {
    match meets {
        Meets::Default => "DMA: default domain",
        Meets::Blocking => "DMA: blocked",
        Meets::Ioas => "DMA: IOAS",
        Meets::Container => "DMA: container's mappings",
    }
}

impl Link<'_> {
    fn directions(&self) -> impl Iterator<Item = (&'static str, &Arrow)> {
        let ahead = self.ahead.map(|arrow| ("\u{2192} ", arrow));
        let back = self.back.map(|arrow| ("\u{2190} ", arrow));
        ahead.into_iter().chain(back)
    }

    /// Its text: one row for each event, with the clauses.
    pub(super) fn rows(&self) -> Vec<Row> {
        let rows = |(way, arrow): (&str, &Arrow)| arrow.rows(way);
        self.directions().flat_map(rows).collect()
    }

    /// The worst result of either way.
    pub(super) fn result(&self) -> TransitionResult {
        let results = self.directions().map(|(_, arrow)| worst(&arrow.lines));
        results.max().unwrap_or(TransitionResult::NotRun)
    }

    /// Its tooltip.
    pub(super) fn tooltip(&self) -> String {
        let tooltips = self
            .directions()
            .map(|(way, it)| format!("{way}{}", tooltip(&it.lines)));
        tooltips.collect::<Vec<_>>().join("\n")
    }
}

impl Arrow {
    fn rows(&self, way: &str) -> Vec<Row> {
        let mut verbs: Vec<&str> = Vec::new();
        for line in &self.lines {
            if !verbs.contains(&line.verb()) {
                verbs.push(line.verb());
            }
        }
        verbs.into_iter().map(|verb| self.row(way, verb)).collect()
    }

    fn row(&self, way: &str, verb: &str) -> Row {
        let mut lines = self.lines.clone();
        lines.retain(|line| line.verb() == verb);
        let mut clauses: Vec<&str> = Vec::new();
        for clause in lines.iter().flat_map(|line| line.rule.clauses) {
            if !clauses.contains(clause) {
                clauses.push(clause);
            }
        }
        let stroke = worst(&lines).stroke();
        let verb = format!("{way}{}{verb} ", stroke.mark);
        Row::new(&verb, &clauses.join(" "), stroke.colour, 10)
    }
}

/// Every rule with its clauses, its text, and the results of its transitions.
fn tooltip(lines: &[Line]) -> String {
    let mut text = String::new();
    for line in lines {
        let rule = &line.rule;
        let answer = refusal(rule.answer).map_or_else(String::new, |errno| format!(" = {errno}"));
        let clauses = rule.clauses.join(" ");
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{}{answer} [{clauses}] {}", rule.name, rule.says);
        for result in TransitionResult::ALL {
            let count = line.counts.count(result);
            if count > 0 {
                let _ = writeln!(text, "    {count} {}", result.text());
            }
        }
        let diverged = &line.counts.diverged;
        for words in diverged.iter().take(NAMED) {
            let _ = writeln!(text, "        {words}");
        }
        if diverged.len() > NAMED {
            let _ = writeln!(text, "        and {} more", diverged.len() - NAMED);
        }
    }
    text.truncate(text.trim_end().len());
    text
}

impl StateGraph {
    /// Returns its title, and what the picture does not distinguish.
    pub(super) fn rows(&self) -> Vec<Row> {
        let each = if self.worlds.len() > 1 { " each" } else { "" };
        let size = format!(
            "{} states, {} transitions{each}; {} states up to symmetry, {} drawn; not \
             distinguished: {}",
            self.states,
            self.transitions,
            self.merged,
            self.nodes.len(),
            self.view.leaves_out().join(", ")
        );
        vec![
            Row::new(&self.worlds.join("  =  "), "", INK, 15),
            Row::new("", &size, PALE_INK, 11),
        ]
    }
}

impl Picture {
    /// The title of the picture.
    pub(super) fn rows(&self) -> Vec<Row> {
        let all = self.counts();
        let count = |result| format!("{} {}", all.count(result), result.text());
        let counts: Vec<_> = self.results().into_iter().map(count).collect();
        vec![
            Row::new("iommufd and vfio: the staged protocol", "", INK, 18),
            Row::new("", &format!("transitions: {}", counts.join(", ")), INK, 12),
        ]
    }

    /// The results that occur, for the legend; after a run, also those that a run can have.
    pub(super) fn results(&self) -> Vec<TransitionResult> {
        let ran = self.counts().not_run == 0;
        let shown = |result: &TransitionResult| (*result == TransitionResult::NotRun) != ran;
        TransitionResult::ALL.into_iter().filter(shown).collect()
    }
}

/// The title of a stage's part of the picture.
pub const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::One => "Stage 1: devices alone in their group",
        Stage::Two => "Stage 2: groups of several devices",
        Stage::GroupPath => "the group's own node: S1.0, S2.0",
    }
}

/// The fills in the legend, in words.
pub const FILLS: [(Meets, &str); 4] = [
    (Meets::Default, "default domain"),
    (Meets::Blocking, "blocked"),
    (Meets::Ioas, "an IOAS"),
    (Meets::Container, "the container's mappings"),
];
