//! Helpers shared by several HarDNet crates, without dependencies unless a feature enables one.
//!
//! * [`excerpt`]: text of foreign origin, fit for a message on a terminal.
//! * [`read_regular_file`]: files of bounded size; pipes and devices are refused before they are opened.
//! * [`Sparse`]: files of which only some parts are in memory.
//! * [`TextLines`]: the lines of text files in UTF-8 or UTF-16, one at a time.
//! * [`hex`] and, with the feature `digest`, `sha256` and `Sha256`.
//! * `AtomicFile`, with the feature `atomic`: files that appear under their name only when they are complete.
//! * [`npy`]: arrays as files that NumPy reads, and with the feature `npz` archives of them.
//! * [`svg`]: documents and axes of plots.

#[cfg(feature = "atomic")]
mod atomic_file;
mod digest;
pub mod npy;
mod regular_file;
mod sparse;
pub mod svg;
mod text;
mod text_lines;

#[cfg(feature = "atomic")]
pub use atomic_file::AtomicFile;
pub use digest::hex;
#[cfg(feature = "digest")]
pub use digest::{Sha256, sha256};
pub use regular_file::{FileKind, ReadError, open_regular_file, read_regular_file, read_regular_file_into};
pub use sparse::{Sparse, SparseBytes, SparseReader};
pub use text::{excerpt, excerpt_of};
pub use text_lines::{TextError, TextLines};
