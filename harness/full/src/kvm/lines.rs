//! Lines of output: those of `run-conformance --format json`, and those of the emulated host that
//! mark the start and end of each job.

use runner::record::Record;
use serde_json::Value;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// The host is alive.
    Alive,
    /// The host begins a job.
    Begins(String),
    /// The host has ended a job, with this exit code.
    Ended(String, i32),
    /// The host has executed all jobs.
    Finished,
    /// A run begins.
    Cases {
        /// Number of cases.
        cases: u64,
        /// Accelerator.
        accel: String,
        /// Why it is not KVM.
        why: Option<String>,
    },
    /// A case begins.
    CaseBegins(String),
    /// A case has its verdict.
    Judged(Box<Record>),
    /// Another event of a run.
    Other,
    /// Any other text.
    Text(String),
}

impl Line {
    /// Reads a line.
    pub fn read(line: &str) -> Self {
        let line = line.trim_end();
        let words: Vec<_> = line.split(' ').collect();
        match words.as_slice() {
            ["@alive"] => return Self::Alive,
            ["@finished"] => return Self::Finished,
            ["@begin", name] => return Self::Begins((*name).to_owned()),
            ["@end", name, code] => {
                if let Ok(code) = code.parse() {
                    return Self::Ended((*name).to_owned(), code);
                }
            }
            _ => {}
        }
        let event = serde_json::from_str::<Value>(line).ok();
        event
            .as_ref()
            .and_then(of_event)
            .unwrap_or_else(|| Self::Text(line.to_owned()))
    }
}

/// Returns `None` if the value is not an event.
fn of_event(event: &Value) -> Option<Line> {
    let name = event.get("event")?.as_str()?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Some(match name {
        "started" => Line::Cases {
            cases: event.get("cases")?.as_u64()?,
            accel: text(event.get("run")?.get("accel")?)?,
            why: event.get("run")?.get("why_not_kvm").and_then(text),
        },
        "case_started" => Line::CaseBegins(text(event.get("id")?)?),
        "case" => Line::Judged(serde_json::from_value(event.get("case")?.clone()).ok()?),
        _ => Line::Other,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::alive("@alive\r\n", Line::Alive)]
    #[case::begin("@begin intel", Line::Begins("intel".to_owned()))]
    #[case::end("@end intel 101", Line::Ended("intel".to_owned(), 101))]
    #[case::no_code("@end intel x", Line::Text("@end intel x".to_owned()))]
    #[case::finished("@finished", Line::Finished)]
    #[case::started(
        r#"{"event":"started","run":{"accel":"tcg","why_not_kvm":"no device"},"cases":12}"#,
        Line::Cases { cases: 12, accel: "tcg".to_owned(), why: Some("no device".to_owned()) }
    )]
    #[case::begun(r#"{"event":"case_started","id":"a/b"}"#, Line::CaseBegins("a/b".to_owned()))]
    #[case::guest(r#"{"event":"guest","boot":1}"#, Line::Other)]
    #[case::half_a_case(r#"{"event":"case"}"#, Line::Text(r#"{"event":"case"}"#.to_owned()))]
    #[case::words("transitions on intel: 4 / 4 (kvm)", Line::Text("transitions on intel: 4 / 4 (kvm)".to_owned()))]
    fn a_line_is_read(#[case] line: &str, #[case] expected: Line) {
        assert_eq!(Line::read(line), expected);
    }

    proptest! {
        #[test]
        fn whatever_a_host_says_is_a_line(line in ".*") {
            Line::read(&line);
        }
    }
}
