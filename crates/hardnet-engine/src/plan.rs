//! A network compiled for the CPU.
//!
//! Making a [`Plan`] walks the graph once. For each layer, batch normalization is folded into the convolution
//! (`fold.rs`), an algorithm is chosen for its shape (`choice.rs`), and the weights are packed for the kernel that
//! computes it. All maps then lie in one arena, placed by their lifetimes, which in a HarDNet are short. A layer reads
//! the maps that its links name where they are: nothing is concatenated.
//!
//! The networks of `hardnet-model` on Candle are the reference that plans are tested against.

use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use hardnet_graph::{Config, Graph, NodeId, Shape};
use hardnet_kernels::{Builder, FeatureMap, Program};
use hardnet_params::{ChannelUnits, Parameters, QuantizedParameters, WeightsFile};

use crate::compile::{Compiler, Source};
use crate::error::Result;
use crate::options::PlanOptions;

/// A network compiled for images of one size on the CPU.
///
/// ```no_run
/// use hardnet_engine::{Plan, PlanOptions};
///
/// # fn main() -> Result<(), hardnet_engine::Error> {
/// let mut plan = Plan::load("hardnet68.safetensors", &PlanOptions::default())?;
/// let image = vec![0.0; 3 * 224 * 224]; // normalized, `[3, 224, 224]`
/// let logits = plan.run(&[image])?;
/// assert_eq!(logits.len(), 1000);
/// # Ok(())
/// # }
/// ```
///
/// # Threads
///
/// A plan starts its threads when it is made, keeps them until it is dropped, and uses all of them for each call. It is
/// `Send` and `Sync`, but [`run`](Plan::run) takes `&mut self`: the plan has one arena, for one batch. To call it from
/// several threads, put it in a `Mutex`, as `Classifier` of `hardnet-classifier` does, or give each thread a plan of
/// its own, which packs the weights again. Plans of one thread each (`PlanOptions::threads(1)`) compute independently.
#[derive(Debug)]
pub struct Plan {
    graph: Graph,
    program: Program,
    /// The node of each step of the program.
    nodes: Vec<NodeId>,
    units: Vec<OutputUnits>,
    taps: Vec<Shape>,
    output: Shape,
    options: PlanOptions,
}

/// A part of an image's output that is not in the network's units, and they.
#[derive(Debug)]
struct OutputUnits {
    values: Range<usize>,
    pixels: usize,
    units: ChannelUnits,
}

/// Memory of a plan, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanMemory {
    /// Packed weights.
    pub weights: usize,
    /// The arena of maps, for all images that are computed at once.
    pub arena: usize,
    /// Scratch memory of the kernels.
    pub scratch: usize,
}

/// One step of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PlanStep {
    /// PyTorch's name of the module.
    pub name: String,
    /// The kernel that computes it.
    pub kernel: &'static str,
    /// The later step that computes this layer together with its own and has its counts.
    pub fused_into: Option<usize>,
    /// Multiply-adds of its definition for one image, however it is computed.
    pub macs: u64,
    /// Bytes of the maps that it reads and writes for one image.
    pub map_bytes: u64,
    /// Bytes of its packed weights, read once for a batch.
    pub weight_bytes: u64,
}

impl Plan {
    /// Compiles the network of `config` with its parameters from `parameters`.
    ///
    /// # Errors
    ///
    /// [`Error::Graph`](crate::Error::Graph) for a configuration that does not describe a network and for a size of
    /// image that does not fit it, [`Error::Params`](crate::Error::Params) for parameters that cannot be read or do not
    /// fit, [`Error::Kernels`](crate::Error::Kernels) where threads cannot start.
    pub fn new(config: &Config, parameters: &dyn Parameters, options: &PlanOptions) -> Result<Self> {
        Self::from_graph(&Graph::new(config)?, parameters, options)
    }

    /// Compiles `graph`, a custom network or a part of one, with its parameters from `parameters`.
    ///
    /// ```
    /// use hardnet_engine::{Plan, PlanOptions};
    /// use hardnet_graph::{Config, Graph, Variant};
    /// # use hardnet_params::synthetic::Synthetic;
    ///
    /// # fn main() -> Result<(), hardnet_engine::Error> {
    /// # let parameters = Synthetic;
    /// // The feature map at an eighth of the image's size, the output of `base.7`.
    /// let graph = Graph::new(&Config::from(Variant::HarDNet39Ds))?.truncated(7);
    /// let mut plan = Plan::from_graph(&graph, &parameters, &PlanOptions::default().size(64, 96))?;
    /// assert_eq!(plan.output_shape().to_string(), "320x8x12");
    /// let features = plan.run(&[vec![0.0; 3 * 64 * 96]])?;
    /// assert_eq!(features.len(), 320 * 8 * 12);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`Plan::new`]; [`Error::NoKernel`](crate::Error::NoKernel) for a layer that no kernel computes.
    pub fn from_graph(graph: &Graph, parameters: &dyn Parameters, options: &PlanOptions) -> Result<Self> {
        Self::with_taps(graph, &[], parameters, options)
    }

