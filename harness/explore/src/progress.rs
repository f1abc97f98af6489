//! The progress bar of walks.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar for this many walks. It draws nothing if standard error is not a terminal.
pub fn progress_bar(walks: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {pos} of {len} {wide_bar} {elapsed}");
    let bar = ProgressBar::new(walks).with_message("walk");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
