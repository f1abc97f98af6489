//! KTAP output as the kernel's documentation specifies it and as `kunit.py parse` reads it.
//!
//! Results have to appear in the order of their numbers, so each is numbered and written when its
//! case ends. An expected failure is `ok ... # XFAIL` and an unexpected pass is `not ok`, as that
//! parser counts them. What a newer kernel mends or changes is `ok`, after lines that say it.

use std::io::{self, Write};

use crate::{
    event::{Event, Sink},
    newer::Newer,
    record::Record,
    verdict::Verdict,
};

/// Writes KTAP.
#[derive(Debug)]
pub struct Ktap<W> {
    to: W,
    number: usize,
}

impl<W: Write> Ktap<W> {
    /// Returns a writer at the start of its output.
    pub fn new(to: W) -> Self {
        Self { to, number: 0 }
    }

    fn result(&mut self, record: &Record) -> io::Result<()> {
        self.number += 1;
        let (ok, directive) = match record.verdict {
            Verdict::Pass => (true, String::new()),
            Verdict::Skip => (true, directive("SKIP", record)),
            Verdict::Xfail => (true, directive("XFAIL", record)),
            _ if record.known.is_some() => (true, known(record)),
            _ if record.newer.is_some() => (true, String::new()),
            _ => (false, String::new()),
        };
        let newer = record.newer.map(Newer::name);
        if !ok || newer.is_some() {
            let reason = record.reason.as_deref().unwrap_or_default();
            let what = newer.unwrap_or(record.verdict.name());
            for line in std::iter::once(what).chain(reason.lines()) {
                writeln!(self.to, "# {}: {}", record.id, line)?;
            }
            if let Some(guest) = &record.guest {
                writeln!(self.to, "# {}: in {guest}", record.id)?;
            }
        }
        let status = if ok { "ok" } else { "not ok" };
        writeln!(self.to, "{status} {} {}{directive}", self.number, record.id)
    }
}

/// Returns a directive. It extends to the end of the line, so the reason must be one line without
/// `#`.
fn directive(name: &str, record: &Record) -> String {
    let reason = record.reason.as_deref().unwrap_or_default();
    let line = reason.lines().next().unwrap_or_default().replace('#', "");
    format!(" # {name} {line}")
}

/// The directive of a failure that `--baseline` knows.
fn known(record: &Record) -> String {
    let why = record.known.as_deref().unwrap_or_default();
    let why = why.lines().next().unwrap_or_default().replace('#', "");
    format!(" # XFAIL {}, known: {why}", record.verdict)
}

impl<W: Write> Sink for Ktap<W> {
    fn take(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::Started { facts, folders } => {
                let cases: usize = folders.values().sum();
                writeln!(self.to, "KTAP version 1\n1..{cases}")?;
                let (linux, platform, qemu) = (facts.linux(), &facts.platform, &facts.qemu);
                writeln!(self.to, "# {linux}, platform {platform}, {qemu}")?;
                for line in facts.head() {
                    writeln!(self.to, "# {line}")?;
                }
                Ok(())
            }
            Event::GuestUp {
                boot,
                instead: Some(why),
                ..
            } => {
                writeln!(
                    self.to,
                    "# guest {boot} replaces a guest that was given up after {why}"
                )
            }
            Event::CaseEnded(record) => self.result(record),
            Event::Ended(summary) => {
                for it in &summary.deviations {
                    let (name, of, cases) = (&it.finding, &it.of, it.cases.len());
                    writeln!(
                        self.to,
                        "# deviation {name} ({of}, cases: {cases}): {}",
                        it.title
                    )?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}