    /// Compiles `graph`, which also gives the outputs of the modules at the positions `taps` of [`Graph::modules`].
    ///
    /// One image's output is then the map of each tap, `[C, H, W]`, in this order, followed by the output of the graph.
    ///
    /// # Errors
    ///
    /// As [`Plan::from_graph`].
    ///
    /// # Panics
    ///
    /// If a position is past the last module.
    pub fn with_taps(
        graph: &Graph,
        taps: &[usize],
        parameters: &dyn Parameters,
        options: &PlanOptions,
    ) -> Result<Self> {
        let graph = graph.inference();
        let taps = taps.iter().map(|&tap| graph.modules()[tap].outputs.clone()).collect();
        Self::compile(graph, taps, Source::floats(parameters), options)
    }

    /// Compiles `graph`, which also gives the maps of `nodes`, positions in the [inference graph](Graph::inference).
    ///
    /// One image's output is then the map of each node, `[C, H, W]`, in this order, followed by the output of the
    /// graph.
    ///
    /// # Errors
    ///
    /// As [`Plan::from_graph`].
    ///
    /// # Panics
    ///
    /// If a position is past the last node.
    pub fn with_maps(
        graph: &Graph,
        nodes: &[NodeId],
        parameters: &dyn Parameters,
        options: &PlanOptions,
    ) -> Result<Self> {
        let taps = nodes.iter().map(|&node| vec![node]).collect();
        Self::compile(graph.inference(), taps, Source::floats(parameters), options)
    }

    /// Compiles the network of `config` with maps and weights of 8-bit integers, where `parameters` has some; other
    /// layers are computed in f32.
    ///
    /// Its outputs are the same, to the last bit, on every instruction set, but for the rounding of its layers of f32.
    ///
    /// # Errors
    ///
    /// As [`Plan::new`]; [`Error::Kernels`](crate::Error::Kernels) for maps and weights that do not fit together, and
    /// for weights whose sums may not fit 32 bits.
    pub fn quantized(config: &Config, parameters: &dyn QuantizedParameters, options: &PlanOptions) -> Result<Self> {
        Self::quantized_graph(&Graph::new(config)?, &[], parameters, options)
    }

    /// Compiles `graph` as [`Plan::quantized`] does. One image's output is the maps of `nodes`, positions in the
    /// [inference graph](Graph::inference), each `[C, H, W]` in the network's units, followed by the output of the
    /// graph.
    ///
    /// # Errors
    ///
    /// As [`Plan::quantized`].
    ///
    /// # Panics
    ///
    /// If a position is past the last node.
    pub fn quantized_graph(
        graph: &Graph,
        nodes: &[NodeId],
        parameters: &dyn QuantizedParameters,
        options: &PlanOptions,
    ) -> Result<Self> {
        let taps = nodes.iter().map(|&node| vec![node]).collect();
        Self::compile(graph.inference(), taps, Source::quantized(parameters), options)
    }

    /// Compiles `graph`, whose output follows the concatenations of `taps`.
    fn compile(graph: Graph, taps: Vec<Vec<NodeId>>, source: Source<'_>, options: &PlanOptions) -> Result<Self> {
        let shapes = graph.shapes(options.height, options.width)?;
        let size = Shape { channels: graph.in_channels(), height: options.height, width: options.width };
        let (builder, image) = Builder::new(options.isa, options.threads, size)?;
        let mut compiler = Compiler::new(builder, image, &graph, source, options);
        for (id, node) in graph.nodes().iter().enumerate().skip(1) {
            compiler.node(id, node)?;
        }
        let outputs: Vec<&[NodeId]> = taps.iter().map(Vec::as_slice).chain([graph.outputs()]).collect();
        let maps: Vec<FeatureMap> = outputs.iter().copied().flatten().map(|&node| compiler.map(node)).collect();
        let mut units = Vec::new();
        let mut first = 0;
        for &node in outputs.iter().copied().flatten() {
            let (pixels, end) = (shapes[node].height * shapes[node].width, first + shapes[node].count());
            let of_map = source.quantized.and_then(|source| source.units(&graph.nodes()[node].name));
            units.extend(of_map.map(|units| OutputUnits { values: first..end, pixels, units }));
            first = end;
        }
        let (program, mut nodes) = compiler.finish(&maps)?;
        let stored = program.steps().iter().filter_map(|step| step.stores);
        nodes.extend(stored.map(|output| outputs.concat()[output]));
        let mut taps = outputs.iter().map(|nodes| concatenation(nodes, &shapes)).collect::<Result<Vec<_>>>()?;
        let output = taps.pop().expect("the graph's output is the last");
        Ok(Self { graph, program, nodes, units, taps, output, options: *options })
    }

