//! The only place that prints: data on stdout, everything else on stderr.

use std::io::{self, IsTerminal, Write};

use crate::failure::{Failure, Result};

/// Prints as loudly as `-q` allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Printer {
    quiet: u8,
}

impl Printer {
    pub(crate) fn new(quiet: u8) -> Self {
        Self { quiet }
    }

    /// A line of results.
    pub(crate) fn line(&self, text: impl std::fmt::Display) -> Result<()> {
        writeln!(io::stdout().lock(), "{text}")?;
        Ok(())
    }

    /// A JSON document over several lines.
    pub(crate) fn json(&self, value: &impl serde::Serialize) -> Result<()> {
        self.line(serde_json::to_string_pretty(value)?)
    }

    /// A JSON document on one line.
    pub(crate) fn json_line(&self, value: &impl serde::Serialize) -> Result<()> {
        self.line(serde_json::to_string(value)?)
    }

    /// Something the user should know of what is about to happen; silent with `-q`.
    pub(crate) fn note(&self, text: impl std::fmt::Display) {
        if self.quiet == 0 {
            self.stderr(format_args!("{text}"));
        }
    }

    /// Something that may not be as wanted; silent with `-qq`.
    pub(crate) fn warn(&self, text: impl std::fmt::Display) {
        if self.quiet < 2 {
            self.stderr(format_args!("warning: {text}"));
        }
    }

    /// Something that could not be done, though the program goes on.
    pub(crate) fn error(&self, text: impl std::fmt::Display) {
        self.stderr(format_args!("error: {text}"));
    }

    /// The same with its causes.
    pub(crate) fn cause(&self, error: &(dyn std::error::Error + 'static)) {
        self.error(chain(error));
    }

    /// Why the program ends.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.cause(failure.error.as_ref());
        if let Some(hint) = &failure.hint {
            self.stderr(format_args!("\nhint: {hint}"));
        }
    }

    /// Whether a moving progress bar can be shown.
    pub(crate) fn shows_bars(&self) -> bool {
        self.quiet == 0 && io::stderr().is_terminal() && std::env::var_os(crate::knobs::NO_PROGRESS).is_none()
    }

    /// The same for downloads, which also heed the variable of Python's `huggingface_hub`.
    #[cfg(feature = "hub")]
    pub(crate) fn shows_transfers(&self) -> bool {
        self.shows_bars() && std::env::var_os(crate::knobs::NO_TRANSFER_BARS).is_none_or(|value| value == "0")
    }

    /// Whether progress is to be told at all.
    pub(crate) fn shows_progress(&self) -> bool {
        self.quiet == 0
    }

    fn stderr(&self, text: std::fmt::Arguments) {
        // A reader of stderr that went away is no reason to stop.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// An error and its causes on one line, without a cause whose text the one above it already has.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    for cause in anyhow::Chain::new(error).map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_says_nothing_twice() {
        let error = anyhow::anyhow!("no such file").context("cannot read `a`");
        assert_eq!(chain(error.as_ref()), "cannot read `a`: no such file");
        let repeated = anyhow::anyhow!("no such file").context("cannot read `a`: no such file");
        assert_eq!(chain(repeated.as_ref()), "cannot read `a`: no such file");
    }
}
