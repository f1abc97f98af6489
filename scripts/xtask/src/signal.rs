//! Ctrl-C and SIGTERM.

use std::sync::{Arc, OnceLock};

use runner::{exit::Exit, run::Cancel};

/// Cancels the run at the first signal. The second one ends the process. All runs of this process
/// have the same flag, because signals can be caught only once.
pub fn cancel_on_signal() -> Result<Arc<Cancel>, ctrlc::Error> {
    static CANCEL: OnceLock<Arc<Cancel>> = OnceLock::new();
    if let Some(cancel) = CANCEL.get() {
        return Ok(Arc::clone(cancel));
    }
    let cancel = Arc::clone(CANCEL.get_or_init(Arc::default));
    let on_signal = Arc::clone(&cancel);
    ctrlc::set_handler(move || {
        if on_signal.is_cancelled() {
            std::process::exit(i32::from(Exit::Interrupted.number()));
        }
        on_signal.cancel();
    })?;
    Ok(cancel)
}
