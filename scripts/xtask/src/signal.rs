//! Ctrl-C and SIGTERM.

use std::sync::{Arc, OnceLock};

use runner::{exit::Exit, run::Cancel};

/// Cancels the run at the first signal. The second one ends the process, and so does the first while
/// nothing would notice it: programs that it has started end with it, and the next run removes what
/// they were writing. All runs of this process have the same flag, because signals can be caught only
/// once.
pub fn cancel_on_signal() -> Result<Arc<Cancel>, ctrlc::Error> {
    static CANCEL: OnceLock<Arc<Cancel>> = OnceLock::new();
    if let Some(cancel) = CANCEL.get() {
        return Ok(Arc::clone(cancel));
    }
    let cancel = Arc::clone(CANCEL.get_or_init(Arc::default));
    let on_signal = Arc::clone(&cancel);
    ctrlc::set_handler(move || {
        if on_signal.is_cancelled() || !on_signal.is_watched() {
            on_signal.cancel();
            vm_images::remove_temporary();
            std::process::exit(i32::from(Exit::Interrupted.number()));
        }
        on_signal.cancel();
    })?;
    Ok(cancel)
}
