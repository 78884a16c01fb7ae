//! The saved state of a run: a safetensors file of weights, momentum buffers and averages. Its metadata holds the
//! progress and the history under the key `hardnet-train`.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{Device, Tensor, Var};
use hardnet_checkpoint::{Checkpoint, Dtype};
use hardnet_segmentation::{Confusion, Figures};
use safetensors::tensor::{TensorView, serialize};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::folder::{RunFile, RunFolder};
use crate::image_list::ImageDigests;
use crate::metrics::{EpochMetrics, number};
use crate::weights::values_of;

const METADATA_KEY: &str = "hardnet-train";

/// Version of [`RunState`].
const SCHEMA: u32 = 1;

/// Progress and history of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunState {
    /// Version of this format.
    pub schema: u32,
    /// Data of the caller for building the same [`Job`](crate::Job) again.
    pub settings: serde_json::Value,
    /// Images of the training set.
    pub samples: usize,
    /// Digests of the lists of images; runs of version 0.1 have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ImageDigests>,
    /// Steps since the start of the run.
    pub steps: u64,
    /// Steps of the current epoch, the one after those of the history.
    pub batch: usize,
    /// Totals of the current epoch.
    #[serde(rename = "sums")]
    pub(crate) totals: EpochTotals,
    /// The finished epochs.
    pub history: Vec<EpochMetrics>,
}

/// Totals of an epoch so far.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct EpochTotals {
    /// Sum of the losses of its images, as the bits of an f64, because decimal digits may not give the same number
    /// back.
    loss_bits: u64,
    pub(crate) correct: usize,
    pub(crate) images: usize,
    pub(crate) errors: usize,
    pub(crate) seconds: f64,
    /// Pixels of a segmentation network by true and predicted class.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) confusion: Vec<u64>,
}

impl EpochTotals {
    pub(crate) fn loss(&self) -> f64 {
        f64::from_bits(self.loss_bits)
    }

    /// Adds a step with the mean loss `loss`.
    pub(crate) fn add(&mut self, loss: f32, correct: usize, images: usize) {
        self.loss_bits = (self.loss() + f64::from(loss) * images as f64).to_bits();
        self.correct += correct;
        self.images += images;
    }
}

impl EpochTotals {
    /// Counts pixels of a segmentation network.
    pub(crate) fn add_pixels(&mut self, confusion: &Confusion) {
        self.confusion.resize(confusion.classes().pow(2), 0);
        let counts = confusion.rows().flatten();
        self.confusion.iter_mut().zip(counts).for_each(|(sum, pixels)| *sum += pixels);
    }

    /// Top-1 accuracy so far in percent, of images, or of pixels if they were counted.
    pub(crate) fn top1(&self) -> f64 {
        match self.figures() {
            Some(figures) => number(100.0 * figures.pixel_accuracy).unwrap_or(0.0),
            None => 100.0 * self.correct as f64 / self.images.max(1) as f64,
        }
    }

    /// Mean IoU so far in percent, if pixels were counted.
    pub(crate) fn mean_iou(&self) -> Option<f64> {
        self.figures().and_then(|figures| number(100.0 * figures.mean_iou))
    }

    fn figures(&self) -> Option<Figures> {
        let classes = self.confusion.len().isqrt();
        let confusion = Confusion::from_pixels(classes, self.confusion.clone()).filter(|_| classes > 0);
        confusion.map(|confusion| confusion.figures())
    }
}

impl RunState {
    pub(crate) fn new(settings: serde_json::Value, samples: usize) -> Self {
        Self {
            schema: SCHEMA,
            settings,
            samples,
            images: None,
            steps: 0,
            batch: 0,
            totals: EpochTotals::default(),
            history: Vec::new(),
        }
    }

    /// Reads the state of the run in `folder`.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidState`] if the state cannot be read or has another version.
    pub fn read(folder: &RunFolder) -> Result<Self> {
        let path = folder.path(RunFile::State);
        Self::from_checkpoint(&open(&path)?).map_err(|reason| Error::InvalidState { path, reason })
    }

    fn from_checkpoint(checkpoint: &Checkpoint) -> std::result::Result<Self, String> {
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

    /// Number of finished epochs.
    pub fn epochs(&self) -> u32 {
        self.history.len() as u32
    }
}

fn open(path: &Path) -> Result<Checkpoint> {
    Checkpoint::open(path).map_err(|error| Error::InvalidState { path: path.into(), reason: error.to_string() })
}

/// Writes `state` with the named `tensors`.
pub(crate) fn save(folder: &RunFolder, state: &RunState, tensors: &[(String, &Var)]) -> Result<()> {
    let bytes = |(name, var): &(String, &Var)| {
        let values = values_of(var)?;
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok((name.clone(), var.dims().to_vec(), bytes))
    };
    let encoded: Vec<_> = tensors.iter().map(bytes).collect::<candle_core::Result<_>>()?;
    let views = encoded.iter().map(|(name, shape, bytes)| {
        let view = TensorView::new(safetensors::Dtype::F32, shape.clone(), bytes);
        (name, view.expect("a variable has as many values as its shape"))
    });
    let json = serde_json::to_string(state).expect("the state consists of numbers and the caller's JSON");
    let metadata = HashMap::from([(METADATA_KEY.to_string(), json)]);
    let file = serialize(views, Some(metadata)).expect("names of parameters are unique");
    folder.write(RunFile::State, |out| {
        out.write_all(&file).map_err(|error| Error::Params(hardnet_params::Error::Write(error)))
    })
}

/// Reads the state, and copies its tensors to the variables with their names. The names must be the same.
pub(crate) fn load(folder: &RunFolder, tensors: &[(String, &Var)]) -> Result<RunState> {
    let path = folder.path(RunFile::State);
    let checkpoint = open(&path)?;
    let invalid = |reason: String| Error::InvalidState { path: path.clone(), reason };
    let state = RunState::from_checkpoint(&checkpoint).map_err(invalid)?;
    let indices: HashMap<&str, usize> =
        checkpoint.tensors().iter().zip(0..).map(|(tensor, index)| (tensor.name.as_str(), index)).collect();
    if indices.len() != tensors.len() {
        return Err(invalid(format!("{} tensors, expected {}", indices.len(), tensors.len())));
    }
    for (name, var) in tensors {
        let index = *indices.get(name.as_str()).ok_or_else(|| invalid(format!("no tensor `{name}`")))?;
        let info = &checkpoint.tensors()[index];
        if info.shape != var.dims() || info.dtype != Dtype::F32 {
            return Err(invalid(format!("`{name}` has the shape {:?}, expected {:?} of f32", info.shape, var.dims())));
        }
        let bytes = checkpoint.read(index).map_err(|error| invalid(error.to_string()))?;
        let values: Vec<f32> = bytes.as_chunks().0.iter().map(|&chunk| f32::from_le_bytes(chunk)).collect();
        var.set(&Tensor::from_vec(values, var.shape(), &Device::Cpu)?.to_device(var.device())?)?;
    }
    Ok(state)
}
