//! Errors with a hint, and exit codes.

use std::process::ExitCode;

use crate::format::counted;
use crate::printer::Printer;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done.
    Success,
    /// It ran, but a requested check failed.
    CheckFailed,
    /// Wrong usage, or an error.
    Error,
    /// Stopped by Ctrl-C, after printing the partial result.
    Interrupted,
}

impl Exit {
    /// That of a command that goes through images and can be resumed: stopped early if `partial`, with `errors`
    /// unreadable images of `allowed`. Prints the reason.
    pub(crate) fn of_images(partial: bool, errors: usize, allowed: usize, printer: &Printer) -> Self {
        if partial {
            printer.note("\nhint: the same command with --resume continues");
            return Self::Interrupted;
        }
        if errors > allowed {
            let errors = counted(errors, "image");
            printer.error(format_args!("{errors} could not be read, {allowed} allowed; see --allow-errors"));
            return Self::Error;
        }
        Self::Success
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::CheckFailed => 1,
            Exit::Error => 2,
            Exit::Interrupted => 130,
        })
    }
}

/// An error and, if there is one, its remedy.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The error.
    pub(crate) error: anyhow::Error,
    /// The remedy.
    pub(crate) hint: Option<String>,
}

/// Result type of the program.
pub(crate) type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// An error with a message.
    pub(crate) fn message(text: impl Into<String>) -> Self {
        Self { error: anyhow::Error::msg(text.into()), hint: None }
    }

    /// Adds a remedy.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether stdout was closed by its reader.
    pub(crate) fn is_broken_pipe(&self) -> bool {
        self.error.chain().any(|cause| {
            cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
        })
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { error: error.into(), hint: None }
    }
}

/// Adds a hint to the errors of a result.
pub(crate) trait Hinted<T> {
    /// Adds `hint` to the error, if there is one.
    fn hint(self, hint: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Failure>> Hinted<T> for std::result::Result<T, E> {
    fn hint(self, hint: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| error.into().hint(hint()))
    }
}
