//! Output for people: a progress bar on a terminal, a line for each folder, the details of
//! unexpected verdicts, and a summary at the end.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    baseline::State,
    event::{Event, Sink},
    newer::Newer,
    races::Tally,
    record::{Record, RunFacts},
    snapshot::REFERENCE_SERIES,
    summary::{ClauseReport, ClauseVerdict, DeviationReport, Summary},
    verdict::Verdict,
};

/// Cases that take longer are listed in the summary.
const SLOW: Duration = Duration::from_secs(2);
/// Maximum length of a clause's text or reason in a line.
const WIDTH: usize = 96;
/// Maximum number of slow cases to list.
const SLOWEST: usize = 5;

/// Detail of the output for cases and clauses that are as expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// A line for each folder of cases, and only the clauses that Linux does not conform to.
    Brief,
    /// A line for each case and each clause.
    Verbose,
}

/// Writes output for people.
#[derive(Debug)]
pub struct Human<W> {
    to: W,
    bar: Option<ProgressBar>,
    place: String,
    detail: Detail,
    folders: BTreeMap<String, Folder>,
}

/// The cases of a folder so far.
#[derive(Debug, Default)]
struct Folder {
    cases: usize,
    judged: BTreeMap<Verdict, usize>,
    ms: u64,
}

impl<W: Write> Human<W> {
    /// `place` is the folder of the record.
    pub fn new(to: W, place: String, detail: Detail) -> Self {
        Self {
            to,
            bar: None,
            place,
            detail,
            folders: BTreeMap::new(),
        }
    }

    /// Adds a progress bar if standard output and standard error are terminals.
    pub fn with_bar(mut self) -> Self {
        let terminal = io::stderr().is_terminal() && io::stdout().is_terminal();
        self.bar = terminal.then(|| ProgressBar::new(0).with_style(style()));
        self
    }

    fn line(&mut self, text: &str) -> io::Result<()> {
        match &self.bar {
            Some(bar) => {
                bar.println(text);
                Ok(())
            }
            None => writeln!(self.to, "{text}"),
        }
    }

    fn case_ended(&mut self, record: &Record) -> io::Result<()> {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        if !record.is_as_expected() {
            self.line(&in_full(record))?;
        } else if self.detail == Detail::Verbose {
            self.line(&in_a_line(record))?;
        }
        self.count(record)
    }

    /// Counts a verdict, and prints the line of its folder as soon as all cases of the folder are
    /// judged.
    fn count(&mut self, record: &Record) -> io::Result<()> {
        let name = folder_of(&record.id);
        let folder = self.folders.entry(name.to_owned()).or_default();
        *folder.judged.entry(record.verdict).or_default() += 1;
        folder.ms += record.ms;
        if folder.is_complete() && self.detail == Detail::Brief {
            let text = folder.line(name);
            self.line(&text)?;
        }
        Ok(())
    }

    fn ended(&mut self, summary: &Summary) -> io::Result<()> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let cut_short = self.folders.iter().filter(|(_, it)| it.is_cut_short());
        let lines: Vec<_> = cut_short.map(|(name, it)| it.line(name)).collect();
        for line in lines {
            self.line(&line)?;
        }
        self.line(&shown(summary, self.detail))?;
        let place = format!("record: {}", self.place);
        self.line(&place)
    }

    fn started(&mut self, facts: &RunFacts, folders: &BTreeMap<String, usize>) -> io::Result<()> {
        let cases: usize = folders.values().sum();
        if let Some(bar) = &self.bar {
            bar.set_length(cases as u64);
        }
        for (name, cases) in folders {
            let folder = self.folders.entry(name.clone()).or_default();
            folder.cases = *cases;
        }
        self.line(&format!(
            "{cases} cases on platform {}: {}, {}, {} at a time\n{}",
            facts.platform,
            facts.linux(),
            facts.qemu,
            facts.jobs,
            facts.head().join("\n")
        ))
    }
}

