//! Progress of obtaining an image.

use std::io::{IsTerminal, stderr};
use std::sync::Mutex;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// Told about the progress of making an image.
pub trait Progress {
    /// A new stage begins, as in "compiling Linux 7.3.4".
    fn stage(&self, text: &str);
    /// This many steps of the stage are done; the total may be an estimate.
    fn steps(&self, done: u64, total: Option<u64>);
    /// A message for the user, such as which run is waited for.
    fn line(&self, text: &str);
}

/// Discards the progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _text: &str) {}
    fn steps(&self, _done: u64, _total: Option<u64>) {}
    fn line(&self, _text: &str) {}
}

/// Draws a bar on standard error if that is a terminal. Otherwise prints a line for each stage and
/// each tenth of it.
#[derive(Debug)]
pub struct Terminal {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// `None` if standard error is not a terminal.
    bar: Option<ProgressBar>,
    stage: String,
    /// The tenth that was printed last.
    tenth: u64,
}

impl Terminal {
    /// For this process's standard error.
    pub fn new() -> Self {
        let bar = stderr().is_terminal().then(spinner);
        let state = State {
            bar,
            stage: String::new(),
            tenth: 0,
        };
        Self {
            state: Mutex::new(state),
        }
    }

    /// Replaces the text of the stage, whose time goes on.
    pub fn note(&self, text: &str) {
        self.with(|state| match &state.bar {
            Some(bar) => bar.set_message(text.to_owned()),
            None => eprintln!("{text}"),
        });
    }

    fn with(&self, act: impl FnOnce(&mut State)) {
        // The state is valid even if a thread panicked while drawing.
        act(&mut self
            .state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner));
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.with(|state| {
            if let Some(bar) = &state.bar {
                bar.finish_and_clear();
            }
        });
    }
}

impl Progress for Terminal {
    fn stage(&self, text: &str) {
        self.with(|state| {
            text.clone_into(&mut state.stage);
            state.tenth = 0;
            match &state.bar {
                Some(bar) => start(bar, text),
                None => eprintln!("{text}"),
            }
        });
    }

    fn steps(&self, done: u64, total: Option<u64>) {
        self.with(|state| match (&state.bar, total) {
            (Some(bar), _) => draw(bar, done, total),
            (None, Some(total)) => {
                let tenth = tenth(done, total);
                if tenth > state.tenth {
                    state.tenth = tenth;
                    eprintln!("{}: {} %", state.stage, tenth * 10);
                }
            }
            (None, None) => {}
        });
    }

    fn line(&self, text: &str) {
        self.with(|state| match &state.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        });
    }
}

fn spinner() -> ProgressBar {
    ProgressBar::new_spinner()
}

/// A stage of unknown length: a spinner with the time it has taken.
fn start(bar: &ProgressBar, text: &str) {
    bar.reset();
    bar.unset_length();
    bar.set_message(text.to_owned());
    bar.set_style(style("{spinner} {msg} {elapsed}"));
    bar.enable_steady_tick(Duration::from_millis(200));
}

/// Draws the bar, once there is a total.
fn draw(bar: &ProgressBar, done: u64, total: Option<u64>) {
    if let Some(total) = total {
        if bar.length().is_none() {
            bar.set_style(style(
                "{spinner} {msg} [{bar:30}] {percent} % {elapsed}, about {eta} left",
            ));
        }
        bar.set_length(total.max(done));
    }
    bar.set_position(done);
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// Returns how many tenths are done. An estimated total may be too low.
fn tenth(done: u64, total: u64) -> u64 {
    (done.saturating_mul(10))
        .checked_div(total)
        .unwrap_or(0)
        .min(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(0, 0, 0)]
    #[case(9, 100, 0)]
    #[case(10, 100, 1)]
    #[case(100, 100, 10)]
    #[case(300, 100, 10)]
    fn counts_tenths(#[case] done: u64, #[case] total: u64, #[case] want: u64) {
        assert_eq!(tenth(done, total), want);
    }
}
