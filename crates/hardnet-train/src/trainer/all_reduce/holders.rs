//! Which ranks hold which values of a sum.

use std::ops::Range;

use super::tree;

/// The ranks that hold the sum of a node, each an equal part of the values, in the order of the parts.
#[derive(Debug, PartialEq)]
pub(super) struct Holders(Vec<usize>);

impl Holders {
    /// Those of a node: the ranks that have its shards, those of the left and the right half by turns. A part of a half
    /// is then divided between its holder and one of the other half, where the halves have as many ranks.
    pub(super) fn of(node: &Range<usize>, owner: &impl Fn(usize) -> usize) -> Self {
        let first = owner(node.start);
        if first == owner(node.end - 1) {
            return Self(vec![first]);
        }
        let (left, right) = tree::halves(node);
        let (Self(left), Self(right)) = (Self::of(&left, owner), Self::of(&right, owner));
        let (mut one, mut other) = (0, 0);
        let mut ranks = Vec::with_capacity(left.len() + right.len());
        while one < left.len() || other < right.len() {
            let is_left = one * right.len() <= other * left.len() && one < left.len();
            let rank = if is_left { left[one] } else { right[other] };
            *(if is_left { &mut one } else { &mut other }) += 1;
            // A rank may have shards of both halves.
            if !ranks.contains(&rank) {
                ranks.push(rank);
            }
        }
        Self(ranks)
    }

    /// Whether one rank has all values.
    pub(super) fn is_one(&self) -> bool {
        self.0.len() == 1
    }

    pub(super) fn place(&self, rank: usize) -> Option<usize> {
        self.0.iter().position(|&holder| holder == rank)
    }

    pub(super) fn rank(&self, place: usize) -> usize {
        self.0[place]
    }

    /// The part of a holder of `length` values.
    pub(super) fn part(&self, place: usize, length: usize) -> Range<usize> {
        length * place / self.0.len()..length * (place + 1) / self.0.len()
    }

    /// The places whose parts have something in common with that of a place of other holders, also if the values are so
    /// few that the parts are empty.
    pub(super) fn overlapping<'a>(&'a self, others: &'a Self, place: usize) -> impl Iterator<Item = usize> + 'a {
        let (own, of_others) = (self.0.len(), others.0.len());
        (0..own).filter(move |&at| at * of_others < (place + 1) * own && place * own < (at + 1) * of_others)
    }

    /// What the part of a place has in common with that of a place of other holders.
    pub(super) fn common(&self, at: usize, others: &Self, place: usize, length: usize) -> Range<usize> {
        let (one, other) = (self.part(at, length), others.part(place, length));
        one.start.max(other.start)..one.end.min(other.end)
    }
}
