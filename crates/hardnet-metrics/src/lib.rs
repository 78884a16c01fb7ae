//! What a convolutional network costs, counted from its structure, by the terms of the HarDNet paper (Chao et al., "HarDNet:
//! A Low Memory Traffic Network", ICCV 2019, <https://arxiv.org/abs/1909.00948>).
//!
//! A [`Network`] is data: layers and what each reads. [`Network::figures`] counts, for one image of any size, each layer's
//! parameters, multiply-accumulates (MACs), convolutional input and output (CIO, the paper's stand-in for memory traffic),
//! MACs over CIO (MoC) and the bytes of maps that exist while it runs. `docs/metrics.md` of the project defines each.
//!
//! [`Reference`] has the networks that the paper compares with, [`paper`] what it prints.
//! [`rank_correlation`] tells how far a count explains a time.
//!
//! A network of your own, here a HarDNet's first block of four layers with growth rate 8:
//!
//! ```
//! use hardnet_metrics::{Builder, Conv, Pointwise};
//!
//! # fn main() -> Result<(), hardnet_metrics::Error> {
//! let mut network = Builder::new("mine", 3);
//! let stem = Conv::new(16, 3).stride(2);
//! let stem = network.conv("stem", &[network.image()], stem, Pointwise::NORM_ACTIVATION);
//! // Layer `l` reads `l - 2^n` wherever `2^n` divides `l`.
//! let sources: [&[usize]; 4] = [&[0], &[1, 0], &[2], &[3, 2, 0]];
//! let mut written = vec![stem];
//! for (at, (sources, channels)) in sources.iter().zip([8, 14, 8, 24]).enumerate() {
//!     let inputs: Vec<_> = sources.iter().map(|&source| written[source]).collect();
//!     let layer = network.conv(format!("layer{}", at + 1), &inputs, Conv::new(channels, 3), Pointwise::NORM_ACTIVATION);
//!     written.push(layer);
//! }
//! let outputs = [written[1], written[3], written[4]];
//! network.block("block", &[stem], written[1..].iter().map(|&layer| vec![layer]).collect(), &outputs);
//! let network = network.finish(&outputs)?;
//!
//! let figures = network.figures(64, 64)?;
//! let last = &figures.layers[written[4]];
//! assert_eq!(last.input.channels, 8 + 14 + 16);
//! assert_eq!(last.macs, 9 * 38 * 24 * 32 * 32);
//! assert_eq!(last.cio, (38 + 24) * 32 * 32);
//! assert_eq!(figures.totals.convs, 5);
//! // Layer 4 reads the block's input, so that here nothing but the image is dropped early.
//! assert_eq!(figures.blocks[0].live_bytes, 4 * (16 + 8 + 14 + 8 + 24) * 32 * 32);
//! assert_eq!(figures.blocks[0].kept_bytes, figures.blocks[0].live_bytes);
//! # Ok(())
//! # }
//! ```

mod error;
mod figures;
mod memory;
mod network;
pub mod paper;
pub mod plot;
mod rank;
mod reference;

pub use error::{Error, Result};
pub use figures::{BlockMemory, Figures, LayerFigures, Totals};
pub use memory::{Keep, Life};
pub use network::{Block, Builder, Conv, Layer, LayerId, Network, Op, Padding, Pointwise, Pool, Shape};
pub use rank::rank_correlation;
pub use reference::Reference;
