//! The preprocessing that weights ask for.

use hardnet_data::Pipeline;
use hardnet_graph::{Config, StemPadding};
use serde_json::Value;

use crate::error::{Error, Result};

/// The origin of a pipeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PipelineOrigin {
    /// The metadata of the weights file.
    Weights,
    /// The stem of the network: only the Paddle notebook's networks pad it at the top and left.
    Notebook,
    /// Nothing else: the preprocessing of the PyTorch original.
    Default,
}

/// Returns the preprocessing of the network of `config`, whose weights file names `metadata`, and its origin.
///
/// # Errors
///
/// [`Error::UnknownPipeline`] and [`Error::PipelineMetadata`] for metadata that cannot be understood.
pub fn pipeline_of(config: Option<&Config>, metadata: Option<&Value>) -> Result<(Pipeline, PipelineOrigin)> {
    let notebook = config.is_some_and(|config| config.stem.padding == StemPadding::TopLeft);
    Ok(match metadata {
        Some(value) => (parse(value)?, PipelineOrigin::Weights),
        None if notebook => (Pipeline::pil_bicubic(), PipelineOrigin::Notebook),
        None => (Pipeline::pil_bilinear(), PipelineOrigin::Default),
    })
}

/// Reads a pipeline of a weights file's metadata: a name or a table.
fn parse(value: &Value) -> Result<Pipeline> {
    match value.as_str() {
        Some(name) => Ok(name.parse()?),
        None => serde_json::from_value(value.clone()).map_err(Error::PipelineMetadata),
    }
}
