//! The size of an image: `224`, or rows and columns as `1024x2048`.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

/// Rows and columns of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImageSize {
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl ImageSize {
    pub(crate) const fn square(side: usize) -> Self {
        Self { height: side, width: side }
    }
}

impl FromStr for ImageSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let side = |text: &str| text.parse::<usize>().ok();
        let size = match text.split_once('x') {
            Some((rows, columns)) => side(rows).zip(side(columns)).map(|(height, width)| Self { height, width }),
            None => side(text).map(Self::square),
        };
        size.ok_or_else(|| {
            format!("`{text}` is not a size, expected pixels as in 224, or rows and columns as in 1024x2048")
        })
    }
}

impl fmt::Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.height, self.width)
    }
}

impl Serialize for ImageSize {
    /// The side of a square as a number, another size as its text.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.height == self.width { self.height.serialize(serializer) } else { serializer.collect_str(self) }
    }
}
