//! The program as its users run it: arguments in; stdout, stderr, exit code and files out.

mod bad_input;
mod bench;
mod checkpoints;
mod compare;
mod compat;
mod convert;
mod describe;
#[cfg(feature = "hub")]
mod download;
mod embed;
mod eval;
mod eval_pipelines;
mod eval_segmentation;
mod export;
#[cfg(unix)]
mod guide;
mod images;
mod info;
mod labels;
mod merge;
mod merge_images;
mod merge_refused;
mod merge_segmentation;
mod networks;
mod output;
mod predict;
mod prefixes;
mod quantize;
mod readme;
mod segment;
mod serve;
mod support;
mod trace;
mod train;
mod train_classes;
mod train_resume;
mod train_segmentation;
mod webdataset;
