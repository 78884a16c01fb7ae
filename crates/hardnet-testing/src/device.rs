//! The device that tests of Candle's networks run on.

use candle_core::Device;

/// The CPU, or the device that `HARDNET_TEST_DEVICE` names: `cuda` or `metal`. `tools/gpu` runs tests on a GPU by it.
///
/// # Panics
///
/// For another name, and where the device cannot be opened.
pub fn device() -> Device {
    match std::env::var("HARDNET_TEST_DEVICE").as_deref() {
        Err(_) | Ok("" | "cpu") => Device::Cpu,
        Ok("cuda") => Device::new_cuda(0).expect("a GPU and a build with CUDA"),
        Ok("metal") => Device::new_metal(0).expect("a GPU and a build with Metal"),
        Ok(other) => panic!("`HARDNET_TEST_DEVICE` is `{other}`, expected cpu, cuda or metal"),
    }
}
