//! Tables of the time that each phase of a case takes in the guest.

use std::{
    fmt::{self, Display},
    time::Duration,
};

use case::Compiled;
use wire::{Phases, Plan};

use crate::guest::{CaseEnd, Guest};

/// Number of cases without ops to measure; the median is printed.
const RUNS: usize = 200;
/// Number of such cases to run before, because the emulator translates code when it first executes
/// it.
const WARM_UP: usize = 20;
/// Goal for a case without ops in the guest, in ms.
const GOAL: f64 = 5.0;

type Row = (&'static str, &'static str, fn(&Phases) -> u64);

const ROWS: [Row; 10] = [
    ("receive", "read and decode the plan", |it| it.receive),
    ("mark", "mark the start in the kernel log", |it| it.mark),
    ("fork", "start the case's own process", |it| it.fork),
    ("ops", "execute the ops and report each", |it| it.ops),
    ("close", "close everything, look for leaks", |it| it.close),
    ("exit", "end the process and reap it", |it| it.exit),
    ("restore", "execute the restore ops", |it| it.restore),
    ("orphans", "look for left-over processes", |it| it.orphans),
    ("world", "compare drivers, groups, taint, pins", |it| {
        it.world
    }),
    ("log", "read the kernel log, mark the end", |it| it.log),
];

/// Returns the time of all phases.
fn whole(phases: &Phases) -> u64 {
    ROWS.iter().map(|(_, _, of)| of(phases)).sum()
}

/// Medians of cases without ops.
pub struct Idle {
    phases: Vec<Phases>,
    round_trips: Vec<u64>,
}

impl Idle {
    /// Runs these cases in a guest. The error says what such a case left changed.
    pub fn measure(guest: &mut Guest) -> Result<Self, String> {
        let plan = Plan {
            name: "idle".to_owned(),
            ops: Vec::new(),
            restore: Vec::new(),
            timeout_ms: 10_000,
        };
        let checks = Vec::new();
        let idle = Compiled { plan, checks };
        let mut seen = Self {
            phases: Vec::new(),
            round_trips: Vec::new(),
        };
        for run in 0..WARM_UP + RUNS {
            let observation = guest.run(&idle);
            match &observation.end {
                CaseEnd::Done { changes, .. } if changes.is_empty() => {}
                other => return Err(format!("a case without ops: {other:?}")),
            }
            if run >= WARM_UP {
                seen.phases.push(observation.phases);
                seen.round_trips.push(observation.wall.as_micros() as u64);
            }
        }
        Ok(seen)
    }
}

impl Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |get: &dyn Fn(&Phases) -> u64| ms(median(self.phases.iter().map(get)));
        writeln!(f, "a case without ops (median of {}):", self.phases.len())?;
        for (name, what, get) in ROWS {
            writeln!(f, "  {name:<22} {:>8.2} ms  {what}", of(&get))?;
        }
        let (guest, trip) = (of(&whole), ms(median(self.round_trips.iter().copied())));
        writeln!(
            f,
            "  {:<22} {guest:>8.2} ms  (goal: at most {GOAL:.2})",
            "guest's time"
        )?;
        writeln!(f, "  {:<22} {trip:>8.2} ms", "with transport")
    }
}

/// Sums over the cases of a run.
#[derive(Debug, Default, Clone)]
pub struct Sums {
    phases: Vec<Phases>,
    wall: Duration,
}

impl Sums {
    /// Adds a case with its wall time on the host.
    pub fn add(&mut self, phases: Phases, wall: Duration) {
        self.phases.push(phases);
        self.wall += wall;
    }
}

impl Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sum = |get: &dyn Fn(&Phases) -> u64| ms(self.phases.iter().map(get).sum()) / 1000.0;
        writeln!(f, "phases of all cases in all guests:")?;
        for (name, what, get) in ROWS {
            writeln!(f, "  {name:<22} {:>8.2} s   {what}", sum(&get))?;
        }
        writeln!(f, "  {:<22} {:>8.2} s", "guests' time", sum(&whole))?;
        writeln!(
            f,
            "  {:<22} {:>8.2} s",
            "with transport",
            self.wall.as_secs_f64()
        )
    }
}

fn ms(us: u64) -> f64 {
    us as f64 / 1000.0
}

/// Returns the median, or 0 if there are no values.
pub fn median(values: impl Iterator<Item = u64>) -> u64 {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(factor: u64) -> Phases {
        Phases {
            receive: 60 * factor,
            mark: 100 * factor,
            fork: 1_500 * factor,
            ops: 2 * factor,
            close: 800 * factor,
            exit: 1_700 * factor,
            restore: factor,
            orphans: 4 * factor,
            world: 1_200 * factor,
            log: 180 * factor,
        }
    }

    #[test]
    fn a_table_names_each_phase_and_their_sum() {
        let idle = Idle {
            phases: vec![phases(3), phases(1), phases(2)],
            round_trips: vec![6_100, 12_200, 18_300],
        };
        insta::assert_snapshot!(idle, @r#"
        a case without ops (median of 3):
          receive                    0.12 ms  read and decode the plan
          mark                       0.20 ms  mark the start in the kernel log
          fork                       3.00 ms  start the case's own process
          ops                        0.00 ms  execute the ops and report each
          close                      1.60 ms  close everything, look for leaks
          exit                       3.40 ms  end the process and reap it
          restore                    0.00 ms  execute the restore ops
          orphans                    0.01 ms  look for left-over processes
          world                      2.40 ms  compare drivers, groups, taint, pins
          log                        0.36 ms  read the kernel log, mark the end
          guest's time              11.09 ms  (goal: at most 5.00)
          with transport            12.20 ms
        "#);
    }

    #[test]
    fn sums_are_those_of_all_cases() {
        let mut sums = Sums::default();
        for _ in 0..1000 {
            sums.add(phases(1), Duration::from_millis(6));
        }
        insta::assert_snapshot!(sums, @r#"
        phases of all cases in all guests:
          receive                    0.06 s   read and decode the plan
          mark                       0.10 s   mark the start in the kernel log
          fork                       1.50 s   start the case's own process
          ops                        0.00 s   execute the ops and report each
          close                      0.80 s   close everything, look for leaks
          exit                       1.70 s   end the process and reap it
          restore                    0.00 s   execute the restore ops
          orphans                    0.00 s   look for left-over processes
          world                      1.20 s   compare drivers, groups, taint, pins
          log                        0.18 s   read the kernel log, mark the end
          guests' time               5.55 s
          with transport             6.00 s
        "#);
    }
}
