//! A lazy quantization holds one layer at a time, and less than twice the integers of all layers.
//!
//! Memory is counted by an allocator of this test program, which has one test so that nothing else is counted.

use hardnet_graph::{Config, Graph, ParamInfo, ParamKind, Variant};
use hardnet_params::{Parameters, QuantizedParameters, Result};
use hardnet_quantize::{QuantizeOptions, quantize, quantize_lazily};
use hardnet_testing::memory::{CountingAllocator, peak};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// Values that any network may have.
#[derive(Debug)]
struct Constant;

impl Parameters for Constant {
    fn values(&self, param: &ParamInfo) -> Result<Vec<f32>> {
        let value = if param.kind == ParamKind::RunningVar { 1.0 } else { 0.25 };
        Ok(vec![value; param.count()])
    }
}

#[test]
fn a_lazy_quantization_takes_less_than_twice_its_integers() {
    let graph = Graph::new(&Config::from(Variant::HarDNet68).with_classes(10)).unwrap();
    let nodes: Vec<String> = graph.inference().nodes().iter().map(|node| node.name.clone()).collect();
    // As a writer reads layers.
    let read = |quantized: &dyn QuantizedParameters| -> usize {
        let layers = nodes.iter().flat_map(|node| quantized.layer(node).unwrap());
        layers.map(|layer| layer.weights.len()).sum()
    };
    let options = QuantizeOptions::default();
    for lazy in [false, true] {
        let mut integers = 0;
        let taken = peak(|| {
            integers = match lazy {
                true => read(&quantize_lazily(&graph, &Constant, &options).unwrap()),
                false => read(&quantize(&graph, &Constant, &options).unwrap()),
            };
        });
        assert_eq!(taken < 2 * integers, lazy, "lazy: {lazy}: {taken} bytes for {integers} integers");
    }
}
