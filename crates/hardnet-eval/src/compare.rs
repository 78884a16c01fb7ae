//! Comparison of two or more runs over the same images.
//!
//! [`Predictions`] reads the file of a run, which `hardnet eval --predictions` writes. [`MatchedRuns`] finds the lines
//! of the same image in several files. [`Comparison`] then says of two runs how often they agree, how their accuracies
//! differ ([`PairedCounts`]: McNemar's exact test, Tango's interval), which images change their class ([`Change`]), and
//! in which classes and image sizes ([`GroupCounts`]).
//!
//! ```
//! use hardnet_eval::compare::{MatchedRuns, Predictions};
//!
//! let line = |name: &str, class: usize| {
//!     format!(r#"{{"path":"{name}","label":1,"top":[{{"index":{class},"name":"c","probability":0.9}}]}}"#)
//! };
//! let first = Predictions::parse([line("a.jpg", 1), line("b.jpg", 1)].join("\n").as_bytes(), "first.jsonl")?;
//! let second = Predictions::parse([line("b.jpg", 0), line("a.jpg", 1)].join("\n").as_bytes(), "second.jsonl")?;
//! let runs = MatchedRuns::new(vec![first, second])?;
//! let comparison = runs.compare(0, 1);
//! assert_eq!(comparison.agreement().percent(), Some(50.0));
//! assert_eq!(comparison.top1().difference(), Some(-0.5));
//! assert_eq!(comparison.changes()[0].name, "b.jpg");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod comparison;
mod error;
mod groups;
mod interval;
mod line;
mod matched;
mod mcnemar;
mod paired;
mod predictions;

pub use comparison::{Change, Comparison, Verdict};
pub use error::{LineError, MatchError, PredictionsError};
pub use groups::{ClassGroup, GroupCounts, RangeGroup};
pub use interval::tango_interval95;
pub use matched::MatchedRuns;
pub use mcnemar::mcnemar_p_value;
pub use paired::PairedCounts;
pub use predictions::{Choice, MAX_LINE_BYTES, PredictedImage, Predictions};
