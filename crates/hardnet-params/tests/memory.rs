//! An export to ONNX takes less memory than twice the file that it writes, in f16 where weights are streamed.
//!
//! Memory is counted by an allocator of this test program, which has one test so that nothing else is counted.
#![allow(unsafe_code, reason = "an allocator that counts cannot be written without it")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use hardnet_graph::{Config, Graph, ParamInfo, ParamKind, Variant};
use hardnet_onnx::{Export, ExportOptions, Precision};
use hardnet_params::{Metadata, Parameters, Result, WeightsFile, WeightsOptions, write_weights};

struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `dealloc`, and `alloc` above took the block from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

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
        let before = NOW.load(Ordering::Relaxed);
        PEAK.store(before, Ordering::Relaxed);
        let weights = WeightsFile::open_with(&path, &WeightsOptions::default().streamed(streamed)).unwrap();
        let export = Export::new(&graph, &ExportOptions::default().precision(precision)).unwrap();
        let parameters = weights.parameters();
        export.write(&mut |param| Ok(parameters.values(param)?), io::sink()).unwrap();
        let taken = PEAK.load(Ordering::Relaxed) - before;
        let written = usize::try_from(export.byte_count()).unwrap();
        let fits = taken < 2 * written;
        // Weights in f32 that are held are as long as two files in f16.
        let expected = streamed || precision == Precision::F32;
        assert_eq!(fits, expected, "{precision}, streamed: {streamed}: {taken} bytes for a file of {written}");
    }
}
