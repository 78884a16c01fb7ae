//! Images for training and evaluating classifiers: data sets, decoding, and preprocessing that equals Pillow's and
//! OpenCV's bit for bit.
//!
//! * [`Dataset`] names samples with their labels: from a list, class folders, Kaggle's solution file, an IDX file or a
//!   tar archive, which is read in place. What can be known to be wrong is an error before any image is opened.
//! * [`decode`] reads JPEG, PNG, GIF, BMP, TIFF, WebP and PNM as Pillow's `convert("RGB")` does. [`DecodeOptions`] read
//!   them as `cv2.imread` does, and turn them upright by their EXIF data.
//! * [`Pipeline`] resizes, crops and normalizes: by default torchvision's geometry and arithmetic, and Pillow's resize.
//!   [`opencv`] has OpenCV's resize, [`Convention`] the rules of PaddleClas and of Paddle's transforms.
//! * [`Loader`] does all of this on worker threads ahead of the network, in order; [`CoreBudget`] keeps workers and
//!   network from using more cores than there are.
//!
//! Tensors are f32, `[3, crop, crop]`: planes red, green, blue. They do not depend on the number of threads or on the
//! instruction set.
//!
//! ```
//! use hardnet_data::{Dataset, Loader, LoaderOptions, Pipeline};
//! # use hardnet_data::{Image, encode_png};
//! # let folder = std::env::temp_dir().join(format!("hardnet-data-{}", std::process::id()));
//! # std::fs::create_dir_all(folder.join("val"))?;
//! # for (name, level) in [("a.png", 0), ("b.png", 255)] {
//! #     let image = Image::from_rgb8(40, 30, vec![level; 40 * 30 * 3])?;
//! #     std::fs::write(folder.join("val").join(name), encode_png(&image)?)?;
//! # }
//! # std::fs::write(folder.join("val.txt"), "a.png 17\nb.png 3\n")?;
//!
//! // A line of the list: `ILSVRC2012_val_00000001.JPEG 65`.
//! let dataset = Dataset::from_list(&folder.join("val.txt"), &folder.join("val"), 1000)?;
//! let labels: Vec<_> = dataset.samples.iter().map(|sample| sample.label()).collect();
//!
//! let options = LoaderOptions::default().workers(2).batch_size(16);
//! for batch in Loader::new(dataset.samples, Pipeline::pil_bilinear(), options)? {
//!     for (tensor, &index) in batch.images.iter().zip(&batch.samples) {
//!         assert_eq!(tensor.len(), 3 * 224 * 224);
//!         println!("sample {index}, class {:?}", labels[index]);
//!     }
//!     for (index, error) in &batch.failures {
//!         eprintln!("sample {index} is left out: {error}");
//!     }
//! }
//! # std::fs::remove_dir_all(&folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod archive;
mod augment;
mod core_budget;
mod dataset;
mod decode;
mod encode;
mod image;
pub mod imagenet;
mod interpolation;
mod loader;
mod normalize;
// Parts of both serve vectors of x86-64 alone.
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, unused_mut, unused_variables))]
pub mod opencv;
mod parallel_map;
mod pipeline;
mod random;
#[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, unused_mut, unused_variables))]
mod resize;
mod shard;
mod shared_str;
mod webdataset;
mod window;

pub use archive::{ArchiveError, ArchivedFile, EntryKind, HeaderFault, MAX_NAME_BYTES};
pub use augment::{Augmentation, RandomCrop};
pub use core_budget::{CoreBudget, Permit};
#[doc(hidden)]
pub use dataset::kit_table;
pub use dataset::{
    ClassMap, Classes, Dataset, DatasetError, DatasetOptions, DevelopmentKit, Expected, IMAGE_EXTENSIONS, IdxError,
    IdxImage, ImageRoot, KitError, LabelError, LabelRule, MAX_CLASSES, MAX_IDX_BYTES, MAX_LIST_BYTES, MAX_SAMPLES,
    MatError, Numbering, QuotedLabel, Sample,
};
pub use decode::{
    ContentGuess, DecodeError, DecodeLimits, DecodeOptions, DecodeWarning, Decoded, Decoding, Exif, ImageFormat,
    JPEG_DECODER, Orientation, UnknownExif, decode,
};
pub use encode::encode_png;
pub use hardnet_base::{FileKind, TextError};
pub use hardnet_simd::Isa;
pub use image::{Channels, Image, ImageError};
pub use interpolation::{Interpolation, Resampling, UnknownInterpolation};
pub use loader::{
    Batch, ImageInfo, ImageTensor, Loader, LoaderError, LoaderOptions, MAX_FILE_BYTES, MAX_TENSOR_BYTES,
    PipelinesLoader, SampleError, TrainingEpoch,
};
pub use parallel_map::ParallelMap;
pub use pipeline::{
    Convention, CropMode, Pipeline, PipelineError, Region, UnknownConvention, UnknownCropMode, UnknownPipeline,
};
pub use random::{Purpose, RandomStream};
pub use resize::{Resizer, resize};
pub use shard::{LAUNCHER_VARIABLES, Launcher, LauncherError, Shard, ShardError, UnknownLauncher};
pub use webdataset::{
    KeyError, KeyFault, MAX_TARS, PatternError, TarChunk, TarChunks, TarClasses, WebDataset, expand_braces,
};
