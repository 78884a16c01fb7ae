//! Images by class, size and shape.

use std::collections::BTreeMap;

use super::comparison::Change;
use super::paired::PairedCounts;

/// Lower ends of the ranges of short sides, in pixels: multiples of 256, which most pipelines resize to, and of its
/// half.
pub(super) const SHORT_SIDES: [f64; 7] = [0.0, 128.0, 256.0, 384.0, 512.0, 768.0, 1024.0];

/// Lower ends of the ranges of aspect ratios, between the common ones: 2:3, 3:4, 1:1, 4:3, 3:2, 16:9.
pub(super) const ASPECT_RATIOS: [f64; 8] = [0.0, 0.5, 0.7, 0.9, 1.1, 1.4, 1.6, 2.0];

/// How two runs do on a group of images.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GroupCounts {
    /// All images of the group.
    pub images: usize,
    /// Those whose most probable class is the same in both runs.
    pub same: usize,
    /// Labeled ones by which run is right.
    pub top1: PairedCounts,
}

impl GroupCounts {
    pub(super) fn add(&mut self, pair: &Change<'_>) {
        self.images += 1;
        self.same += usize::from(pair.first.class == pair.second.class);
        if let Some(label) = pair.label {
            self.top1.add(pair.first.class == label, pair.second.class == label);
        }
    }
}

/// The images of a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClassGroup {
    /// The label.
    pub class: usize,
    /// Its images.
    pub counts: GroupCounts,
}

/// The images whose size or shape is in a range.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct RangeGroup {
    /// The lower end, which is part of the range.
    pub from: f64,
    /// The upper end, which is not; none for the last range.
    pub to: Option<f64>,
    /// Its images.
    pub counts: GroupCounts,
}

pub(super) fn by_class<'a>(pairs: impl Iterator<Item = Change<'a>>) -> Vec<ClassGroup> {
    let mut classes: BTreeMap<u32, GroupCounts> = BTreeMap::new();
    for pair in pairs {
        if let Some(label) = pair.label {
            classes.entry(label).or_default().add(&pair);
        }
    }
    let mut groups: Vec<_> =
        classes.into_iter().map(|(class, counts)| ClassGroup { class: class as usize, counts }).collect();
    // The sort keeps classes in order where both are equal.
    groups.sort_by_key(|group| std::cmp::Reverse((group.counts.top1.net().abs(), group.counts.top1.flips())));
    groups
}

/// The ranges that begin at `edges` and have images.
pub(super) fn by_range<'a>(
    pairs: impl Iterator<Item = Change<'a>>,
    edges: &[f64],
    measure: impl Fn((u32, u32)) -> f64,
) -> Vec<RangeGroup> {
    let mut counts = vec![GroupCounts::default(); edges.len()];
    for pair in pairs {
        if let Some(size) = pair.size {
            let value = measure(size);
            counts[edges.partition_point(|&edge| edge <= value) - 1].add(&pair);
        }
    }
    let group = |(place, counts): (usize, GroupCounts)| RangeGroup {
        from: edges[place],
        to: edges.get(place + 1).copied(),
        counts,
    };
    counts.into_iter().enumerate().map(group).filter(|group| group.counts.images > 0).collect()
}
