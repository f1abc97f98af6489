//! Walks, as they are counted on standard error.

use indicatif::{ProgressBar, ProgressStyle};

/// Of so many walks; draws nothing where standard error is no terminal.
pub fn progress_bar(walks: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {pos} of {len} {wide_bar} {elapsed}");
    let bar = ProgressBar::new(walks).with_message("walk");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
