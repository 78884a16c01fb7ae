//! Segments an image. Without arguments, an untrained network segments a scene that the program draws: its classes mean
//! nothing yet.
//!
//! ```sh
//! cargo run -p hardnet-examples --example segment
//! cargo run -p hardnet-examples --example segment -- hardnet70_cityscapes_model.pkl street.png overlay.png
//! ```

use anyhow::{Result, bail};
use hardnet::data::{DecodeLimits, Purpose, RandomStream, decode, encode_png};
use hardnet::graph::{ParamInfo, ParamKind, SegmentationVariant};
use hardnet::segmentation::{Segmentation, Segmenter, scenes};
use hardnet::{Config, Metadata, params};

/// Random filters, and normalizations that change nothing.
struct Untrained;

impl params::Parameters for Untrained {
    fn values(&self, param: &ParamInfo) -> params::Result<Vec<f32>> {
        let count = param.count();
        Ok(match param.kind {
            ParamKind::ConvWeight => {
                // As He et al. (2015) propose: maps neither grow nor shrink from layer to layer.
                let bound = (6.0 * param.shape[0] as f64 / count as f64).sqrt();
                let mut random = RandomStream::new(1, Purpose::Initialization, [count as u32, 0]);
                (0..count).map(|_| random.between(-bound, bound) as f32).collect()
            }
            ParamKind::NormWeight | ParamKind::RunningVar => vec![1.0; count],
            _ => vec![0.0; count],
        })
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [] => {
            let config = Config::from(SegmentationVariant::PaddleSeg).with_classes(scenes::CLASSES.len());
            let builder = Segmenter::builder().names(scenes::CLASSES).threads(2);
            let segmenter = builder.from_parameters(&Metadata::new(config), &Untrained)?;
            print_areas(&segmenter.segment(&scenes::draw(1, 0, 96, 64).image)?);
        }
        [weights, image, overlay] => {
            let segmenter = Segmenter::load(weights)?;
            let image = decode(&std::fs::read(image)?, &DecodeLimits::default())?.image;
            let found = segmenter.segment(&image)?;
            std::fs::write(overlay, encode_png(&found.overlay(&image)?)?)?;
            print_areas(&found);
        }
        _ => bail!("usage: segment [WEIGHTS IMAGE OVERLAY]"),
    }
    Ok(())
}

fn print_areas(found: &Segmentation) {
    for area in found.areas() {
        println!("{:5.1} %  {}", 100.0 * area.share, area.name);
    }
}
