//! Ctrl-C: finish the batch in hand, print what was done.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the user asked to stop.
#[derive(Clone, Debug)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Watches for Ctrl-C and SIGTERM from now on; a second one ends the program at once.
    pub(crate) fn watch() -> crate::failure::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        let flag = asked.clone();
        #[allow(clippy::exit, reason = "the user asked twice; nothing is left to say")]
        ctrlc::set_handler(move || {
            if flag.swap(true, Ordering::SeqCst) {
                std::process::exit(130);
            }
        })?;
        Ok(Self(asked))
    }

    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}
