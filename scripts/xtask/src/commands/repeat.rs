//! `--repeat`: the same run several times, whether each case has one verdict, and the orders in
//! which races ended.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use runner::{
    counters::KeepCounters,
    exit::Exit,
    races::{Listed, Tally},
    record::{Record, timestamp},
    records::records,
    root::{races, runs},
    say,
    verdict::Verdict,
};

use crate::{
    commands::run_conformance::{RunError, go},
    run_options::RunOptions,
};

/// How often to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeat {
    /// Number of runs; `None`: until one is not as expected.
    pub times: Option<u64>,
    /// Whether the first run that is not as expected is the last one.
    pub until_fail: bool,
    /// Whether an order of a race that no run showed is a failure, unless it is listed.
    pub orders: bool,
}

/// Runs the cases again and again, each time with a record of its own, and prints the cases that
/// had more than one verdict.
pub fn repeat(options: &RunOptions, repeat: Repeat) -> Result<Exit, RunError> {
    let usual = || runs().join(format!("{}-repeat", timestamp()));
    let listed = match repeat.orders {
        true => Some(Listed::load(&races())?),
        false => None,
    };
    let folder = options.machine.record.clone().unwrap_or_else(usual);
    let mut seen = Seen::default();
    let mut worst = Exit::Ok;
    for number in 1..=repeat.times.unwrap_or(u64::MAX) {
        say!("run {number}{}", of(repeat.times));
        let (exit, path) = once(options, number, &folder.join(number.to_string()))?;
        match exit {
            Exit::Ok | Exit::Failed => {}
            // Nothing was judged, or not all.
            other => return Ok(other),
        }
        if let Some(path) = path {
            seen.add(number, &path)?;
        }
        if exit == Exit::Failed {
            worst = exit;
        }
        if exit == Exit::Failed && repeat.until_fail {
            break;
        }
    }
    seen.tally.lines().iter().for_each(|line| say!("{line}"));
    let unlisted = listed.map(|listed| faults(&seen.tally, &listed));
    let unlisted = unlisted.unwrap_or_default();
    unlisted.iter().for_each(|line| say!("{line}"));
    let changing = seen.changing();
    changing.iter().for_each(|line| say!("{line}"));
    let (runs, cases) = (seen.runs, seen.verdicts.len());
    let races = match repeat.orders {
        true => format!("; {} orders of races missing or misnamed", unlisted.len()),
        false => String::new(),
    };
    say!(
        "{runs} runs of {cases} cases; {} had more than one verdict{races}",
        changing.len()
    );
    say!("record: {}", folder.display());
    Ok(match changing.is_empty() && unlisted.is_empty() {
        true => worst,
        false => Exit::Failed,
    })
}

/// What is wrong with the orders in which races ended, and with the list of those that never are.
fn faults(tally: &Tally, listed: &Listed) -> Vec<String> {
    let unseen = tally.unseen(listed).into_iter();
    let unseen = unseen.map(|unseen| unseen.to_string());
    unseen.chain(tally.misnamed(listed)).collect()
}

fn of(times: Option<u64>) -> String {
    times
        .map(|times| format!(" of {times}"))
        .unwrap_or_default()
}

/// Makes the run with this number, from 1.
fn once(
    options: &RunOptions,
    number: u64,
    record: &Path,
) -> Result<(Exit, Option<PathBuf>), RunError> {
    let mut options = options.clone();
    options.machine.turn = number - 1;
    options.machine.record = Some(record.to_owned());
    go(&options, KeepCounters::No)
}

/// Verdicts of each case, with the numbers of the runs.
#[derive(Debug, Default)]
struct Seen {
    runs: u64,
    verdicts: BTreeMap<String, BTreeMap<Verdict, Vec<u64>>>,
    tally: Tally,
}

impl Seen {
    fn add(&mut self, number: u64, folder: &Path) -> Result<(), RunError> {
        self.runs += 1;
        for record in records(folder)?.into_values() {
            self.note(number, &record);
        }
        Ok(())
    }

    fn note(&mut self, number: u64, record: &Record) {
        let of_case = self.verdicts.entry(record.id.clone()).or_default();
        of_case.entry(record.verdict).or_default().push(number);
        self.tally.add(record);
    }

    /// Returns a line for each case with more than one verdict, or that was not judged each time.
    fn changing(&self) -> Vec<String> {
        let steady = |verdicts: &BTreeMap<Verdict, Vec<u64>>| {
            let mut of_one = verdicts.values();
            let all = |runs: &Vec<u64>| runs.len() as u64 == self.runs;
            of_one.next().is_some_and(all)
        };
        let changing = self.verdicts.iter().filter(|(_, it)| !steady(it));
        changing.map(|(id, it)| line(id, it)).collect()
    }
}

fn line(id: &str, verdicts: &BTreeMap<Verdict, Vec<u64>>) -> String {
    let told = |(verdict, runs): (&Verdict, &Vec<u64>)| {
        let numbers: Vec<_> = runs.iter().map(ToString::to_string).collect();
        match numbers.len() {
            ..=3 => format!("{verdict} in run {}", numbers.join(", ")),
            many => format!("{verdict} in {many} runs"),
        }
    };
    let verdicts: Vec<_> = verdicts.iter().map(told).collect();
    format!("{id}: {}", verdicts.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: &str, verdict: Verdict) -> Record {
        Record {
            verdict,
            ..Record::of_machine(id, "intel", "a rule")
        }
    }

    #[test]
    fn a_case_with_two_verdicts_and_one_that_is_missing_are_told() {
        let mut seen = Seen {
            runs: 5,
            ..Seen::default()
        };
        for run in 1..=5 {
            seen.note(run, &record("a/steady", Verdict::Xfail));
            let verdict = if run == 4 {
                Verdict::Fail
            } else {
                Verdict::Pass
            };
            seen.note(run, &record("b/changes", verdict));
        }
        seen.note(2, &record("machine/log", Verdict::Fail));
        assert_eq!(
            seen.changing(),
            [
                "b/changes: PASS in 4 runs; FAIL in run 4",
                "machine/log: FAIL in run 2",
            ]
        );
    }
}
