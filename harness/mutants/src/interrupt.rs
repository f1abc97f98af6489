//! Ctrl-C: the current case ends, and the tree is restored.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use runner::{exit::Exit, run::Cancel};

/// Whether the user has interrupted the run.
#[derive(Debug, Default)]
pub struct Interrupt {
    asked: AtomicBool,
    running: Mutex<Option<Arc<Cancel>>>,
}

impl Interrupt {
    /// Handles Ctrl-C and SIGTERM from now on.
    pub fn install() -> Result<Arc<Self>, ctrlc::Error> {
        let interrupt = Arc::new(Self::default());
        let handler = Arc::clone(&interrupt);
        ctrlc::set_handler(move || handler.ask())?;
        Ok(interrupt)
    }

    /// Before the first run nothing notices a signal, and the process ends: the next one restores the
    /// tree.
    fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
        match self.running().as_ref() {
            Some(cancel) => cancel.cancel(),
            None => std::process::exit(i32::from(Exit::Interrupted.number())),
        }
    }

    /// Whether the user has interrupted the run.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Returns the [`Cancel`] of the run that begins now.
    pub fn cancel(&self) -> Arc<Cancel> {
        let cancel = Arc::new(Cancel::default());
        *self.running() = Some(Arc::clone(&cancel));
        if self.is_asked() {
            cancel.cancel();
        }
        cancel
    }

    fn running(&self) -> MutexGuard<'_, Option<Arc<Cancel>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
