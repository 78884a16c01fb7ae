//! How the outputs of a program leave their maps.

use super::inference::Data;
use super::layers::{Node, Op};
use crate::map::{Element, Layout};
use crate::ops::store::Store;

/// Values of a map from which on all threads copy it.
const SHARED: usize = 1 << 14;

/// How a map comes to the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// The step writes the output directly; no map is made.
    Direct,
    /// A step copies it.
    Store,
    /// It is copied after the steps.
    Unpack,
}

/// An output of a program.
#[derive(Clone, Copy, Debug)]
struct Output {
    map: usize,
    /// Values of an image's output before it.
    first: usize,
    way: Way,
}

/// The outputs of a program.
#[derive(Debug)]
pub(super) struct Outputs {
    outputs: Vec<Output>,
    /// Values of an image.
    pub(super) values: usize,
}

impl Outputs {
    /// The values of `maps`, map by map.
    pub(super) fn new(nodes: &[Node<Data>], maps: &[usize]) -> Self {
        let mut values = 0;
        let mut outputs = Vec::with_capacity(maps.len());
        for &map in maps {
            let node = &nodes[map];
            let is_read = nodes.iter().any(|node| node.layer.op.inputs().contains(&map));
            let alone = !is_read && maps.iter().filter(|&&other| other == map).count() == 1;
            let count = node.layer.size.count();
            let way = match node.layer.op {
                Op::Upsample { .. } if alone && node.data.element == Element::F32 => Way::Direct,
                Op::Image => Way::Unpack,
                _ if count >= SHARED && node.data.element == Element::F32 => Way::Store,
                _ => Way::Unpack,
            };
            outputs.push(Output { map, first: values, way });
            values += count;
        }
        Self { outputs, values }
    }

    /// Whether the step of map `map` writes the output, and the values of an image before it.
    pub(super) fn direct(&self, map: usize) -> Option<usize> {
        let direct = |output: &&Output| output.map == map && output.way == Way::Direct;
        self.outputs.iter().find(direct).map(|output| output.first)
    }

    /// The maps that are read after the last layer.
    pub(super) fn kept(&self) -> impl Iterator<Item = usize> {
        self.outputs.iter().filter(|output| output.way != Way::Direct).map(|output| output.map)
    }

    /// The steps that copy maps, each with the position of its output.
    pub(super) fn stores(&self, layouts: &[Layout]) -> Vec<(usize, Store)> {
        let outputs = self.outputs.iter().enumerate().filter(|(_, output)| output.way == Way::Store);
        outputs.map(|(at, output)| (at, Store::new(layouts[output.map], self.values, output.first))).collect()
    }

    /// The maps that are copied after the steps, and the values of an image before each.
    pub(super) fn unpacked(&self, layouts: &[Layout]) -> Vec<(usize, Layout)> {
        let outputs = self.outputs.iter().filter(|output| output.way == Way::Unpack);
        outputs.map(|output| (output.first, layouts[output.map])).collect()
    }
}
