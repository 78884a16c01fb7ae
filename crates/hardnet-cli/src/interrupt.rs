//! Ctrl-C: the command finishes its current batch and prints the partial result.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set when the user presses Ctrl-C.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Handles Ctrl-C and SIGTERM from now on. The second one ends the program at once.
    pub(crate) fn watch() -> crate::failure::Result<Self> {
        let requested = Arc::new(AtomicBool::new(false));
        let flag = requested.clone();
        #[allow(clippy::exit, reason = "the user asked twice")]
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
        })?;
        Ok(Self(requested))
    }

    pub(crate) fn requested(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
