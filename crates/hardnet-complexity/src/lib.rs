//! Complexity of convolutional networks, counted from their structure in the terms of the HarDNet paper (Chao et al.,
//! "HarDNet: A Low Memory Traffic Network", ICCV 2019, <https://arxiv.org/abs/1909.00948>).
//!
//! [`Figures::new`] counts, for one image of any size, each layer's parameters, multiply-accumulates (MACs),
//! convolutional input and output (CIO, the paper's stand-in for memory traffic), MACs over CIO (MoC) and the bytes of
//! maps that exist while it runs. `docs/metrics.md` of the project defines each. It reads a
//! [`Graph`](hardnet_graph::Graph): that of a HarDNet, of one of the networks that the paper compares with
//! ([`Reference`]), or of any other network.
//!
//! [`paper`] has the figures that the paper prints. [`rank_correlation`] tells how well a count predicts run times.
//!
//! A custom network, here a HarDNet's first block of four layers with growth rate 8:
//!
//! ```
//! use hardnet_complexity::Figures;
//! use hardnet_graph::{Conv, GraphBuilder, Pointwise, link};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut network = GraphBuilder::new("mine", 3);
//! let stem = network.conv("stem", &[network.image()], Conv::new(16, 3).stride(2), Pointwise::NORM_RELU);
//! let mut written = vec![stem];
//! for layer in 1..=4 {
//!     let inputs: Vec<_> = link::sources(layer).map(|source| written[source]).collect();
//!     let conv = Conv::new(link::width(layer, 8, 1.7), 3);
//!     written.push(network.conv(format!("layer{layer}"), &inputs, conv, Pointwise::NORM_RELU));
//! }
//! let outputs = [written[1], written[3], written[4]];
//! network.block("block", &[stem], written[1..].iter().map(|&layer| vec![layer]).collect(), &outputs);
//! let network = network.finish(&outputs)?;
//!
//! let figures = Figures::new(&network, 64, 64)?;
//! let last = &figures.layers[written[4]];
//! assert_eq!(last.input.channels, 8 + 14 + 16);
//! assert_eq!(last.macs, 9 * 38 * 24 * 32 * 32);
//! assert_eq!(last.cio, (38 + 24) * 32 * 32);
//! assert_eq!(figures.totals.convs, 5);
//! // Layer 4 reads the block's input, so nothing here but the image is dropped early.
//! assert_eq!(figures.blocks[0].live_bytes, 4 * (16 + 8 + 14 + 8 + 24) * 32 * 32);
//! assert_eq!(figures.blocks[0].kept_bytes, figures.blocks[0].live_bytes);
//! # Ok(())
//! # }
//! ```

mod error;
mod figures;
mod memory;
pub mod paper;
pub mod plot;
mod rank;
mod reference;

pub use error::{Error, Result};
pub use figures::{BlockMemory, Figures, LayerFigures, Totals};
pub use memory::{Lifetime, Retention, lifetimes};
pub use rank::rank_correlation;
pub use reference::Reference;
