//! All output: results on stdout, everything else on stderr.

use std::io::{self, IsTerminal, Write};

use crate::failure::{Failure, Result};
use crate::hints::hint;
use crate::knobs;

/// Prints as much as `-q` allows.
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

    /// A note on what is about to happen; silent with `-q`.
    pub(crate) fn note(&self, text: impl std::fmt::Display) {
        if self.quiet == 0 {
            self.stderr(format_args!("{text}"));
        }
    }

    /// A warning; silent with `-qq`.
    pub(crate) fn warn(&self, text: impl std::fmt::Display) {
        if self.quiet < 2 {
            self.stderr(format_args!("warning: {text}"));
        }
    }

    /// An error after which the program continues.
    pub(crate) fn error(&self, text: impl std::fmt::Display) {
        self.stderr(format_args!("error: {text}"));
    }

    /// An error and its causes.
    pub(crate) fn cause(&self, error: &(dyn std::error::Error + 'static)) {
        self.error(chain(error));
    }

    /// The error that ends the program, with its hint.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.cause(failure.error.as_ref());
        if let Some(hint) = failure.hint.clone().or_else(|| hint(&failure.error)) {
            self.stderr(format_args!("\nhint: {hint}"));
        }
    }

    /// Whether a moving progress bar can be shown.
    pub(crate) fn shows_bars(&self) -> bool {
        self.quiet == 0 && io::stderr().is_terminal() && knobs::shows_bars()
    }

    /// Whether a progress bar can be shown for a download.
    #[cfg(feature = "hub")]
    pub(crate) fn shows_download_bars(&self) -> bool {
        self.shows_bars() && knobs::shows_download_bars()
    }

    /// Whether progress is shown at all.
    pub(crate) fn shows_progress(&self) -> bool {
        self.quiet == 0
    }

    fn stderr(&self, text: std::fmt::Arguments) {
        // A closed stderr does not end the program.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// An error and its causes on one line, without causes that the text already contains.
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
    fn a_chain_repeats_nothing() {
        let error = anyhow::anyhow!("no such file").context("cannot read `a`");
        assert_eq!(chain(error.as_ref()), "cannot read `a`: no such file");
        let repeated = anyhow::anyhow!("no such file").context("cannot read `a`: no such file");
        assert_eq!(chain(repeated.as_ref()), "cannot read `a`: no such file");
    }
}
