//! Maps that must have one scale: those that one convolution reads together, and those before and after a pool or an
//! interpolation.

use hardnet_graph::NodeId;

use crate::network::{Network, Role};

/// For each node, the first node of its group.
pub(crate) fn of(network: &Network<'_>) -> Vec<NodeId> {
    let mut groups = Groups { parents: (0..network.roles.len()).collect() };
    for (id, node) in network.graph.nodes().iter().enumerate() {
        for pair in node.inputs.windows(2) {
            groups.join(pair[0], pair[1]);
        }
        if matches!(network.roles[id], Role::Pool(_) | Role::Upsample(_)) {
            groups.join(id, node.inputs[0]);
        }
    }
    (0..network.roles.len()).map(|id| groups.first(id)).collect()
}

struct Groups {
    /// A node of the same group before each node, itself for the first.
    parents: Vec<NodeId>,
}

impl Groups {
    fn first(&mut self, mut id: NodeId) -> NodeId {
        while self.parents[id] != id {
            self.parents[id] = self.parents[self.parents[id]];
            id = self.parents[id];
        }
        id
    }

    fn join(&mut self, a: NodeId, b: NodeId) {
        let (a, b) = (self.first(a), self.first(b));
        self.parents[a.max(b)] = a.min(b);
    }
}
