//! The sums over all shards of a step on all ranks: a reduce-scatter in the order of the tree, then an all-gather.
//!
//! The sum of a node of the [tree](super::tree) over the shards is held by the ranks that have shards of it, each an
//! equal part of the values. To get the parts of a node, the ranks of its two halves exchange what they hold of these,
//! and each adds up its own part. With a power of two of ranks this is recursive halving: a rank exchanges half of the
//! values with one other rank, then a quarter with another. With the part of the root that each rank has at the end it
//! takes part in the all-gather.
//!
//! A rank sends parts of the sums that it computes alone as soon as it has them: those of a shard that is a node by
//! itself [during its backward pass](early).

mod early;
mod gather;
mod holders;
mod message;
mod part;

use std::collections::HashMap;
use std::ops::Range;

pub(super) use self::early::{EarlySender, scale};
use self::holders::Holders;
use self::message::Message;
pub(super) use self::part::{Head, Totals};
use self::part::{Part, Side};
use super::tree;
use crate::communicator::CommunicationError;
use crate::error::Result;
use crate::ranks::{ROOT, Ranks};

/// The sums of a step, as one of its ranks sees them.
pub(super) struct AllReduce {
    ranks: Ranks,
    /// Virtual shards of the recipe, which say what each rank has, and those of this step.
    virtual_shards: usize,
    count: usize,
    /// Values of a shard.
    length: usize,
    /// Sums that this rank has computed alone, by their first shards.
    computed: HashMap<usize, Part>,
    /// Messages that came before others which were waited for, with their senders.
    unclaimed: Vec<(usize, Message)>,
}

impl AllReduce {
    /// The sums of `count` shards, each of which has `length` values.
    pub(super) fn new(ranks: Ranks, virtual_shards: usize, count: usize, length: usize) -> Self {
        Self { ranks, virtual_shards, count, length, computed: HashMap::new(), unclaimed: Vec::new() }
    }

    /// The nodes whose sums this rank has to [give](Self::give), in the order of their shards.
    pub(super) fn own_nodes(&self) -> Vec<Range<usize>> {
        tree::nodes_within(0..self.count, &self.ranks.own(self.virtual_shards))
    }

    /// A sender for a node of this rank, to send gradients while others are computed. Of the node's values, the first
    /// `gradients` are gradients. None if the node is more than one shard, or no other rank needs its values.
    pub(super) fn early_sender(&self, node: &Range<usize>, gradients: usize) -> Option<EarlySender> {
        let targets = self.targets(node);
        let is_one = node.len() == 1 && !targets.is_empty();
        is_one.then(|| EarlySender::new(self.ranks.clone(), node.clone(), targets, gradients))
    }

    /// Takes the sum of a node of this rank, none if all its shards were skipped, and sends others their parts. Some
    /// may be sent early.
    pub(super) fn give(
        &mut self,
        node: Range<usize>,
        sum: Option<(Head, Vec<f32>)>,
        early: Option<&EarlySender>,
    ) -> Result<()> {
        let (head, values) = sum.unzip();
        let part = Part { head, range: 0..self.length, first: 0, values: values.unwrap_or_default() };
        let sent = early.map_or(Ok(0..0), EarlySender::finish)?;
        self.send(&node, &part, &sent)?;
        self.computed.insert(node.start, part);
        Ok(())
    }

    /// Waits for the other ranks and returns the sums of all shards; none if all were skipped. `finish` changes the
    /// values of a range of them, once each on one of the ranks.
    pub(super) fn finish(
        mut self,
        finish: impl FnOnce(&Head, Range<usize>, &mut [f32]),
    ) -> Result<Option<(Head, Vec<f32>)>> {
        let root = 0..self.count;
        let holders = self.holders(&root);
        let mut part = match holders.place(self.ranks.rank()) {
            Some(_) => self.node(&root)?,
            None => Part { head: self.head_of_root()?, range: 0..0, first: 0, values: Vec::new() },
        };
        if self.ranks.is_root() {
            for rank in (0..self.ranks.size()).filter(|&rank| holders.place(rank).is_none()) {
                self.ranks.send(rank, Message::encode(&root, part.head.as_ref(), 0, &[]))?;
            }
        }
        let Some(head) = part.head.take() else { return Ok(None) };
        finish(&head, part.range.clone(), part.values_mut());
        let of_rank = |rank| holders.place(rank).map_or(0..0, |place| holders.part(place, self.length));
        let parts: Vec<Range<usize>> = (0..self.ranks.size()).map(of_rank).collect();
        let mut values = part.into_whole(self.length);
        gather::all_gather(&self.ranks, &parts, &mut values)?;
        Ok(Some((head, values)))
    }

