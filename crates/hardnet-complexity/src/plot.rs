//! Pictures of what is counted, as SVG documents.
//!
//! Each has a background of its own, light or dark as the reader's system prefers, and is legible at its own size, at
//! most 820 pixels wide, which is what a page shows.

mod blocks;
mod density;
mod efficiency;
mod labels;
mod links;
mod memory;

pub use density::density;
pub use efficiency::{Point, efficiency};
pub use links::links;
pub use memory::memory;

/// Pixels of a picture's width.
const WIDTH: f64 = 820.0;

#[cfg(test)]
mod tests;
