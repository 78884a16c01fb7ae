//! Who computes which unit of a phase.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::team::Line;

/// The units of every phase of a run, shared out among the members of a team.
///
/// Each member has a part of its own, the same part of every phase, so that what it wrote in one is in its caches in the next; once
/// it is done, it helps the others.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    members: usize,
    /// Units taken of the part of each member in each phase, `[phases, members]`.
    taken: Vec<Line<AtomicUsize>>,
    /// Whether a run began and did not end.
    dirty: bool,
}

impl Shares {
    /// Makes all units of `phases` phases available to `members` members.
    pub(crate) fn begin(&mut self, phases: usize, members: usize) {
        if self.dirty || (phases * members, members) != (self.taken.len(), self.members) {
            self.members = members;
            self.taken.clear();
            self.taken.resize_with(phases * members, Line::default);
        }
        self.dirty = true;
    }

    /// Every member has passed all phases and given each back.
    pub(crate) fn end(&mut self) {
        self.dirty = false;
    }

    /// A unit for `member` in `phase` of `units` units that nobody has yet.
    pub(crate) fn take(&self, phase: usize, units: usize, member: usize) -> Option<usize> {
        let taken = &self.taken[phase * self.members..][..self.members];
        (0..self.members).find_map(|distance| {
            let owner = (member + distance) % self.members;
            let bound = |part: usize| part * units / self.members;
            let (start, end) = (bound(owner), bound(owner + 1));
            // A look before the claim leaves the line shared where there is nothing to have.
            let counter = &taken[owner].0;
            if start + counter.load(Ordering::Relaxed) >= end {
                return None;
            }
            let unit = start + counter.fetch_add(1, Ordering::Relaxed);
            (unit < end).then_some(unit)
        })
    }

    /// Makes the part of `member` in `phase` ready for the next run, once no member can ask for its units any more.
    pub(crate) fn give_back(&self, phase: usize, member: usize) {
        self.taken[phase * self.members + member].0.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_taken_once_whoever_asks() {
        for members in 1..5 {
            for units in 0..20 {
                let mut shares = Shares::default();
                for _ in 0..2 {
                    shares.begin(3, members);
                    for phase in 0..3 {
                        let mut taken = vec![];
                        // The last member takes all but the first units of the others.
                        (0..members).for_each(|member| taken.extend(shares.take(phase, units, member)));
                        taken.extend(std::iter::from_fn(|| shares.take(phase, units, members - 1)));
                        taken.sort_unstable();
                        assert_eq!(taken, Vec::from_iter(0..units), "{members} members");
                        (0..members).for_each(|member| shares.give_back(phase, member));
                    }
                    shares.end();
                }
            }
        }
    }

    #[test]
    fn a_run_that_was_cut_off_leaves_nothing_behind() {
        let mut shares = Shares::default();
        shares.begin(1, 2);
        assert_eq!(shares.take(0, 4, 0), Some(0));
        shares.begin(1, 2);
        assert_eq!(shares.take(0, 4, 0), Some(0));
        assert_eq!(shares.take(0, 4, 1), Some(2));
    }
}