    /// Compiles the network of a PyTorch, Paddle, safetensors or ONNX file, named by its metadata or recognized by its
    /// tensors.
    ///
    /// # Errors
    ///
    /// As [`WeightsFile::open`] and [`Plan::new`].
    pub fn load(path: impl AsRef<Path>, options: &PlanOptions) -> Result<Self> {
        Self::from_file(WeightsFile::open(path)?, options)
    }

    /// Compiles the network of a file that is open, whose memory is given back as its weights are packed. A network of
    /// 8-bit integers is computed as such.
    ///
    /// # Errors
    ///
    /// As [`Plan::new`] and [`Plan::quantized`].
    pub fn from_file(file: WeightsFile, options: &PlanOptions) -> Result<Self> {
        let config = file.config().clone();
        if file.quantization().is_some() {
            return Self::quantized(&config, &file.into_parameters(), options);
        }
        Self::new(&config, &file.into_parameters(), options)
    }

    /// Computes the logits `[N, classes]` of normalized images, each `[C, H, W]`; without a head, the last maps,
    /// `[N, C, H, W]`.
    ///
    /// They are the same, to the last bit, for any number of threads, and, with
    /// [`batch_invariant`](PlanOptions::batch_invariant), for any other images in the batch.
    ///
    /// # Errors
    ///
    /// [`Error::Kernels`](crate::Error::Kernels) for an image of another size.
    pub fn run<I: AsRef<[f32]>>(&mut self, images: &[I]) -> Result<Vec<f32>> {
        let mut output = vec![0.0; images.len() * self.program.output_len()];
        self.run_into(images, &mut output)?;
        Ok(output)
    }

    /// Computes as [`Plan::run`] into `output`, of [`output_len`](Plan::output_len) values for each image. Then large
    /// outputs, as those of segmentation, need no new memory in each run.
    ///
    /// # Errors
    ///
    /// As [`Plan::run`]; [`Error::Kernels`](crate::Error::Kernels) for an output of another length.
    pub fn run_into<I: AsRef<[f32]>>(&mut self, images: &[I], output: &mut [f32]) -> Result<()> {
        self.program.run(images, output)?;
        self.in_units(output);
        Ok(())
    }

    /// Computes as [`Plan::run`] and adds the time of each of the [steps](Plan::steps) to `times`.
    ///
    /// # Errors
    ///
    /// As [`Plan::run`]; [`Error::Kernels`](crate::Error::Kernels) for another number of times.
    pub fn profile<I: AsRef<[f32]>>(&mut self, images: &[I], times: &mut [Duration]) -> Result<Vec<f32>> {
        let mut output = vec![0.0; images.len() * self.program.output_len()];
        self.program.profile(images, &mut output, times)?;
        self.in_units(&mut output);
        Ok(output)
    }

    /// Puts `output` in the network's units.
    fn in_units(&self, output: &mut [f32]) {
        if !self.units.is_empty() {
            for image in output.chunks_exact_mut(self.program.output_len()) {
                for OutputUnits { values, pixels, units } in &self.units {
                    units.apply(&mut image[values.clone()], *pixels);
                }
            }
        }
    }

    /// The graph that is computed, without dropout.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// The options that the plan was made with.
    pub fn options(&self) -> &PlanOptions {
        &self.options
    }

    /// Channels, rows and columns of one image's output: the classes in one pixel, with a head.
    pub fn output_shape(&self) -> Shape {
        self.output
    }

    /// Channels, rows and columns of the map of each tap.
    pub fn tap_shapes(&self) -> &[Shape] {
        &self.taps
    }

    /// Number of values of one image's output, of all taps and the network's own.
    pub fn output_len(&self) -> usize {
        self.program.output_len()
    }

    /// The memory that the plan holds.
    pub fn memory(&self) -> PlanMemory {
        let memory = self.program.memory();
        PlanMemory { weights: memory.weights, arena: memory.maps, scratch: memory.scratch }
    }

    /// The steps in order.
    pub fn steps(&self) -> Vec<PlanStep> {
        let steps = self.nodes.iter().zip(self.program.steps()).map(|(&node, info)| PlanStep {
            name: self.graph.nodes()[node].name.clone(),
            kernel: info.kernel,
            fused_into: info.fused_into,
            macs: info.macs,
            map_bytes: info.bytes,
            weight_bytes: info.weights,
        });
        steps.collect()
    }
}

/// The shape of `nodes` concatenated.
fn concatenation(nodes: &[NodeId], shapes: &[Shape]) -> Result<Shape> {
    let first = shapes[nodes[0]];
    let size = |shape: &Shape| (shape.height, shape.width);
    match nodes.iter().map(|&node| shapes[node]).find(|shape| size(shape) != size(&first)) {
        Some(other) => Err(hardnet_kernels::Error::SizesDiffer { first: size(&first), other: size(&other) }.into()),
        None => Ok(Shape { channels: nodes.iter().map(|&node| shapes[node].channels).sum(), ..first }),
    }
}
