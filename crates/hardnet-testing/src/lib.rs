//! Fixtures and assertions shared by this workspace's tests.

#[cfg(feature = "candle")]
pub mod device;
pub mod file_host;
pub mod golden;
pub mod hub_host;
pub mod memory;
pub mod server;
pub mod torch_file;
pub mod weights_file;
