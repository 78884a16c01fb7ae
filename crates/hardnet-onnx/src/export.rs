//! From a graph and its parameters to an ONNX file.
//!
//! An [`Export`] is first laid out from the graph alone (`nodes.rs`): nodes, names and shapes. [`Export::write`] then
//! streams the values (`values.rs`), one layer at a time.

mod attributes;
mod integers;
mod nodes;
mod options;
mod outputs;
mod resize;
mod values;

use std::io::Write;

use hardnet_graph::{Graph, ParamInfo};

use crate::error::{Error, Result};
use crate::model::Model;
use crate::precision::Precision;
use crate::wire::write::Layout;
pub use integers::{IntegerLayer, Quantization};
use nodes::Exporter;
pub use options::{Batch, ExportOptions, Image, Norm, Opset};
use values::{Source, Writer};

/// Error of a source of values.
pub(crate) type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// A network about to be written as ONNX.
#[derive(Clone, Debug)]
pub struct Export {
    model: Model<'static>,
    layout: Layout,
    /// Where the values of each initializer come from.
    sources: Vec<Source>,
    precision: Precision,
}

impl Export {
    /// Lays out the file of `graph`.
    ///
    /// # Errors
    ///
    /// [`Error::Graph`] for a size of image that does not fit the network, [`Error::Unsupported`] for a layer that is
    /// not exported, [`Error::Channels`], [`Error::NoLogits`] and [`Error::NoModule`] for options that do not fit the
    /// network, [`Error::TooLarge`] beyond 2 GiB.
    pub fn new(graph: &Graph, options: &ExportOptions) -> Result<Self> {
        if options.quantization.is_some() && options.precision != Precision::F32 {
            let reason = "between its integers, a quantized network is in f32";
            return Err(Error::Unsupported { layer: graph.name().into(), reason });
        }
        let (model, sources) = Exporter::export(graph, options)?;
        let layout = Layout::new(&model)?;
        Ok(Self { model, layout, sources, precision: options.precision })
    }

    /// The model that the file will hold.
    pub fn model(&self) -> &Model<'static> {
        &self.model
    }

    /// Length of the file.
    pub fn byte_count(&self) -> u64 {
        self.layout.byte_count()
    }

    /// Writes the file to `out`, with the values that `values` gives for each parameter; each is asked for once, and
    /// those of one layer are held at a time.
    ///
    /// # Errors
    ///
    /// [`Error::Values`] and [`Error::Count`] where `values` fails, [`Error::Write`] where `out` does;
    /// [`Error::Overflow`] with every tensor that has values beyond the type asked for: the output is then incomplete.
    pub fn write(
        &self,
        values: &mut dyn FnMut(&ParamInfo) -> std::result::Result<Vec<f32>, SourceError>,
        out: impl Write,
    ) -> Result<()> {
        self.write_quantized(values, &mut |_| Err("the network's layers are in f32".into()), out)
    }

    /// As [`write`](Self::write), with the values that `layers` gives for the layers of
    /// [`ExportOptions::quantization`], by the names of their nodes.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub fn write_quantized(
        &self,
        values: &mut dyn FnMut(&ParamInfo) -> std::result::Result<Vec<f32>, SourceError>,
        layers: &mut dyn FnMut(&str) -> std::result::Result<IntegerLayer, SourceError>,
        mut out: impl Write,
    ) -> Result<()> {
        let mut writer = Writer::new(values, layers);
        self.layout
            .write(&mut out, |at, out| writer.write(&self.model.initializers[at].info, &self.sources[at], out))?;
        match writer.finish() {
            tensors if tensors.is_empty() => Ok(()),
            tensors => Err(Error::Overflow { precision: self.precision, tensors }),
        }
    }
}

#[cfg(test)]
mod tests;
