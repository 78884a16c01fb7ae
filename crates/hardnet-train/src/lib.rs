//! Training of HarDNet classifiers.
//!
//! A [`Recipe`] is data: optimizer, [`Schedule`], loss, augmentation; [`Recipe::notebook`] and [`Recipe::upstream`] are the
//! published ones. A [`Trainer`] takes a [`Job`], what is to be trained with what, runs it epoch by epoch and keeps it in a
//! [`RunFolder`], from which it goes on, to the last bit, wherever it was stopped. It says what happens by [`Event`]s and
//! prints nothing.

mod average;
mod curves;
mod error;
mod evaluate;
mod folder;
mod init;
mod loss;
mod metrics;
mod optimizer;
mod recipe;
mod schedule;
mod state;
mod trainer;
mod update;
mod weights;

pub use average::Average;
pub use curves::curves;
pub use error::{Error, Result};
pub use evaluate::{Evaluation, Validation};
pub use folder::{RunFile, RunFolder};
pub use loss::cross_entropy;
pub use metrics::{BatchReport, EpochMetrics, ValidationMetrics};
pub use optimizer::{Sgd, clip_factor};
pub use recipe::{Decayed, Recipe};
pub use schedule::{Decay, Interval, Schedule, Warmup};
pub use state::Progress;
pub use trainer::{Ending, Event, Flow, Job, Trainer};
pub use weights::Weights;
