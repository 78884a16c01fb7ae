//! Training of segmentation networks: images with masks, crops of them, and validation by mean IoU.

use std::ops::ControlFlow;
use std::sync::Arc;

use hardnet_data::{CoreBudget, DecodeWarning, ParallelMap, Purpose, RandomStream, Resizer, TrainingEpoch};
use hardnet_engine::Isa;
use hardnet_model::Metadata;
use hardnet_segmentation::training::{Augmentation, Crop};
use hardnet_segmentation::{Confusion, Item, LoadError, LoadOptions, Protocol, Segmenter};

use crate::error::Result;
use crate::event::Event;
use crate::metrics::SegmentationMetrics;
use crate::weights::Weights;

/// The images of a run that trains a segmentation network.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SegmentationData {
    /// Training images, each with a mask.
    pub training: Arc<Vec<Item>>,
    /// Validation images, each with a mask.
    pub validation: Option<Arc<Vec<Item>>>,
    /// Normalization of both, and the size in which the validation images are computed.
    pub protocol: Protocol,
}

impl SegmentationData {
    /// Training images and how they are normalized, without validation.
    pub fn new(training: impl Into<Arc<Vec<Item>>>, protocol: Protocol) -> Self {
        Self { training: training.into(), validation: None, protocol }
    }

    /// Sets the validation images.
    pub fn with_validation(mut self, validation: Option<Arc<Vec<Item>>>) -> Self {
        self.validation = validation;
        self
    }
}

/// Crops of a batch; those that could not be made are left out.
#[derive(Debug, Default)]
pub(crate) struct Crops {
    /// `[N, 3, height, width]`.
    pub(crate) images: Vec<f32>,
    /// `[N, height, width]`.
    pub(crate) truth: Vec<u8>,
    pub(crate) count: usize,
    pub(crate) warnings: Vec<(usize, DecodeWarning)>,
    pub(crate) failures: Vec<LoadError>,
}

/// Makes the crops of an epoch ahead of the network, in order. What is drawn for an image depends on seed, epoch and
/// image alone.
pub(crate) struct CropLoader {
    crops: ParallelMap<std::result::Result<Crop, LoadError>>,
    order: Vec<u32>,
    batch_size: usize,
    done: usize,
}

/// How crops are made.
pub(crate) struct CropOptions {
    pub(crate) augmentation: Augmentation,
    pub(crate) workers: usize,
    pub(crate) batch_size: usize,
    pub(crate) isa: Isa,
    pub(crate) cores: Arc<CoreBudget>,
}

impl CropLoader {
    pub(crate) fn new(data: &SegmentationData, pass: TrainingEpoch, options: CropOptions) -> Self {
        let CropOptions { augmentation, workers, batch_size, isa, cores } = options;
        let TrainingEpoch { order, seed, number, .. } = pass;
        let (items, protocol, places) = (Arc::clone(&data.training), data.protocol.clone(), order.clone());
        let load = move |at: usize| {
            let _permit = cores.acquire(1);
            let index = places[at];
            let mut random = RandomStream::new(seed, Purpose::Augmentation, [number, index]);
            let mut resizer = Resizer::with_isa(isa);
            Crop::load(&items[index as usize], &protocol, &augmentation, &mut resizer, &mut random)
        };
        // Without a worker a crop is made by the step that takes it, which holds no cores then.
        let crops = ParallelMap::new(workers, 2 * batch_size, order.len(), load);
        Self { crops, order, batch_size, done: 0 }
    }
}

impl Iterator for CropLoader {
    type Item = Crops;

    fn next(&mut self) -> Option<Crops> {
        let end = (self.done + self.batch_size).min(self.order.len());
        if self.done == end {
            return None;
        }
        let mut batch = Crops::default();
        for &index in &self.order[self.done..end] {
            match self.crops.next()? {
                Ok(crop) => {
                    batch.images.extend_from_slice(&crop.input.values);
                    batch.truth.extend_from_slice(crop.truth.labels());
                    batch.count += 1;
                    batch.warnings.extend(crop.warnings.into_iter().map(|warning| (index as usize, warning)));
                }
                Err(error) => batch.failures.push(error),
            }
        }
        self.done = end;
        Some(batch)
    }
}

/// How validation computes.
pub(crate) struct Computing {
    pub(crate) workers: usize,
    pub(crate) threads: usize,
    pub(crate) isa: Isa,
}

/// Evaluates `weights` on the validation images by the native engine, as `hardnet eval` does. Returns `None` if the
/// observer stopped it.
pub(crate) fn validate(
    items: &Arc<Vec<Item>>,
    metadata: &Metadata,
    protocol: &Protocol,
    weights: &Weights,
    computing: &Computing,
    observe: &mut dyn FnMut(Event) -> ControlFlow<()>,
) -> Result<Option<SegmentationMetrics>> {
    let builder = Segmenter::builder().threads(computing.threads).isa(computing.isa).protocol(protocol.clone());
    let segmenter = builder.from_parameters(&Metadata::new(metadata.config.clone()), weights)?;
    let mut confusion = Confusion::new(metadata.config.classes());
    let loading = segmenter.load_items(Arc::clone(items), LoadOptions::default().workers(computing.workers));
    let (mut images, mut errors) = (0, 0);
    for (done, (item, loaded)) in items.iter().zip(loading).enumerate() {
        let compared = loaded.map(|loaded| {
            let truth = loaded.truth.as_ref();
            truth.map(|truth| segmenter.compare(&loaded.prepared, truth, &mut confusion)).transpose()
        });
        let failure = match compared {
            Ok(Ok(_)) => None,
            Ok(Err(error)) => Some(segmenter.refused(item, error)?),
            Err(error) => Some(error),
        };
        images += usize::from(failure.is_none());
        if let Some(failure) = failure {
            errors += 1;
            let _ = observe(Event::Unusable(&failure));
        }
        let flow = observe(Event::Validated(done + 1, items.len()));
        if flow.is_break() && done + 1 < items.len() {
            return Ok(None);
        }
    }
    Ok(Some(SegmentationMetrics::new(&confusion.figures(), images, errors)))
}
