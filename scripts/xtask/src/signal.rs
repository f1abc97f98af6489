//! Ctrl-C and SIGTERM.

use std::sync::Arc;

use runner::{exit::Exit, run::Cancel};

/// Cancels the run at the first signal. The second one ends the process.
pub fn cancel_on_signal() -> Result<Arc<Cancel>, ctrlc::Error> {
    let cancel = Arc::new(Cancel::default());
    let on_signal = Arc::clone(&cancel);
    ctrlc::set_handler(move || {
        if on_signal.is_cancelled() {
            std::process::exit(i32::from(Exit::Interrupted.number()));
        }
        on_signal.cancel();
    })?;
    Ok(cancel)
}