impl<W: Write> Sink for Human<W> {
    fn take(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Started { facts, folders } => self.started(facts, folders),
            Event::GuestUp {
                boot,
                took,
                instead,
            } => match instead {
                Some(why) if self.detail == Detail::Verbose => self.line(&format!(
                    "guest {boot} replaces a guest that was given up after \
                                        {why}"
                )),
                Some(_) => Ok(()),
                None => self.line(&format!(
                    "guest {boot} booted in {:.1} s",
                    took.as_secs_f64()
                )),
            },
            Event::Counters { boot, kept } => match kept {
                Ok(files) => self.line(&format!(
                    "stored {files} files of counters of guest \
                    {boot}"
                )),
                Err(why) => self.line(&format!("stored no counters of guest {boot}: {why}")),
            },
            Event::CaseStarted { id } => {
                if let Some(bar) = &self.bar {
                    bar.set_message(id.clone());
                }
                Ok(())
            }
            Event::CaseEnded(record) => self.case_ended(record),
            Event::Blessed(what) => self.line(&format!("blessed {what}")),
            Event::Ended(summary) => self.ended(summary),
        }
    }
}

impl Folder {
    fn done(&self) -> usize {
        self.judged.values().sum()
    }

    fn is_complete(&self) -> bool {
        self.done() == self.cases
    }

    fn is_cut_short(&self) -> bool {
        (1..self.cases).contains(&self.done())
    }

    fn line(&self, name: &str) -> String {
        let verdicts = self.judged.iter();
        let verdicts: Vec<_> = verdicts
            .map(|(verdict, n)| format!("{n} {verdict}"))
            .collect();
        let seconds = self.ms as f64 / 1000.0;
        let rest = match self.cases.saturating_sub(self.done()) {
            0 => String::new(),
            rest => format!(", {rest} not run"),
        };
        format!("{name:<20} {seconds:>6.1} s  {}{rest}", verdicts.join(", "))
    }
}

/// The folder of a case.
pub fn folder_of(id: &str) -> &str {
    id.split('/').next().unwrap_or(id)
}

fn head(record: &Record) -> String {
    format!("{:<5} {:>6} ms  {}", record.verdict, record.ms, record.id)
}

fn in_a_line(record: &Record) -> String {
    let reason = record.reason.as_deref().unwrap_or_default();
    let known = record.known.as_ref();
    let known = known.map(|why| format!(" [known: {why}]"));
    let known = known.unwrap_or_default();
    match reason.lines().next() {
        Some(first) => format!("{}: {first}{known}", head(record)),
        None => format!("{}{known}", head(record)),
    }
}

fn in_full(record: &Record) -> String {
    let reason = record.reason.as_deref().unwrap_or_default();
    let rule = format!("rule: {}", record.summary);
    let mut parts = vec![head(record), indent(reason), indent(&rule)];
    parts.extend(record.guest.as_ref().map(|it| indent(&format!("in {it}"))));
    if !record.kmsg.is_empty() {
        parts.push(indent("kernel log:"));
        parts.push(indent(&indent(&record.kmsg.join("\n"))));
    }
    parts.join("\n")
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn indent(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| format!("      {line}")).collect();
    lines.join("\n")
}

/// Returns the summary of a run as text.
pub fn shown(summary: &Summary, detail: Detail) -> String {
    let parts = [
        newer(summary, Newer::Improvement),
        newer(summary, Newer::Change),
        clauses(summary, detail),
        deviations(summary),
        allowed(summary),
        skipped(summary, detail),
        races(summary, detail),
        slowest(summary),
        baseline(summary),
        not_as_expected(summary),
        totals(summary),
    ];
    parts.concat()
}

/// What a newer kernel mends, or changes: each case, and how its transcript differs.
fn newer(summary: &Summary, what: Newer) -> String {
    let cases = summary.cases.iter().filter(|it| it.newer == Some(what));
    let lines: String = match what {
        Newer::Improvement => cases.map(|it| format!("  {}\n", in_a_line(it))).collect(),
        Newer::Change => cases.map(|it| format!("{}\n", in_full(it))).collect(),
    };
    let (head, means) = match what {
        Newer::Improvement => ("Improvements", "known deviations that did not show"),
        Newer::Change => ("Changes", "every expectation is met, the snapshot is not"),
    };
    match lines.is_empty() {
        true => lines,
        false => format!("\n{head} of a kernel newer than {REFERENCE_SERIES} ({means}):\n{lines}"),
    }
}

