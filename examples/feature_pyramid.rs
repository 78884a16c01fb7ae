//! A top-down feature pyramid (Lin et al., 2017) on a HarDNet backbone: four maps of 64 channels at strides 4 to 32.
//!
//! ```sh
//! cargo run -p hardnet-examples --example feature_pyramid
//! ```
//!
//! The weights are random; `Backbone::load` reads those of a file instead, with or without a classifier in it.

use anyhow::Result;
use candle_core::{DType, Device, Module, Tensor};
use candle_nn::{Conv2d, VarBuilder, VarMap, conv2d};
use hardnet::model::Backbone;
use hardnet::{Config, TapKind, Taps, Variant};

const CHANNELS: usize = 64;

struct FeaturePyramid {
    backbone: Backbone,
    lateral: Vec<Conv2d>,
}

impl FeaturePyramid {
    fn new(vb: VarBuilder) -> Result<Self> {
        let taps = Taps::Strides(vec![4, 8, 16, 32], TapKind::Transition);
        let backbone = Backbone::new(&Config::from(Variant::HarDNet39Ds), &taps, vb.pp("backbone"))?;
        let lateral = backbone
            .info()
            .iter()
            .map(|map| conv2d(map.channels, CHANNELS, 1, Default::default(), vb.pp(format!("lateral.{}", map.stride))))
            .collect::<candle_core::Result<_>>()?;
        Ok(Self { backbone, lateral })
    }

    /// Maps at strides 4, 8, 16, 32, each `[N, 64, H / stride, W / stride]`.
    fn forward(&self, images: &Tensor) -> Result<Vec<Tensor>> {
        let maps = self.backbone.features(images)?;
        let mut pyramid: Vec<Tensor> = Vec::new();
        for (map, lateral) in maps.iter().zip(&self.lateral).rev() {
            let map = lateral.forward(map)?;
            let merged = match pyramid.last() {
                Some(coarser) => {
                    let (_, _, height, width) = map.dims4()?;
                    (map + coarser.upsample_nearest2d(height, width)?)?
                }
                None => map,
            };
            pyramid.push(merged);
        }
        pyramid.reverse();
        Ok(pyramid)
    }
}

fn main() -> Result<()> {
    let parameters = VarMap::new();
    let pyramid = FeaturePyramid::new(VarBuilder::from_varmap(&parameters, DType::F32, &Device::Cpu))?;
    let images = Tensor::rand(0f32, 1f32, (1, 3, 320, 480), &Device::Cpu)?;
    for (map, info) in pyramid.forward(&images)?.iter().zip(pyramid.backbone.info()) {
        println!("stride {:>2}  {:<8} {} channels -> {:?}", info.stride, info.module, info.channels, map.shape());
    }
    Ok(())
}
