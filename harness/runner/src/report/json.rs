//! JSON output: one object for each event, one in each line.

use std::io::{self, Write};

use serde_json::json;

use crate::event::{Event, Sink};

/// Writes JSON lines.
#[derive(Debug)]
pub struct Json<W>(pub W);

impl<W: Write> Sink for Json<W> {
    fn take(&mut self, event: &Event) -> io::Result<()> {
        let value = match event {
            Event::Started { facts, folders } => {
                let cases: usize = folders.values().sum();
                json!({"event": "started", "run": facts, "cases": cases})
            }
            Event::GuestUp {
                boot,
                took,
                instead,
            } => {
                json!({"event": "guest", "boot": boot, "ms": took.as_millis() as u64, "instead": instead})
            }
            Event::Counters { boot, kept } => json!({
                "event": "counters",
                "boot": boot,
                "files": kept.as_ref().ok(),
                "lost": kept.as_ref().err(),
            }),
            Event::CaseStarted { id } => json!({"event": "case_started", "id": id}),
            Event::CaseEnded(record) => json!({"event": "case", "case": record}),
            Event::Blessed(what) => json!({"event": "blessed", "what": what}),
            Event::Ended(summary) => {
                json!({
                    "event": "ended",
                    "totals": summary.totals,
                    "clauses": summary.clauses,
                    "deviations": summary.deviations,
                })
            }
        };
        writeln!(self.0, "{value}")
    }
}