    fn holders(&self, node: &Range<usize>) -> Holders {
        Holders::of(node, &|shard| self.ranks.owner(shard, self.virtual_shards))
    }

    /// The part of this rank of the sum of a node.
    fn node(&mut self, node: &Range<usize>) -> Result<Part> {
        let (rank, holders) = (self.ranks.rank(), self.holders(node));
        if holders.is_one() {
            return Ok(self.computed.remove(&node.start).expect("a rank gives all sums that it computes alone"));
        }
        let (left, right) = tree::halves(node);
        let halves = [left, right].map(|half| (self.holders(&half), half));
        let mut own = Vec::new();
        for (holders, half) in &halves {
            let part = holders.place(rank).is_some().then(|| self.node(half)).transpose()?;
            if let Some(part) = part.as_ref().filter(|_| !holders.is_one()) {
                self.send(half, part, &(0..0))?;
            }
            own.push(part);
        }
        let place = holders.place(rank).expect("a rank has a part of the nodes of its shards");
        let mut sides = Vec::new();
        for ((half_holders, half), own) in halves.iter().zip(own) {
            let mut side = Side::new(own);
            for other in half_holders.overlapping(&holders, place) {
                let from = half_holders.rank(other);
                if from != rank {
                    let mut messages = vec![self.receive(from, half)?];
                    while messages.last().is_some_and(|message| !message.is_last()) {
                        messages.push(self.receive(from, half)?);
                    }
                    let range = half_holders.common(other, &holders, place, self.length);
                    side.add(range, messages).ok_or(CommunicationError::Message { rank: from })?;
                }
            }
            sides.push(side);
        }
        let range = holders.part(place, self.length);
        let (right, left) = (sides.pop().expect("there are two halves"), sides.pop().expect("there are two halves"));
        Ok(Side::sum(left, right, range))
    }

    /// The other ranks of the node above, with the values of theirs in the part of this rank.
    fn targets(&self, node: &Range<usize>) -> Vec<(usize, Range<usize>)> {
        let Some(above) = tree::above(node, 0..self.count) else { return Vec::new() };
        let (rank, own, holders) = (self.ranks.rank(), self.holders(node), self.holders(&above));
        let place = own.place(rank).expect("a rank has a part of the nodes of its shards");
        let others = holders.overlapping(&own, place).filter(|&other| holders.rank(other) != rank);
        others.map(|other| (holders.rank(other), holders.common(other, &own, place, self.length))).collect()
    }

    /// Sends them these values, but for those that are `sent`.
    fn send(&self, node: &Range<usize>, part: &Part, sent: &Range<usize>) -> Result<()> {
        for (rank, range) in self.targets(node) {
            let Some(head) = &part.head else {
                self.ranks.send(rank, Message::encode(node, None, 0, &[]))?;
                continue;
            };
            let after = range.start.max(sent.end)..range.end;
            let before = if sent.is_empty() { range } else { range.start..range.end.min(sent.start) };
            if !sent.is_empty() && !after.is_empty() {
                self.ranks.send(rank, Message::encode_piece(node, after.start, part.values(after)))?;
            }
            let before = before.start..before.end.max(before.start);
            self.ranks.send(rank, Message::encode(node, Some(head), before.start, part.values(before)))?;
        }
        Ok(())
    }

    /// The next message of a rank with values of a node.
    fn receive(&mut self, from: usize, node: &Range<usize>) -> Result<Message> {
        let is_it = |(sender, message): &(usize, Message)| *sender == from && message.node() == *node;
        if let Some(at) = self.unclaimed.iter().position(is_it) {
            return Ok(self.unclaimed.remove(at).1);
        }
        loop {
            let message =
                Message::decode(self.ranks.receive(from)?).ok_or(CommunicationError::Message { rank: from })?;
            if message.node() == *node {
                return Ok(message);
            }
            self.unclaimed.push((from, message));
        }
    }

    /// What rank 0 knows of the sums of all shards.
    fn head_of_root(&mut self) -> Result<Option<Head>> {
        let message = self.receive(ROOT, &(0..self.count))?;
        if !message.is_last() || message.range().is_none_or(|range| !range.is_empty()) {
            return Err(CommunicationError::Message { rank: ROOT }.into());
        }
        Ok(message.into_head())
    }
}

#[cfg(test)]
mod tests;
