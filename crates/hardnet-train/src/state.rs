//! What is needed to go on with a run: a safetensors file of weights, directions and averages, and in its metadata, under
//! the key `hardnet-train`, how far the run is.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor, Var};
use hardnet_checkpoint::{Checkpoint, Dtype};
use safetensors::tensor::{TensorView, serialize};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::folder::{RunFile, RunFolder};
use crate::metrics::EpochMetrics;
use crate::weights::values_of;

const METADATA_KEY: &str = "hardnet-train";

/// The version of [`Progress`] that this crate reads.
const SCHEMA: u32 = 1;

/// How far a run is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Progress {
    /// Version of this table.
    pub schema: u32,
    /// What the caller needs to build the same [`Job`](crate::Job) again.
    pub settings: serde_json::Value,
    /// Images of the training set.
    pub samples: usize,
    /// Steps since the run began.
    pub steps: u64,
    /// Steps of the epoch in hand, the one after those of the history.
    pub batch: usize,
    /// What the epoch in hand has come to.
    pub(crate) sums: Sums,
    /// The finished epochs.
    pub history: Vec<EpochMetrics>,
}

/// What an epoch has come to so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sums {
    /// The sum of the losses of its images, as the bits of an f64: decimal digits need not give the same number back.
    loss_bits: u64,
    pub(crate) correct: usize,
    pub(crate) images: usize,
    pub(crate) errors: usize,
    pub(crate) seconds: f64,
}

impl Sums {
    pub(crate) fn loss(&self) -> f64 {
        f64::from_bits(self.loss_bits)
    }

    /// Adds a step of so many images of mean loss `loss`, and of `errors` that could not be read.
    pub(crate) fn add(&mut self, loss: f32, correct: usize, images: usize) {
        self.loss_bits = (self.loss() + f64::from(loss) * images as f64).to_bits();
        self.correct += correct;
        self.images += images;
    }
}

impl Progress {
    pub(crate) fn new(settings: serde_json::Value, samples: usize) -> Self {
        Self { schema: SCHEMA, settings, samples, steps: 0, batch: 0, sums: Sums::default(), history: Vec::new() }
    }

    /// How far the run in `folder` is.
    ///
    /// # Errors
    ///
    /// [`Error::State`] where its state cannot be read or is of another version.
    pub fn read(folder: &RunFolder) -> Result<Self> {
        let path = folder.path(RunFile::State);
        Self::of(&open(&path)?).map_err(|reason| Error::State { path, reason })
    }

    fn of(checkpoint: &Checkpoint) -> std::result::Result<Self, String> {
        #[derive(Deserialize)]
        struct Schema {
            schema: u32,
        }
        let json = checkpoint.metadata().get(METADATA_KEY).ok_or(format!("no metadata `{METADATA_KEY}`"))?;
        let Schema { schema } = serde_json::from_str(json).map_err(|error| error.to_string())?;
        if schema != SCHEMA {
            return Err(format!("schema {schema}, expected {SCHEMA}"));
        }
        serde_json::from_str(json).map_err(|error| error.to_string())
    }

    /// Finished epochs.
    pub fn epochs(&self) -> u32 {
        self.history.len() as u32
    }
}

fn open(path: &Path) -> Result<Checkpoint> {
    Checkpoint::open(path).map_err(|error| Error::State { path: path.into(), reason: error.to_string() })
}

/// Writes `progress` with `tensors`, each under its name.
pub(crate) fn save(folder: &RunFolder, progress: &Progress, tensors: &[(String, &Var)]) -> Result<()> {
    let bytes = |(name, var): &(String, &Var)| {
        let values = values_of(var)?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok((name.clone(), var.dims().to_vec(), bytes))
    };
    let encoded: Vec<_> = tensors.iter().map(bytes).collect::<candle_core::Result<_>>()?;
    let views = encoded.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
        (name, view.expect("a variable has as many values as its shape says"))
    });
    let json = serde_json::to_string(progress).expect("progress is a table of numbers and the caller's JSON");
    let metadata = HashMap::from([(METADATA_KEY.to_string(), json)]);
    let file = serialize(views, Some(metadata)).expect("names of parameters are different");
    folder.write(RunFile::State, |out| {
        out.write_all(&file).map_err(|error| Error::Params(hardnet_params::Error::Write(error)))
    })
}

/// How far the run is; its tensors are put into the variables of their names, of which none may be left over.
pub(crate) fn load(folder: &RunFolder, tensors: &[(String, &Var)]) -> Result<Progress> {
    let path = folder.path(RunFile::State);
    let checkpoint = open(&path)?;
    let wrong = |reason: String| Error::State { path: path.clone(), reason };
    let progress = Progress::of(&checkpoint).map_err(wrong)?;
    let places: HashMap<&str, usize> =
        checkpoint.tensors().iter().zip(0..).map(|(tensor, index)| (tensor.name.as_str(), index)).collect();
    if places.len() != tensors.len() {
        return Err(wrong(format!("{} tensors, expected {}", places.len(), tensors.len())));
    }
    for (name, var) in tensors {
        let index = *places.get(name.as_str()).ok_or_else(|| wrong(format!("no tensor `{name}`")))?;
        let info = &checkpoint.tensors()[index];
        if info.shape != var.dims() || info.dtype != Dtype::F32 {
            return Err(wrong(format!("`{name}` has the shape {:?}, expected {:?} of f32", info.shape, var.dims())));
        }
        let bytes = checkpoint.read(index).map_err(|error| wrong(error.to_string()))?;
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect();
        var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu)?.to_device(var.device())?)?;
    }
    Ok(progress)
}
