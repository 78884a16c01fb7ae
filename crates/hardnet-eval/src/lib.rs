//! Evaluation of image classifiers.
//!
//! [`top_k`] turns logits into classes. A [`Tally`] counts top-1, top-5 and loss; a [`Breakdown`] adds the
//! [`Confusion`] matrix, [`Calibration`] and the worst mistakes. All of them are [`Metric`]s: they count sample by
//! sample, and counts of parts of a data set merge.
//!
//! [`evaluate()`] is the loop: it loads images ahead of a network ([`ComputeLogits`]), shares the machine's cores
//! between both, and gives the logits to an [`Observer`], which a metric is. [`evaluate_pipelines`] does so for several
//! ways of preprocessing in one pass. [`PredictionLine`] is a line of JSON about an image, with the [`RunRecord`] of
//! what computed it.
//!
//! ```
//! use hardnet_eval::{Metric, Tally};
//!
//! let (mut first, mut second) = (Tally::default(), Tally::default());
//! first.add(0, &[2.0, 0.5, 0.1], &0);
//! second.add(1, &[3.0, 0.5, 0.1], &2);
//! first.merge(&second);
//! assert_eq!((first.top1().correct, first.top1().total), (1, 2));
//! ```

mod breakdown;
mod calibration;
pub mod compare;
mod confusion;
mod evaluate;
mod exact_sum;
mod lines;
mod logits;
mod metric;
mod observer;
mod tally;
mod top_k;

pub use breakdown::{Breakdown, Mistake};
pub use calibration::{Calibration, CalibrationBin};
pub use confusion::{ClassScore, Confusion, ConfusionCell};
pub use evaluate::{ComputeLogits, EvalError, EvalOptions, EvalSummary, PipelineRun, evaluate, evaluate_pipelines};
pub use exact_sum::{ExactSum, ParseSumError, exact};
pub use lines::{
    DataRecord, LineFields, PipelineRecord, PredictedClass, PredictionLine, RunRecord, ToolRecord, WeightsRecord,
    append_line,
};
pub use logits::Logits;
pub use metric::Metric;
pub use observer::{BatchDone, Observer, ScoredImage};
pub use tally::{Proportion, Tally};
pub use top_k::{Prediction, log_sum_exp, top_k};
