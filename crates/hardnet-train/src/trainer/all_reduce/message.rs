//! Values of a sum as a message.
//!
//! All numbers are little-endian and of 64 bits: the first shard of the node and the one after its last; if any shard
//! was computed, also the number of the first value, whether it is the last message with values of this node, and
//! values of 32 bits. The last message has before them weight, loss, correct and images, the number of gradients, and
//! a byte for each that says whether there is one.

use std::ops::Range;

use super::part::{Head, Totals};

/// Bytes that say which node it is.
const NODE: usize = 16;

/// Bytes of the number of the first value, and of whether it is the last message.
const PLACE: usize = 16;

/// Bytes of the other numbers of a last message.
const NUMBERS: usize = 40;

/// A received message.
pub(super) struct Message {
    node: Range<usize>,
    /// Number of the first value.
    first: usize,
    head: Option<Head>,
    is_last: bool,
    bytes: Vec<u8>,
    /// Where the values begin.
    start: usize,
}

impl Message {
    /// The last message about a node, with the values from number `first` on. Without a head it is the only message.
    pub(super) fn encode(node: &Range<usize>, head: Option<&Head>, first: usize, values: &[f32]) -> Vec<u8> {
        let present = head.map_or(0, |head| PLACE + NUMBERS + head.present.len());
        let mut message = Vec::with_capacity(NODE + present + 4 * values.len());
        let mut number = |number: u64| message.extend_from_slice(&number.to_le_bytes());
        number(node.start as u64);
        number(node.end as u64);
        if let Some(Head { totals, present }) = head {
            number(first as u64);
            number(1);
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

    /// A message with values of a node before the last one.
    pub(super) fn encode_piece(node: &Range<usize>, first: usize, values: &[f32]) -> Vec<u8> {
        let mut message = Vec::with_capacity(NODE + PLACE + 4 * values.len());
        let numbers = [node.start, node.end, first, 0];
        numbers.iter().for_each(|&number| message.extend_from_slice(&(number as u64).to_le_bytes()));
        append(&mut message, values);
        message
    }

    /// None if it cannot be read.
    pub(super) fn decode(bytes: Vec<u8>) -> Option<Self> {
        let number = |at: usize| Some(u64::from_le_bytes(*bytes.get(8 * at..)?.first_chunk()?));
        let node = number(0)? as usize..number(1)? as usize;
        if bytes.len() == NODE {
            return Some(Self { node, first: 0, head: None, is_last: true, bytes, start: NODE });
        }
        let (first, is_last) = (number(2)? as usize, number(3)? != 0);
        if !is_last {
            return Some(Self { node, first, head: None, is_last, bytes, start: NODE + PLACE });
        }
        let (weight, loss) = (f64::from_bits(number(4)?), f64::from_bits(number(5)?));
        let (correct, images) = (number(6)? as usize, number(7)? as usize);
        let before = NODE + PLACE + NUMBERS;
        let start = before.checked_add(usize::try_from(number(8)?).ok()?)?;
        let present = bytes.get(before..start)?.iter().map(|&byte| byte != 0).collect();
        let head = Some(Head { totals: Totals { weight, loss, correct, images }, present });
        Some(Self { node, first, head, is_last, bytes, start })
    }

    pub(super) fn node(&self) -> Range<usize> {
        self.node.clone()
    }

    /// Whether it is the last one with values of its node.
    pub(super) fn is_last(&self) -> bool {
        self.is_last
    }

    pub(super) fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    pub(super) fn into_head(self) -> Option<Head> {
        self.head
    }

    /// The numbers of its values; none if there are bytes besides.
    pub(super) fn range(&self) -> Option<Range<usize>> {
        let bytes = self.bytes.len() - self.start;
        bytes.is_multiple_of(4).then_some(self.first..self.first.checked_add(bytes / 4)?)
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
