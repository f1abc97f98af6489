//! For a person: a bar on a terminal, a line for each case elsewhere, a summary at the end.

use std::{
    io::{self, IsTerminal, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};

use crate::{
    event::{Event, Sink},
    record::Record,
    summary::{ClauseVerdict, DeviationReport, Summary},
    verdict::Verdict,
};

/// A case that takes longer is named in the summary.
const SLOW: Duration = Duration::from_secs(2);
/// Characters of a clause's text or reason in a line.
const WIDTH: usize = 96;
/// How many slow cases are named.
const SLOWEST: usize = 5;

/// Writes to standard output.
#[derive(Debug)]
pub struct Human {
    bar: Option<ProgressBar>,
    place: String,
}

impl Human {
    /// For standard output; `place` is where the record is.
    #[must_use]
    pub fn new(place: String) -> Self {
        let terminal = io::stderr().is_terminal() && io::stdout().is_terminal();
        let bar = terminal.then(|| ProgressBar::new(0).with_style(style()));
        Self { bar, place }
    }

    fn line(&self, text: &str) -> io::Result<()> {
        match &self.bar {
            Some(bar) => {
                bar.println(text);
                Ok(())
            }
            None => writeln!(io::stdout(), "{text}"),
        }
    }

    fn case_ended(&self, record: &Record) -> io::Result<()> {
        if let Some(bar) = &self.bar {
            bar.inc(1);
        }
        // On a terminal the bar counts what passes; everywhere else a line shows progress.
        let quiet = self.bar.is_some() && record.verdict == Verdict::Pass;
        if quiet {
            return Ok(());
        }
        let reason = record.reason.as_deref().unwrap_or_default();
        let text = format!("{:<5} {:>6} ms  {}", record.verdict, record.ms, record.id);
        if record.verdict.is_expected() {
            let first = reason.lines().next().unwrap_or_default();
            let dash = if first.is_empty() { "" } else { ": " };
            return self.line(&format!("{text}{dash}{first}"));
        }
        self.line(&format!("{text}\n{}", indent(reason)))?;
        self.line(&indent(&format!("rule: {}", record.summary)))?;
        if !record.kmsg.is_empty() {
            self.line(&indent("kernel log:"))?;
            self.line(&indent(&indent(&record.kmsg.join("\n"))))?;
        }
        Ok(())
    }

    fn ended(&mut self, summary: &Summary) -> io::Result<()> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        self.line(&shown(summary))?;
        self.line(&format!("record: {}", self.place))
    }
}

impl Sink for Human {
    fn take(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Started { facts, cases } => {
                if let Some(bar) = &self.bar {
                    bar.set_length(*cases as u64);
                }
                self.line(&format!(
                    "{cases} cases on platform {}: Linux {}, {}, {} at a time\naccelerator: {}",
                    facts.platform,
                    facts.kernel,
                    facts.qemu,
                    facts.jobs,
                    facts.accelerator()
                ))
            }
            Event::GuestUp {
                boot,
                took,
                instead,
            } => match instead {
                Some(why) => self.line(&format!("guest {boot} replaces one given up after {why}")),
                None => self.line(&format!(
                    "guest {boot} is up after {:.1} s",
                    took.as_secs_f64()
                )),
            },
            Event::Counters { boot, kept } => match kept {
                Ok(files) => self.line(&format!("guest {boot} left {files} files of counters")),
                Err(why) => self.line(&format!("guest {boot} left no counters: {why}")),
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

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}

fn indent(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(|line| format!("      {line}")).collect();
    lines.join("\n")
}

/// The end of a run for a person.
#[must_use]
pub fn shown(summary: &Summary) -> String {
    let mut text = String::from("\nThe staged protocol:\n");
    let (shown, silent): (Vec<_>, Vec<_>) = summary
        .clauses
        .iter()
        .partition(|clause| !clause.cases.is_empty() || clause.reason.is_some());
    for clause in shown {
        let cases = clause.cases.len();
        let head = format!(
            "  {:<6} {:<9} {cases:>3} cases  ",
            clause.id, clause.verdict
        );
        text.push_str(&format!("{head}{}\n", shortened(&clause.text)));
        if let Some(reason) = &clause.reason {
            let first = format!("{:width$}- ", "", width = head.len());
            let others = " ".repeat(first.len());
            let layout = textwrap::Options::new(first.len() + WIDTH)
                .initial_indent(&first)
                .subsequent_indent(&others);
            text.push_str(&textwrap::fill(reason, layout));
            text.push('\n');
        }
    }
    if !silent.is_empty() {
        let ids: Vec<_> = silent.iter().map(|clause| clause.id.as_str()).collect();
        text.push_str(&format!("  no case of this run: {}\n", ids.join(" ")));
    }
    text.push_str(&deviations(summary));
    text.push_str(&slowest(summary));
    let totals = Verdict::ALL
        .into_iter()
        .filter(|verdict| summary.count(*verdict) > 0);
    let totals: Vec<_> = totals
        .map(|verdict| format!("{verdict} {}", summary.count(verdict)))
        .collect();
    let seconds = summary.run.ms as f64 / 1000.0;
    let failing = summary
        .clauses
        .iter()
        .filter(|c| c.verdict == ClauseVerdict::Fails)
        .count();
    let accel = &summary.run.accel;
    text.push_str(&format!(
        "\n{} in {seconds:.1} s ({accel})",
        totals.join(", ")
    ));
    if failing > 0 {
        text.push_str(&format!("; {failing} clauses fail"));
    }
    if summary.run.interrupted {
        text.push_str("; interrupted");
    }
    if let Some(kept) = &summary.run.counters {
        let (folder, guests) = (kept.folder.display(), kept.guests);
        text.push_str(&format!("\ncounters of {guests} guests in {folder}"));
        if !kept.lost.is_empty() {
            text.push_str(&format!("; lost with {} guests", kept.lost.len()));
        }
    }
    text
}

/// What is known to be wrong, a line each.
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

/// Enough of a text for one line.
fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
