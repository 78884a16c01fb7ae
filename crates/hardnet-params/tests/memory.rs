//! An export to ONNX takes less memory than twice the file that it writes, in f16 where weights are streamed.
//!
//! Memory is counted by an allocator of this test program, which has one test so that nothing else is counted.

use std::fs::File;
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
    let config = Config::from(Variant::HarDNet39Ds);
    let graph = Graph::new(&config).unwrap();
    let [safetensors, onnx] = ["weights.safetensors", "weights.onnx"].map(|name| folder.path().join(name));
    let metadata = Metadata::new(config);
    write_weights(&metadata, &Constant, File::create(&safetensors).unwrap()).unwrap();
    let described = ExportOptions::default().metadata("hardnet", metadata.to_json());
    let mut constant = |param: &ParamInfo| Ok(Constant.values(param)?);
    Export::new(&graph, &described).unwrap().write(&mut constant, File::create(&onnx).unwrap()).unwrap();
    for path in [&safetensors, &onnx] {
        for (streamed, precision) in [false, true]
            .into_iter()
            .flat_map(|streamed| [Precision::F32, Precision::F16].map(|precision| (streamed, precision)))
        {
            let export = Export::new(&graph, &ExportOptions::default().precision(precision)).unwrap();
            let taken = peak(|| {
                let weights = WeightsFile::open_with(path, &WeightsOptions::default().streamed(streamed)).unwrap();
                assert_eq!(weights.checkpoint().bytes().is_none(), streamed);
                let parameters = weights.parameters();
                export.write(&mut |param| Ok(parameters.values(param)?), io::sink()).unwrap();
            });
            let written = usize::try_from(export.byte_count()).unwrap();
            let fits = taken < 2 * written;
            // Weights in f32 that are held are as long as two files in f16, and those of ONNX are moved once.
            let expected = streamed || precision == Precision::F32 && path == &safetensors;
            let what = format!("{} in {precision}, streamed: {streamed}", path.display());
            assert_eq!(fits, expected, "{what}: {taken} bytes for a file of {written}");
        }
    }
    // The values are the same.
    let open = |streamed| WeightsFile::open_with(&onnx, &WeightsOptions::default().streamed(streamed)).unwrap();
    let (whole, streamed) = (open(false), open(true));
    for param in graph.params() {
        let [whole, streamed] = [&whole, &streamed].map(|file| file.parameters().values(&param).unwrap());
        assert!(whole == streamed, "{}", param.name);
    }
    assert_eq!(whole.sha256().unwrap(), streamed.sha256().unwrap());
}
