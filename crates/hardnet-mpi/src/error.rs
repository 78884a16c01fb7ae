//! Errors of starting MPI.

/// Result type of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Error type of this crate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No library of MPI can be opened.
    #[error("cannot open {}: {reason}", .names.join(" or "))]
    NoLibrary {
        /// File names that were tried.
        names: Vec<String>,
        /// The last reason.
        reason: String,
    },
    /// The library has a binary interface that this crate does not know.
    #[error("`{name}` is {found}, expected Open MPI, or MPICH or one compatible with it")]
    UnknownLibrary {
        /// Name of the file.
        name: String,
        /// The name and version that the library gives.
        found: String,
    },
    /// The library lacks a function.
    #[error("`{name}` has no `{symbol}`")]
    NoSymbol {
        /// Name of the file.
        name: String,
        /// The function or variable.
        symbol: String,
    },
    /// A call failed.
    #[error("{function} failed with the code {code}")]
    Call {
        /// The function.
        function: &'static str,
        /// The returned error code.
        code: i32,
    },
    /// The system has no libraries of MPI that this crate can open.
    #[error("MPI is not available on this system")]
    Unsupported,
    /// The name of a library is not known.
    #[error("unknown MPI `{0}`, expected `open-mpi`, `mpich`, or the path of a library")]
    UnknownName(String),
}
