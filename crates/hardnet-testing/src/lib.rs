//! Fixtures and assertions shared by this workspace's tests.

pub mod formula;
pub mod golden;
