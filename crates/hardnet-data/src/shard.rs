//! Parts of a data set for several processes.
//!
//! Each process computes one [`Shard`] of the images, a contiguous range. The ranges begin at whole batches, so that
//! the batches of all shards are those of one process: the logits of an image may depend on the size of its batch.

mod launcher;

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

pub use launcher::{LAUNCHER_VARIABLES, Launcher, LauncherError, UnknownLauncher};

/// One of the equal parts of a data set: part `index`, from 0, of `count`.
///
/// ```
/// use hardnet_data::Shard;
///
/// let shard: Shard = "1/3".parse().unwrap();
/// assert_eq!(shard.range(10, 1), 3..6);
/// assert_eq!(shard.range(10, 4), 4..8);
/// assert_eq!(shard.to_string(), "1/3");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shard {
    index: usize,
    count: usize,
}

/// Error of a shard that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShardError {
    /// The text is not two numbers.
    #[error("`{text}` is not a shard, expected K/N such as `0/4`")]
    Syntax {
        /// The text.
        text: String,
    },
    /// The index is not below the number of shards.
    #[error("shard `{index}/{count}` does not exist: the shards of {count} are numbered from 0 to {}", .count.saturating_sub(1))]
    Index {
        /// The index, from 0.
        index: usize,
        /// The number of shards.
        count: usize,
    },
    /// There are no shards.
    #[error("the number of shards is 0, expected at least 1")]
    NoShards,
}

impl Shard {
    /// Shard `index`, from 0, of `count`.
    ///
    /// # Errors
    ///
    /// A [`ShardError`] if `index` is not below `count`.
    pub fn new(index: usize, count: usize) -> Result<Self, ShardError> {
        match count {
            0 => Err(ShardError::NoShards),
            _ if index >= count => Err(ShardError::Index { index, count }),
            _ => Ok(Self { index, count }),
        }
    }

    /// The number of the shard, from 0.
    pub fn index(self) -> usize {
        self.index
    }

    /// The number of all shards.
    pub fn count(self) -> usize {
        self.count
    }

    /// The part of `total` samples that is this shard: a range that begins at a multiple of `unit` samples, 0 standing
    /// for 1.
    ///
    /// The ranges of all shards follow each other and hold each sample once. They differ by one unit at most, and some
    /// are empty if there are more shards than units.
    pub fn range(self, total: usize, unit: usize) -> Range<usize> {
        let unit = unit.max(1);
        let units = total.div_ceil(unit) as u128;
        // At most `units`, so that the product is less than `total` and one unit more.
        let bound = |index: usize| {
            let units = units * index as u128 / self.count as u128;
            (units * unit as u128).min(total as u128) as usize
        };
        bound(self.index)..bound(self.index + 1)
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        let syntax = || ShardError::Syntax { text: hardnet_base::excerpt(text) };
        let (index, count) = text.split_once('/').ok_or_else(syntax)?;
        let number = |digits: &str| digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let (index, count) = number(index).zip(number(count)).ok_or_else(syntax)?;
        Self::new(index, count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_each_sample_once_and_begin_at_units() {
        for total in [0, 1, 2, 7, 16, 17, 1000, usize::MAX] {
            for unit in [0, 1, 2, 16, 1000] {
                for count in [1, 2, 3, 4, 7, 2000] {
                    let mut next = 0;
                    let (mut least, mut most) = (usize::MAX, 0);
                    for index in 0..count {
                        let range = Shard::new(index, count).unwrap().range(total, unit);
                        assert_eq!(range.start, next, "shard {index} of {count}, {total} samples in units of {unit}");
                        assert!(range.start.is_multiple_of(unit.max(1)) || range.is_empty());
                        let units = range.len().div_ceil(unit.max(1));
                        (least, most) = (least.min(units), most.max(units));
                        next = range.end;
                    }
                    assert_eq!(next, total);
                    assert!(most - least <= 1, "{least} to {most} units for {count} shards of {total}, {unit}");
                }
            }
        }
    }

    #[test]
    fn more_shards_than_samples_are_empty_or_have_one() {
        let ranges: Vec<_> = (0..7).map(|index| Shard::new(index, 7).unwrap().range(3, 1).len()).collect();
        assert_eq!(ranges, [0, 0, 1, 0, 1, 0, 1]);
    }

    #[test]
    fn texts_are_two_numbers() {
        assert_eq!("3/4".parse(), Shard::new(3, 4));
        assert_eq!("4/4".parse::<Shard>(), Err(ShardError::Index { index: 4, count: 4 }));
        assert_eq!("0/0".parse::<Shard>(), Err(ShardError::NoShards));
        for text in ["", "1", "/", "1/", "/2", "-1/2", "+1/2", "1/2/3", " 1/2", "1/99999999999999999999999"] {
            assert!(matches!(text.parse::<Shard>(), Err(ShardError::Syntax { .. })), "{text}");
        }
        assert!("4/4".parse::<Shard>().unwrap_err().to_string().ends_with("numbered from 0 to 3"));
    }
}
