//! Which images hold a core, so that one that is given up gives its core back too.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use super::lock;
use crate::Cores;

/// The cores of the images in work.
pub(super) struct Turns {
    cores: Option<Arc<Cores>>,
    /// The samples that hold one.
    holders: Mutex<HashSet<usize>>,
}

/// A core of one image, until dropped.
pub(super) struct Held<'a> {
    turns: &'a Turns,
    index: usize,
}

impl Turns {
    pub(super) fn new(cores: Option<Arc<Cores>>) -> Self {
        Self { cores, holders: Mutex::default() }
    }

    /// Waits for a core for sample `index`.
    pub(super) fn take(&self, index: usize) -> Held<'_> {
        if let Some(cores) = &self.cores {
            std::mem::forget(cores.take(1));
            lock(&self.holders).insert(index);
        }
        Held { turns: self, index }
    }

    /// Gives the core of sample `index` back, if it has one.
    pub(super) fn give(&self, index: usize) {
        if let Some(cores) = &self.cores
            && lock(&self.holders).remove(&index)
        {
            cores.give(1);
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.turns.give(self.index);
    }
}
