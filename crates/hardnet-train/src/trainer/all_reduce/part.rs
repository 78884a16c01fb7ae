//! Parts of sums, and their addition.

use std::ops::Range;

use super::message::Message;

/// What is added up besides values.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Totals {
    /// Weight of the loss: images, or the sum of the weights of their classes.
    pub(in super::super) weight: f64,
    /// Mean losses times weights.
    pub(in super::super) loss: f64,
    pub(in super::super) correct: usize,
    pub(in super::super) images: usize,
}

impl Totals {
    pub(in super::super) fn add(&mut self, right: &Self) {
        self.weight += right.weight;
        self.loss += right.loss;
        self.correct += right.correct;
        self.images += right.images;
    }
}

/// What all ranks know of a sum.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct Head {
    pub(in super::super) totals: Totals,
    /// Which gradients there are; the values of others are zeros.
    pub(in super::super) present: Vec<bool>,
}

/// A range of the values of a sum.
pub(super) struct Part {
    /// None if all shards of the sum were skipped; there are no values then.
    pub(super) head: Option<Head>,
    pub(super) range: Range<usize>,
    /// At least those of the range, from number `first` of all.
    pub(super) values: Vec<f32>,
    pub(super) first: usize,
}

impl Part {
    /// The values of a range within that of the part.
    pub(super) fn values(&self, range: Range<usize>) -> &[f32] {
        &self.values[range.start - self.first..range.end - self.first]
    }

    pub(super) fn values_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.range.start - self.first..self.range.end - self.first]
    }

    /// A vector of `length` values, of which those of the part are set.
    pub(super) fn into_whole(self, length: usize) -> Vec<f32> {
        if self.values.len() == length {
            return self.values;
        }
        let mut whole = vec![0.0; length];
        whole[self.range.clone()].copy_from_slice(self.values(self.range.clone()));
        whole
    }
}

/// What a rank has of the sum of one half of a node: its own part of it and those that others sent.
pub(super) struct Side {
    own: Option<Part>,
    received: Vec<(Range<usize>, Message)>,
}

impl Side {
    pub(super) fn new(own: Option<Part>) -> Self {
        Self { own, received: Vec::new() }
    }

    /// Adds what another rank sent of some values, which may be several messages; none if they are not these values,
    /// each once.
    pub(super) fn add(&mut self, range: Range<usize>, messages: Vec<Message>) -> Option<()> {
        let has_values = messages.last()?.head().is_some();
        let others = self.own.as_ref().map(|own| own.head.is_some());
        let others = others.or_else(|| (!self.received.is_empty()).then(|| self.head().is_some()));
        // All ranks of a half know whether its shards were skipped.
        if others.is_some_and(|others| others != has_values) {
            return None;
        }
        let mut pieces = messages.iter().map(Message::range).collect::<Option<Vec<_>>>()?;
        if !has_values {
            self.received.extend(messages.into_iter().map(|message| (range.start..range.start, message)));
            return matches!(pieces[..], [Range { start: 0, end: 0 }]).then_some(());
        }
        if pieces.iter().any(|piece| piece.start < range.start || range.end < piece.end) {
            return None;
        }
        self.received.extend(pieces.iter().cloned().zip(messages));
        pieces.retain(|piece| !piece.is_empty());
        pieces.sort_by_key(|piece| piece.start);
        let mut end = range.start;
        for piece in pieces {
            if piece.start != end {
                return None;
            }
            end = piece.end;
        }
        (end == range.end).then_some(())
    }

    fn head(&self) -> Option<&Head> {
        let own = self.own.as_ref().and_then(|part| part.head.as_ref());
        own.or_else(|| self.received.iter().find_map(|(_, message)| message.head()))
    }

    fn has(&self, range: &Range<usize>) -> bool {
        self.own.as_ref().is_some_and(|own| own.range.start <= range.start && range.end <= own.range.end)
    }

    /// The sum of a node's halves within `range`, which both sides have.
    pub(super) fn sum(left: Self, right: Self, range: Range<usize>) -> Part {
        let (head, other) = match (left.head(), right.head()) {
            (Some(one), Some(other)) => (Some(one.clone()), Some(other.clone())),
            (one, other) => (one.or(other).cloned(), None),
        };
        let Some(mut head) = head else { return Part { head: None, range, first: 0, values: Vec::new() } };
        let Some(other) = other else {
            let side = if left.head().is_some() { left } else { right };
            return side.into_part(range, head);
        };
        head.totals.add(&other.totals);
        head.present.iter_mut().zip(&other.present).for_each(|(one, other)| *one &= *other);
        // A sum of two does not depend on their order; what is there already need not be copied.
        let (one, other) = if right.has(&range) && !left.has(&range) { (right, left) } else { (left, right) };
        let mut sum = one.into_part(range, head);
        other.within(sum.range.clone(), sum.values_mut(), |sum, value| sum + value);
        sum
    }

    fn into_part(mut self, range: Range<usize>, head: Head) -> Part {
        if self.has(&range)
            && let Some(own) = self.own.take()
        {
            return Part { head: Some(head), range, ..own };
        }
        let mut values = vec![0.0; range.len()];
        self.within(range.clone(), &mut values, |_, value| value);
        Part { head: Some(head), first: range.start, range, values }
    }

    /// Changes values of a range by those of this side.
    fn within(&self, range: Range<usize>, values: &mut [f32], change: impl Fn(f32, f32) -> f32) {
        let own = self.own.iter().map(|own| own.range.start.max(range.start)..own.range.end.min(range.end));
        for (own, part) in own.zip(&self.own).filter(|(own, _)| !own.is_empty()) {
            let values = &mut values[own.start - range.start..own.end - range.start];
            values.iter_mut().zip(part.values(own)).for_each(|(value, &other)| *value = change(*value, other));
        }
        for (received, message) in &self.received {
            let values = &mut values[received.start - range.start..received.end - range.start];
            values.iter_mut().zip(message.values()).for_each(|(value, other)| *value = change(*value, other));
        }
    }
}
