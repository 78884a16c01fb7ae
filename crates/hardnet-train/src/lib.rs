//! Training of HarDNet classifiers and segmentation networks.
//!
//! A [`Recipe`] describes how to train, as data: optimizer, [`Schedule`], loss, augmentation. [`Recipe::upstream`],
//! [`Recipe::notebook`] and, for segmentation, [`Recipe::fchardnet`] are the published ones. A [`Job`] adds network,
//! images and device. A [`Trainer`] runs it epoch by epoch and saves its state in a [`RunFolder`], from which it
//! resumes bit for bit, no matter where it was stopped. Progress is reported as [`Event`]s; the crate prints nothing.
//!
//! Several processes train one network with [`Trainer::over`] and [`Follower`]s, which exchange messages by a
//! [`Communicator`].

mod average;
mod balance;
mod communicator;
mod curves;
mod error;
mod evaluate;
mod event;
mod folder;
mod image_list;
mod init;
mod job;
mod loss;
mod metrics;
mod optimizer;
mod ranks;
mod recipe;
mod schedule;
mod segmentation;
mod stall;
mod state;
mod trainer;
mod update;
mod weights;

pub use average::WeightAverage;
pub use balance::{ClassWeights, Sampler, class_counts, uneven};
pub use communicator::{CommunicationError, Communicator, InProcess, in_process};
pub use curves::plot_curves;
pub use error::{Error, Result};
pub use evaluate::{Evaluation, Validation};
pub use event::{Event, Outcome, RemoteReport};
pub use folder::{RunFile, RunFolder};
pub use image_list::{ImageDigests, ImageListDigest};
pub use job::Job;
pub use loss::{cross_entropy, weighted_cross_entropy};
pub use metrics::{BatchMetrics, EpochMetrics, SegmentationMetrics, ValidationMetrics};
pub use optimizer::{Sgd, clip_factor};
pub use ranks::share;
pub use recipe::{BatchNormStatistics, DecayedParams, Recipe, SegmentationRecipe};
pub use schedule::{LrDecay, LrInterval, Schedule, Warmup};
pub use segmentation::SegmentationData;
pub use stall::Stall;
pub use state::RunState;
pub use trainer::{Follower, Trainer};
pub use weights::Weights;