/// What became of the complaints that `--splat-allow` allows.
fn allowed(summary: &Summary) -> String {
    let allowed = &summary.run.allowed;
    if allowed.is_empty() {
        return String::new();
    }
    let lines = allowed.iter().map(|entry| format!("  {entry}\n"));
    format!(
        "\nComplaints that --splat-allow allows:\n{}",
        lines.collect::<String>()
    )
}

/// What became of the failures that `--baseline` knows, but those that were not run.
fn baseline(summary: &Summary) -> String {
    let mut told: Vec<_> = summary.baseline.iter().collect();
    told.retain(|it| it.state != State::NotRun);
    told.sort_by_key(|it| std::cmp::Reverse(it.state));
    let lines: String = told.iter().map(|it| format!("  {it}\n")).collect();
    match summary.baseline.len() - told.len() {
        _ if summary.baseline.is_empty() => String::new(),
        0 => format!("\nKnown failures (--baseline):\n{lines}"),
        left => format!("\nKnown failures (--baseline), and {left} that were not run:\n{lines}"),
    }
}

/// What was missing, with the number of cases that need it. With -v each case's line says it.
fn skipped(summary: &Summary, detail: Detail) -> String {
    let mut needs: BTreeMap<&str, usize> = BTreeMap::new();
    let skipped = summary
        .cases
        .iter()
        .filter(|it| it.verdict == Verdict::Skip);
    for need in skipped.filter_map(|record| record.reason.as_deref()?.lines().next()) {
        *needs.entry(need).or_default() += 1;
    }
    if needs.is_empty() || detail == Detail::Verbose {
        return String::new();
    }
    let lines = needs
        .iter()
        .map(|(need, cases)| format!("  {cases:>4}  {need}\n"));
    format!("\nSkipped:\n{}", lines.collect::<String>())
}

/// Lists the clauses of the staged protocol with their verdicts.
fn clauses(summary: &Summary, detail: Detail) -> String {
    if summary.clauses.is_empty() {
        return String::new();
    }
    let of = |verdict| {
        summary
            .clauses
            .iter()
            .filter(move |it| it.verdict == verdict)
    };
    let is_shown = |clause: &ClauseReport| match (detail, clause.verdict) {
        (Detail::Verbose, ClauseVerdict::Untested) => {
            !clause.cases.is_empty() || clause.reason.is_some()
        }
        (Detail::Verbose, _) => true,
        (Detail::Brief, ClauseVerdict::Conforms | ClauseVerdict::Untested) => false,
        (Detail::Brief, _) => true,
    };
    let shown = summary.clauses.iter().filter(|clause| is_shown(clause));
    let lines: String = shown.map(|it| clause(it, detail)).collect();
    let (conforming, untested) = (
        of(ClauseVerdict::Conforms).count(),
        of(ClauseVerdict::Untested).count(),
    );
    let noun = match conforming {
        1 => "clause conforms",
        _ => "clauses conform",
    };
    let more = match detail {
        Detail::Brief => "; -v shows all",
        Detail::Verbose => "",
    };
    format!("\nThe staged protocol: {conforming} {noun}, {untested} untested{more}\n{lines}")
}

/// Shows a clause. With full detail the reason follows on a line of its own.
fn clause(clause: &ClauseReport, detail: Detail) -> String {
    let cases = clause.cases.len();
    let head = format!(
        "  {:<6} {:<9} {cases:>3} cases  ",
        clause.id, clause.verdict
    );
    let mut text = format!("{head}{}\n", shortened(&clause.text));
    if let Some(reason) = &clause.reason {
        let first = format!("{:width$}- ", "", width = head.len());
        let others = " ".repeat(first.len());
        let layout = textwrap::Options::new(first.len() + WIDTH)
            .initial_indent(&first)
            .subsequent_indent(&others);
        let reason = match detail {
            Detail::Brief => shortened(reason),
            Detail::Verbose => reason.clone(),
        };
        text.push_str(&textwrap::fill(&reason, layout));
        text.push('\n');
    }
    text
}

