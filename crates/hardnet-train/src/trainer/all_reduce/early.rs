//! Gradients that are sent while a rank computes others.
//!
//! Where a node is one shard of a rank, its sum is the gradient of that shard, times its weight. What the other ranks
//! of the node above need of it is then sent in pieces, the last layers first, and travels during the backward pass.
//! Values and the order of their sums are the same.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use hardnet_model::GradientObserver;

use super::message::Message;
use crate::error::{Error, Result};
use crate::ranks::Ranks;

/// Sends the gradients of a shard.
#[derive(Debug)]
pub(in super::super) struct EarlySender {
    ranks: Ranks,
    node: Range<usize>,
    /// Ranks, and the values that they need.
    targets: Vec<(usize, Range<usize>)>,
    /// Values of gradients; others follow them.
    gradients: usize,
    /// Weight of the shard.
    weight: f64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The gradients from here on are sent.
    sent: usize,
    is_ended: bool,
    failure: Option<Error>,
}

impl EarlySender {
    pub(super) fn new(ranks: Ranks, node: Range<usize>, targets: Vec<(usize, Range<usize>)>, gradients: usize) -> Self {
        let state = Mutex::new(State { sent: gradients, is_ended: false, failure: None });
        Self { ranks, node, targets, gradients, weight: 1.0, state }
    }

    /// The same for a shard with a weight, by which its gradients are multiplied.
    pub(in super::super) fn weight(mut self, weight: f64) -> Self {
        self.weight = weight;
        self
    }

    /// Values of gradients.
    pub(in super::super) fn gradients(&self) -> usize {
        self.gradients
    }

    /// Ends the sending. Returns the values of which those who need them have been sent theirs.
    pub(super) fn finish(&self) -> Result<Range<usize>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_ended = true;
        match state.failure.take() {
            Some(error) => Err(error),
            None => Ok(state.sent..self.gradients),
        }
    }
}

impl GradientObserver for EarlySender {
    fn take(&self, range: Range<usize>, gradients: &[f32]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.is_ended || state.failure.is_some() || range.end != state.sent {
            return;
        }
        for (rank, needed) in &self.targets {
            let piece = needed.start.max(range.start)..needed.end.min(range.end);
            if piece.is_empty() {
                continue;
            }
            let mut values = gradients[piece.start - range.start..piece.end - range.start].to_vec();
            scale(&mut values, self.weight);
            if let Err(error) = self.ranks.send(*rank, Message::encode_piece(&self.node, piece.start, &values)) {
                state.failure = Some(error);
                return;
            }
        }
        state.sent = range.start;
    }
}

/// Multiplies values, as Candle multiplies a tensor by a number: -0 becomes 0.
pub(in super::super) fn scale(values: &mut [f32], factor: f64) {
    values.iter_mut().for_each(|value| *value = *value * factor as f32 + 0.0);
}
