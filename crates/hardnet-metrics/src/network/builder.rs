//! From layers, one after the other, to a network.

use super::{Block, Conv, Layer, LayerId, Network, Op, Pointwise, Pool};
use crate::error::Result;

/// A network under construction. Each method adds a layer and returns its position; mistakes are found by
/// [`Builder::finish`].
#[derive(Clone, Debug)]
pub struct Builder {
    network: Network,
}

impl Builder {
    /// A network whose layer 0 is an image of `channels` channels.
    pub fn new(name: impl Into<String>, channels: usize) -> Self {
        let network = Network { name: name.into(), layers: vec![], outputs: vec![], blocks: vec![] };
        let mut builder = Self { network };
        builder.push("image", Op::Input(channels), &[]);
        builder
    }

    /// The image.
    pub fn image(&self) -> LayerId {
        0
    }

    /// A convolution of the concatenation of `inputs`, followed by `after`.
    pub fn conv(&mut self, name: impl Into<String>, inputs: &[LayerId], conv: Conv, after: Pointwise) -> LayerId {
        let id = self.push(name, Op::Conv(conv), inputs);
        self.network.layers[id].after = after;
        id
    }

    /// A pool over windows of the concatenation of `inputs`.
    pub fn pool(&mut self, name: impl Into<String>, inputs: &[LayerId], pool: Pool) -> LayerId {
        self.push(name, Op::Pool(pool), inputs)
    }

    /// The mean of every channel.
    pub fn mean(&mut self, name: impl Into<String>, inputs: &[LayerId]) -> LayerId {
        self.push(name, Op::Mean(1, 1), inputs)
    }

    /// The sum of `inputs`, followed by `after`.
    pub fn add(&mut self, name: impl Into<String>, inputs: &[LayerId], after: Pointwise) -> LayerId {
        let id = self.push(name, Op::Add, inputs);
        self.network.layers[id].after = after;
        id
    }

    /// A linear layer with bias, followed by `after`.
    pub fn linear(
        &mut self,
        name: impl Into<String>,
        inputs: &[LayerId],
        channels: usize,
        after: Pointwise,
    ) -> LayerId {
        let id = self.push(name, Op::Linear(channels), inputs);
        self.network.layers[id].after = after;
        id
    }

    /// Any operation, with nothing before or behind it.
    pub fn push(&mut self, name: impl Into<String>, op: Op, inputs: &[LayerId]) -> LayerId {
        let (before, after) = (Pointwise::default(), Pointwise::default());
        self.network.layers.push(Layer { name: name.into(), op, inputs: inputs.to_vec(), before, after });
        self.network.layers.len() - 1
    }

    /// Says what is done to the elements that the last layer reads, as in networks that normalise before they convolve.
    pub fn before(&mut self, before: Pointwise) {
        if let Some(layer) = self.network.layers.last_mut() {
            layer.before = before;
        }
    }

    /// Notes a block: its inputs, its layers from number 1 on, each of one or more convolutions, and its outputs.
    pub fn block(
        &mut self,
        name: impl Into<String>,
        inputs: &[LayerId],
        layers: Vec<Vec<LayerId>>,
        outputs: &[LayerId],
    ) {
        let block = Block { name: name.into(), inputs: inputs.to_vec(), layers, outputs: outputs.to_vec() };
        self.network.blocks.push(block);
    }

    /// The network whose output is the concatenation of `outputs`.
    ///
    /// # Errors
    ///
    /// [`Error::NoInputs`](crate::Error::NoInputs), [`Error::UnknownLayer`](crate::Error::UnknownLayer) for inputs that are
    /// not earlier layers, [`Error::Field`](crate::Error::Field) for a number that makes no layer,
    /// [`Error::Block`](crate::Error::Block) for a block of other layers. What depends on the size of the image is checked
    /// by [`Network::figures`].
    pub fn finish(mut self, outputs: &[LayerId]) -> Result<Network> {
        self.network.outputs = outputs.to_vec();
        self.network.validate()?;
        Ok(self.network)
    }
}
