//! What can go wrong in this crate.

use crate::algorithm::Algorithm;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A step without inputs.
    #[error("no maps to read")]
    NoInputs,
    /// A map of another builder.
    #[error("map {0} is not of this program")]
    UnknownMap(usize),
    /// A size of 0, or more values than can be addressed.
    #[error("cannot make a map of {channels} channels and {height}x{width} pixels")]
    Size {
        /// Channels.
        channels: usize,
        /// Rows.
        height: usize,
        /// Columns.
        width: usize,
    },
    /// Maps that cannot be concatenated.
    #[error("maps of {first:?} and {other:?} rows and columns are not one input")]
    SizesDiffer {
        /// Rows and columns of the first map.
        first: (usize, usize),
        /// Rows and columns of another.
        other: (usize, usize),
    },
    /// A filter of another size than the step needs.
    #[error("{what} has {found} values, expected {expected}")]
    Filter {
        /// Which part of the filter.
        what: &'static str,
        /// Values that it needs.
        expected: usize,
        /// Values that it has.
        found: usize,
    },
    /// A window that does not fit into its map, or a kernel or stride of 0.
    #[error("no window of {kernel}x{kernel} with stride {stride} in a padded map of {height}x{width}")]
    Window {
        /// Side of the window.
        kernel: usize,
        /// Its step.
        stride: usize,
        /// Rows of the padded map.
        height: usize,
        /// Columns of the padded map.
        width: usize,
    },
    /// No algorithm of that name.
    #[error("unknown algorithm `{name}`: there are {}", Algorithm::ALL.map(Algorithm::name).join(", "))]
    UnknownAlgorithm {
        /// The name.
        name: String,
    },
    /// A combination that no kernel computes.
    #[error("no kernel for {0}")]
    Unsupported(&'static str),
    /// Images or outputs of another size than the program's.
    #[error("{what} has {found} values, expected {expected}")]
    Length {
        /// What.
        what: &'static str,
        /// Values that it needs.
        expected: usize,
        /// Values that it has.
        found: usize,
    },
    /// A backward pass without a forward pass before it, or a second one.
    #[error("no forward pass whose gradients are to be computed")]
    NotForwarded,
    /// Threads could not be started.
    #[error("cannot start a thread")]
    Thread(#[from] std::io::Error),
}
