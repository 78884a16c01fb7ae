//! From the nodes of a graph to the layers of a program.

use std::collections::HashMap;

use hardnet_graph::{Conv, Graph, Node, NodeId, Op, Pointwise, PoolKind};
use hardnet_kernels::{Builder, Clamp, FeatureMap, Program, Quantization, QuantizedFilter};
use hardnet_params::{Parameters, QuantizedLayer, QuantizedParameters};

use crate::choice;
use crate::error::{Error, Result};
use crate::fold::Folder;
use crate::options::PlanOptions;

/// Where the parameters of a network come from.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) parameters: &'a dyn Parameters,
    /// The same, of a network with layers of 8-bit integers.
    pub(crate) quantized: Option<&'a dyn QuantizedParameters>,
}

impl<'a> Source<'a> {
    /// Parameters of f32.
    pub(crate) fn floats(parameters: &'a dyn Parameters) -> Self {
        Self { parameters, quantized: None }
    }

    /// Parameters of a quantized network.
    pub(crate) fn quantized(parameters: &'a dyn QuantizedParameters) -> Self {
        Self { parameters, quantized: Some(parameters) }
    }

    /// The quantization of the map that `node` writes.
    fn map(&self, node: &Node) -> Option<Quantization> {
        let map = self.quantized?.map(&node.name)?;
        Some(Quantization { scale: map.scale, zero_point: map.zero_point })
    }

    /// The 8-bit layer of `node`.
    fn layer(&self, node: &Node) -> Result<Option<QuantizedLayer>> {
        Ok(match self.quantized {
            Some(source) => source.layer(&node.name)?,
            None => None,
        })
    }
}

/// A plan under construction.
pub(crate) struct Compiler<'a> {
    builder: Builder,
    /// The map of each node so far.
    maps: Vec<FeatureMap>,
    /// Maps of bytes that were converted, and what they became.
    floats: HashMap<FeatureMap, FeatureMap>,
    /// The node of each step so far.
    nodes: Vec<NodeId>,
    folder: Folder<'a>,
    source: Source<'a>,
    options: &'a PlanOptions,
}

impl<'a> Compiler<'a> {
    /// Begins with the image alone.
    pub(crate) fn new(
        mut builder: Builder,
        image: FeatureMap,
        graph: &Graph,
        source: Source<'a>,
        options: &'a PlanOptions,
    ) -> Self {
        let folder = Folder::new(graph, source.parameters);
        builder.expect_images(options.batch);
        Self { builder, maps: vec![image], floats: HashMap::new(), nodes: vec![0], folder, source, options }
    }

    /// The map of a node.
    pub(crate) fn map(&self, node: NodeId) -> FeatureMap {
        self.maps[node]
    }

    /// The program with these outputs, and the node of each of its steps.
    pub(crate) fn finish(self, outputs: &[FeatureMap]) -> Result<(Program, Vec<NodeId>)> {
        Ok((self.builder.finish(outputs, self.options.batch)?, self.nodes))
    }

    /// Adds `node`, whose inputs have been added.
    pub(crate) fn node(&mut self, id: usize, node: &Node) -> Result<()> {
        let inputs: Vec<FeatureMap> = node.inputs.iter().map(|&input| self.maps[input]).collect();
        let output = self.source.map(node);
        let mut map = match self.source.layer(node)? {
            Some(layer) => self.quantized(id, node, &inputs, output, &layer)?,
            None => self.layer(id, node, &inputs, output)?,
        };
        // A layer of f32 that writes bytes, or a pool of bytes to others.
        let written = self.builder.quantization(map)?;
        if let Some(output) = output
            && written != Some(output)
        {
            map = self.float(id, map)?;
            map = self.builder.quantize(map, output)?;
            self.nodes.push(id);
        }
        self.maps.push(map);
        Ok(())
    }

