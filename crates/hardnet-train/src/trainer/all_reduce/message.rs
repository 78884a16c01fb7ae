//! Values of a sum as a message.
//!
//! All numbers are little-endian and of 64 bits: the first shard of the node and the one after its last; if any shard
//! was computed, also weight, loss, correct and images, the number of gradients, a byte for each that says whether
//! there is one, and values of 32 bits.

use std::ops::Range;

use super::part::{Head, Totals};

/// Bytes that say which node it is, and of all other numbers.
const NODE: usize = 16;
const NUMBERS: usize = 40;

/// A received message.
pub(super) struct Message {
    node: Range<usize>,
    head: Option<Head>,
    bytes: Vec<u8>,
    /// Where the values begin.
    start: usize,
}

impl Message {
    /// A message with values of a node.
    pub(super) fn encode(node: &Range<usize>, head: Option<&Head>, values: &[f32]) -> Vec<u8> {
        let present = head.map_or(0, |head| NUMBERS + head.present.len());
        let mut message = Vec::with_capacity(NODE + present + 4 * values.len());
        let mut number = |number: u64| message.extend_from_slice(&number.to_le_bytes());
        number(node.start as u64);
        number(node.end as u64);
        if let Some(Head { totals, present }) = head {
            number(totals.weight.to_bits());
            number(totals.loss.to_bits());
            number(totals.correct as u64);
            number(totals.images as u64);
            number(present.len() as u64);
            message.extend(present.iter().map(|&is_present| u8::from(is_present)));
            append(&mut message, values);
        }
        message
    }

    /// None if it cannot be read.
    pub(super) fn decode(bytes: Vec<u8>) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(*bytes.get(8 * at..)?.first_chunk()?));
        let node = number(0)? as usize..number(1)? as usize;
        if bytes.len() == NODE {
            return Some(Self { node, head: None, bytes, start: NODE });
        }
        let (weight, loss) = (f64::from_bits(number(2)?), f64::from_bits(number(3)?));
        let (correct, images) = (number(4)? as usize, number(5)? as usize);
        let start = (NODE + NUMBERS).checked_add(usize::try_from(number(6)?).ok()?)?;
        let present = bytes.get(NODE + NUMBERS..start)?.iter().map(|&byte| byte != 0).collect();
        let head = Some(Head { totals: Totals { weight, loss, correct, images }, present });
        Some(Self { node, head, bytes, start })
    }

    pub(super) fn node(&self) -> Range<usize> {
        self.node.clone()
    }

    pub(super) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    pub(super) fn into_head(self) -> Option<Head> {
        self.head
    }

    /// Number of values; none if there are bytes besides.
    pub(super) fn len(&self) -> Option<usize> {
        let bytes = self.bytes.len() - self.start;
        bytes.is_multiple_of(4).then_some(bytes / 4)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = f32> {
        values_of(&self.bytes[self.start..])
    }
}

/// Appends values to a message.
pub(super) fn append(message: &mut Vec<u8>, values: &[f32]) {
    let start = message.len();
    message.resize(start + 4 * values.len(), 0);
    let places = message[start..].as_chunks_mut().0;
    places.iter_mut().zip(values).for_each(|(place, value)| *place = value.to_le_bytes());
}

/// The values in bytes of a message.
pub(super) fn values_of(bytes: &[u8]) -> impl Iterator<Item = f32> {
    bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes))
}
