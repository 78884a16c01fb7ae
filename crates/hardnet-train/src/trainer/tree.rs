//! A sum in one fixed order, whoever computes its terms.

use std::ops::Range;

use crate::error::Result;

/// The terms of a sum.
pub(super) trait Terms {
    /// A term or a sum.
    type Value;

    fn term(&mut self, term: usize) -> Result<Self::Value>;

    /// The sum of two neighbors.
    fn add(&mut self, left: Self::Value, right: Self::Value) -> Result<Self::Value>;
}

/// The terms of a sum that several ranks have: each a range of the terms, in the order of the ranks.
pub(super) trait Nodes: Terms {
    /// This rank, which is asked for its own terms only.
    fn rank(&self) -> usize;

    /// The rank that has a term.
    fn owner(&self, term: usize) -> usize;

    /// Sends a sum to another rank.
    fn send(&mut self, to: usize, value: Self::Value) -> Result<()>;

    /// Receives a sum that another rank sends.
    fn receive(&mut self, from: usize) -> Result<Self::Value>;
}

/// The halves of a node of the tree, which has two terms or more: the left one is the largest complete tree.
pub(super) fn halves(node: &Range<usize>) -> (Range<usize>, Range<usize>) {
    let middle = node.start + node.len().next_power_of_two() / 2;
    (node.start..middle, middle..node.end)
}

/// The node of which another is a half, in the tree of `root`; none above the root.
pub(super) fn above(node: &Range<usize>, root: Range<usize>) -> Option<Range<usize>> {
    let mut at = root;
    while at.len() > node.len() {
        let (left, right) = halves(&at);
        if left == *node || right == *node {
            return Some(at);
        }
        at = if node.start < left.end { left } else { right };
    }
    None
}

/// The largest nodes of the tree of `root` within a range of the terms, in their order.
pub(super) fn nodes_within(root: Range<usize>, range: &Range<usize>) -> Vec<Range<usize>> {
    if root.is_empty() || root.end <= range.start || range.end <= root.start {
        return Vec::new();
    }
    if range.start <= root.start && root.end <= range.end {
        return vec![root];
    }
    let (left, right) = halves(&root);
    [nodes_within(left, range), nodes_within(right, range)].concat()
}

/// Adds up the terms of a node in a binary tree: neighbors in pairs, then pairs of pairs; a node without a neighbor
/// moves up.
pub(super) fn sum<T: Terms>(terms: &mut T, node: Range<usize>) -> Result<T::Value> {
    if node.len() == 1 {
        return terms.term(node.start);
    }
    let (left, right) = halves(&node);
    let left = sum(terms, left)?;
    let right = sum(terms, right)?;
    terms.add(left, right)
}

/// Adds up terms in the same tree. A sum is computed by the owner of its first term. Returns the sum of all terms to
/// the owner of the first.
///
/// A rank computes all its terms before it waits for another's, and holds as many sums as the tree has levels.
pub(super) fn sum_on_first<N: Nodes>(nodes: &mut N, terms: Range<usize>) -> Result<Option<N::Value>> {
    let rank = nodes.rank();
    if terms.is_empty() || rank < nodes.owner(terms.start) || nodes.owner(terms.end - 1) < rank {
        return Ok(None);
    }
    if terms.len() == 1 {
        return nodes.term(terms.start).map(Some);
    }
    let (left, right) = halves(&terms);
    let (owner, other) = (nodes.owner(left.start), nodes.owner(right.start));
    let left = sum_on_first(nodes, left)?;
    let right = sum_on_first(nodes, right)?;
    match (left, right) {
        (Some(left), Some(right)) => nodes.add(left, right).map(Some),
        (Some(left), None) => {
            let right = nodes.receive(other)?;
            nodes.add(left, right).map(Some)
        }
        (None, Some(right)) => {
            nodes.send(owner, right)?;
            Ok(None)
        }
        (None, None) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::communicator::in_process;
    use crate::ranks::Ranks;

    /// Terms are numbers, sums are brackets.
    struct Brackets(Ranks, usize);

    impl Terms for Brackets {
        type Value = String;

        fn term(&mut self, term: usize) -> Result<String> {
            assert!(self.0.own(self.1).contains(&term), "rank {} has no term {term}", self.rank());
            Ok(term.to_string())
        }

        fn add(&mut self, left: String, right: String) -> Result<String> {
            Ok(format!("({left} {right})"))
        }
    }

    impl Nodes for Brackets {
        fn rank(&self) -> usize {
            self.0.rank()
        }

        fn owner(&self, term: usize) -> usize {
            self.0.owner(term, self.1)
        }

        fn send(&mut self, to: usize, value: String) -> Result<()> {
            self.0.send(to, value.into_bytes())
        }

        fn receive(&mut self, from: usize) -> Result<String> {
            Ok(String::from_utf8(self.0.receive(from)?).unwrap())
        }
    }

    /// The sum of `count` of `terms` terms, which `size` ranks have.
    fn order(size: usize, terms: usize, count: usize) -> Option<String> {
        let ranks = in_process(size, Duration::from_secs(20));
        let found: Vec<Option<String>> = std::thread::scope(|scope| {
            let start =
                |rank| scope.spawn(move || sum_on_first(&mut Brackets(Ranks::new(Arc::new(rank)), terms), 0..count));
            let threads: Vec<_> = ranks.into_iter().map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect()
        });
        assert!(found[1..].iter().all(Option::is_none), "only the first rank has the sum");
        found.into_iter().next().flatten()
    }

    /// Level by level, as the definition has it.
    fn by_levels(count: usize) -> Option<String> {
        let mut level: Vec<String> = (0..count).map(|number| number.to_string()).collect();
        while level.len() > 1 {
            let pair =
                |pair: &[String]| if pair.len() == 1 { pair[0].clone() } else { format!("({})", pair.join(" ")) };
            level = level.chunks(2).map(pair).collect();
        }
        level.pop()
    }

    #[test]
    fn neighbors_are_added_in_pairs() {
        assert_eq!(order(1, 4, 4).unwrap(), "((0 1) (2 3))");
        assert_eq!(order(1, 7, 7).unwrap(), "(((0 1) (2 3)) ((4 5) 6))");
        for count in 0..40 {
            assert_eq!(order(1, 40, count), by_levels(count), "{count} values");
            if count > 0 {
                let mut alone = Brackets(Ranks::default(), count);
                assert_eq!(sum(&mut alone, 0..count).ok(), by_levels(count), "{count} values");
            }
        }
    }

    /// Also where a short last step has fewer terms than usual, and some ranks none.
    #[test]
    fn the_order_is_the_same_for_any_number_of_ranks() {
        for terms in [1, 2, 3, 4, 5, 7, 8, 12, 16] {
            for size in 1..=terms.min(9) {
                for count in [1, terms / 2, terms - 1, terms] {
                    assert_eq!(order(size, terms, count), by_levels(count), "{count} of {terms} on {size} ranks");
                }
            }
        }
    }
}
