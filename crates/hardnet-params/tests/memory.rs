//! An export to ONNX takes less memory than twice the file that it writes, in f16 where weights are streamed.
//!
//! Memory is counted by an allocator of this test program, which has one test so that nothing else is counted.

use std::io;

use hardnet_graph::{Config, Graph, ParamInfo, ParamKind, Variant};
use hardnet_onnx::{Export, ExportOptions, Precision};
use hardnet_params::{Metadata, Parameters, Result, WeightsFile, WeightsOptions, write_weights};
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
fn an_export_takes_less_than_twice_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let config = Config::from(Variant::HarDNet39Ds);
    write_weights(&Metadata::new(config.clone()), &Constant, std::fs::File::create(&path).unwrap()).unwrap();
    let graph = Graph::new(&config).unwrap();
    let cases = [(false, Precision::F32), (true, Precision::F32), (false, Precision::F16), (true, Precision::F16)];
    for (streamed, precision) in cases {
        let export = Export::new(&graph, &ExportOptions::default().precision(precision)).unwrap();
        let taken = peak(|| {
            let weights = WeightsFile::open_with(&path, &WeightsOptions::default().streamed(streamed)).unwrap();
            let parameters = weights.parameters();
            export.write(&mut |param| Ok(parameters.values(param)?), io::sink()).unwrap();
        });
        let written = usize::try_from(export.byte_count()).unwrap();
        let fits = taken < 2 * written;
        // Weights in f32 that are held are as long as two files in f16.
        let expected = streamed || precision == Precision::F32;
        assert_eq!(fits, expected, "{precision}, streamed: {streamed}: {taken} bytes for a file of {written}");
    }
}