/// Lists the unexpected cases again, in one line each, at the end of the log where readers look
/// first.
fn not_as_expected(summary: &Summary) -> String {
    let cases = summary.cases.iter();
    let cases = cases.filter(|record| !record.is_as_expected());
    let lines: Vec<_> = cases
        .map(|record| format!("  {}\n", in_a_line(record)))
        .collect();
    if lines.is_empty() {
        return String::new();
    }
    format!("\nNot as expected:\n{}", lines.concat())
}

/// How many of the cases with a verdict are no failures although it is not as expected.
fn no_failures(summary: &Summary, verdict: Verdict) -> String {
    let of = |is: fn(&Record) -> bool| {
        let cases = summary.cases.iter();
        cases.filter(|it| it.verdict == verdict && is(it)).count()
    };
    let parts = [
        (of(|it| it.known.is_some()), "known"),
        (of(|it| it.newer == Some(Newer::Improvement)), "improved"),
        (of(|it| it.newer == Some(Newer::Change)), "changed"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<_> = parts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    match parts.is_empty() {
        true => String::new(),
        false => format!(" ({})", parts.join(", ")),
    }
}

fn totals(summary: &Summary) -> String {
    let totals = Verdict::ALL
        .into_iter()
        .filter(|verdict| summary.count(*verdict) > 0);
    let totals: Vec<_> = totals
        .map(|verdict| {
            format!(
                "{verdict} {}{}",
                summary.count(verdict),
                no_failures(summary, verdict)
            )
        })
        .collect();
    let seconds = summary.run.ms as f64 / 1000.0;
    let accel = &summary.run.accel;
    let mut text = format!("\n{} in {seconds:.1} s ({accel})", totals.join(", "));
    let fails = |it: &&ClauseReport| it.verdict == ClauseVerdict::Fails;
    match summary.clauses.iter().filter(fails).count() {
        0 => {}
        1 => text.push_str("; 1 clause fails"),
        failing => text.push_str(&format!("; {failing} clauses fail")),
    }
    if summary.run.interrupted {
        text.push_str("; interrupted");
    }
    if let Some(kept) = &summary.run.counters {
        let (folder, guests) = (kept.folder.display(), kept.guests);
        text.push_str(&format!("\ncounters of {guests} guests: {folder}"));
        if !kept.lost.is_empty() {
            text.push_str(&format!(
                "; {} guests were lost with theirs",
                kept.lost.len()
            ));
        }
    }
    text
}

/// Lists the known deviations, in one line each.
fn deviations(summary: &Summary) -> String {
    let all = &summary.deviations;
    if all.is_empty() {
        return String::new();
    }
    let width = |text: fn(&DeviationReport) -> &str| all.iter().map(|it| text(it).len()).max();
    let name = width(|it| &it.finding).unwrap_or_default();
    let lines = all.iter().map(|it| {
        let (finding, cases) = (&it.finding, it.cases.len());
        let of = match it.of.as_str() {
            "kernel" => String::new(),
            other => format!("[{other}] "),
        };
        let title = shortened(&format!("{of}{}", it.title));
        format!("  {finding:<name$}  {cases:>4}  {title}\n")
    });
    let lines: String = lines.collect();
    format!("\nKnown deviations (results/findings), with the number of cases:\n{lines}")
}

/// Lists the races with the orders in which they ended.
fn races(summary: &Summary, detail: Detail) -> String {
    let tally = Tally::of(&summary.cases);
    if tally.is_empty() || detail == Detail::Brief {
        return String::new();
    }
    let lines = tally.lines();
    let lines: Vec<_> = lines.iter().map(|line| format!("  {line}\n")).collect();
    format!(
        "\nRaces, with the order in which each ended:\n{}",
        lines.concat()
    )
}

fn slowest(summary: &Summary) -> String {
    let mut slow: Vec<_> = summary
        .cases
        .iter()
        .filter(|record| u128::from(record.ms) >= SLOW.as_millis())
        .collect();
    slow.sort_by_key(|record| std::cmp::Reverse(record.ms));
    if slow.is_empty() {
        return String::new();
    }
    let lines: Vec<_> = slow
        .iter()
        .take(SLOWEST)
        .map(|record| format!("  {:>6} ms  {}\n", record.ms, record.id))
        .collect();
    format!("\nSlow cases:\n{}", lines.concat())
}

/// Shortens a text to one line.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
