//! Images as ImageNet evaluations need them: lists and folders of samples, decoding, and Pillow's exact preprocessing.

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
mod parallel_map;
mod pipeline;
mod random;
mod resize;
mod shared_str;

pub use archive::{ArchiveError, ArchivedFile, EntryKind, HeaderFault, MAX_NAME_BYTES};
pub use augment::{Augmentation, RandomCrop};
pub use core_budget::{CoreBudget, Permit};
pub use dataset::{
    Dataset, DatasetError, IMAGE_EXTENSIONS, IdxError, IdxImage, ImageRoot, MAX_IDX_BYTES, MAX_LIST_BYTES, MAX_SAMPLES,
    Sample,
};
pub use decode::{ContentGuess, DecodeError, DecodeLimits, DecodeWarning, Decoded, ImageFormat, JPEG_DECODER, decode};
pub use encode::encode_png;
pub use hardnet_base::FileKind;
pub use hardnet_simd::Isa;
pub use image::{Channels, Image, ImageError};
pub use interpolation::{Interpolation, UnknownInterpolation};
pub use loader::{
    Batch, ImageTensor, Loader, LoaderError, LoaderOptions, MAX_FILE_BYTES, MAX_TENSOR_BYTES, SampleError,
    TrainingEpoch,
};
pub use parallel_map::ParallelMap;
pub use pipeline::{Pipeline, PipelineError, UnknownPipeline};
pub use random::{Purpose, RandomStream};
pub use resize::{Resizer, resize};