    /// Adds a convolution of bytes.
    fn quantized(
        &mut self,
        id: usize,
        node: &Node,
        inputs: &[FeatureMap],
        output: Option<Quantization>,
        layer: &QuantizedLayer,
    ) -> Result<FeatureMap> {
        let unknown = || Error::NoKernel { node: node.name.clone() };
        let Op::Conv(conv) = &node.op else { return Err(unknown()) };
        if node.before != Pointwise::NONE {
            return Err(unknown());
        }
        let (low, high) = node.after.bounds().ok_or_else(unknown)?;
        let filter = QuantizedFilter { weights: &layer.weights, scale: &layer.scale, bias: &layer.bias };
        self.nodes.push(id);
        Ok(self.builder.quantized_conv(inputs, conv, Clamp { low, high }, output, &filter)?)
    }

    /// Adds a layer of f32, or one that computes bytes as they are; `output` is the quantization of the map that the
    /// node writes.
    fn layer(
        &mut self,
        id: usize,
        node: &Node,
        inputs: &[FeatureMap],
        output: Option<Quantization>,
    ) -> Result<FeatureMap> {
        let unknown = || Error::NoKernel { node: node.name.clone() };
        // Only convolutions read several maps as one.
        let single = || match inputs[..] {
            [input] => Ok(input),
            _ => Err(unknown()),
        };
        let map = match &node.op {
            Op::Conv(conv) => self.conv(id, node, conv, inputs)?,
            _ if (node.before, node.after) != (Pointwise::NONE, Pointwise::NONE) => return Err(unknown()),
            Op::Pool(pool) => {
                let input = self.alike(id, single()?, output, pool.kind == PoolKind::Max)?;
                self.builder.pool(input, pool)?
            }
            &Op::GLOBAL_AVERAGE_POOL => self.builder.mean(single()?)?,
            Op::Upsample(upsample) => {
                let like = self.builder.size(self.maps[upsample.like])?;
                let input = self.alike(id, single()?, output, false)?;
                self.builder.upsample(input, (like.height, like.width), upsample.alignment)?
            }
            Op::Linear { channels } => {
                let filter = self.folder.linear(id)?;
                let input = self.float(id, single()?)?;
                self.builder.linear(input, *channels, &filter.as_filter())?
            }
            _ => return Err(unknown()),
        };
        self.nodes.push(id);
        Ok(map)
    }

    /// Adds a convolution of f32.
    fn conv(&mut self, id: usize, node: &Node, conv: &Conv, inputs: &[FeatureMap]) -> Result<FeatureMap> {
        let unknown = || Error::NoKernel { node: node.name.clone() };
        let (low, high) = node.after.bounds().ok_or_else(unknown)?;
        let filter = match node.after.norm.filter(|_| node.before == Pointwise::NONE) {
            Some(norm) if !conv.bias => self.folder.conv(id, norm)?,
            None if conv.bias && node.before == Pointwise::NONE => self.folder.conv_with_bias(id)?,
            _ => return Err(unknown()),
        };
        let inputs = inputs.iter().map(|&input| self.float(id, input)).collect::<Result<Vec<_>>>()?;
        let size = self.builder.size(inputs[0])?;
        let algorithm = choice::algorithm(node, conv, size, self.options);
        Ok(self.builder.conv(&inputs, conv, Clamp { low, high }, algorithm, &filter.as_filter())?)
    }

    /// The map that a pool or an interpolation reads: of bytes as it is where the layer writes bytes of the same
    /// quantization or only `chooses` among them, else of f32.
    fn alike(
        &mut self,
        node: NodeId,
        map: FeatureMap,
        output: Option<Quantization>,
        chooses: bool,
    ) -> Result<FeatureMap> {
        let read = self.builder.quantization(map)?;
        if chooses || read == output { Ok(map) } else { self.float(node, map) }
    }

    /// The map of f32 of the same values as `map`, which node `node` reads.
    fn float(&mut self, node: NodeId, map: FeatureMap) -> Result<FeatureMap> {
        if self.builder.quantization(map)?.is_none() {
            return Ok(map);
        }
        if let Some(&float) = self.floats.get(&map) {
            return Ok(float);
        }
        let float = self.builder.dequantize(map)?;
        self.nodes.push(node);
        self.floats.insert(map, float);
        Ok(float)
    }
}
