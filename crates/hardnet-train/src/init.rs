//! Initial values.
//!
//! The authors' training script initializes convolutions with `xavier_normal_` and leaves the rest to PyTorch: batch
//! norms that are the identity, and a linear layer uniform within one over the square root of its inputs.

use hardnet_data::{Purpose, RandomStream};
use hardnet_model::{ParamInfo, ParamKind};

/// Initial values of `param`, number `index` of its network.
pub(crate) fn values(param: &ParamInfo, index: usize, fan_in: usize, seed: u64) -> Vec<f32> {
    let mut random = RandomStream::new(seed, Purpose::Initialization, [index as u32, 0]);
    let mut draw = |value: &mut dyn FnMut(&mut RandomStream) -> f64| -> Vec<f32> {
        (0..param.count()).map(|_| value(&mut random) as f32).collect()
    };
    match param.kind {
        ParamKind::ConvWeight => {
            let deviation = xavier_deviation(&param.shape);
            draw(&mut |random| deviation * random.normal())
        }
        ParamKind::NormWeight | ParamKind::RunningVar => vec![1.0; param.count()],
        ParamKind::LinearWeight | ParamKind::LinearBias => {
            let bound = 1.0 / (fan_in as f64).sqrt();
            draw(&mut |random| random.between(-bound, bound))
        }
        _ => vec![0.0; param.count()],
    }
}

/// The standard deviation of `xavier_normal_` for a weight `[out, in, k, k]`. By that rule, a depthwise weight,
/// `[channels, 1, k, k]`, has one input channel and all output channels.
fn xavier_deviation(shape: &[usize]) -> f64 {
    let window: usize = shape[2..].iter().product();
    (2.0 / ((shape[0] + shape[1]) * window) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use hardnet_model::{Config, Graph, Variant};

    use super::*;

    #[test]
    fn values_have_the_deviations_of_pytorchs_rules() {
        let graph = Graph::new(&Config::from(Variant::HarDNet39Ds)).unwrap();
        // By torch.nn.init._calculate_fan_in_and_fan_out: sqrt(2 / (fan_in + fan_out)), and 1 / sqrt(3 * inputs).
        let cases = [
            ("base.1.conv.weight", (2.0 / (24.0 + 48.0f64)).sqrt()),
            ("base.11.dwconv.weight", (2.0 / (9.0 + 9.0 * 640.0f64)).sqrt()),
            ("base.13.conv.weight", (2.0 / (730.0 + 1024.0f64)).sqrt()),
            ("base.14.3.weight", (1.0 / (3.0 * 1024.0f64)).sqrt()),
        ];
        for (name, expected) in cases {
            let (index, param) = graph.params().into_iter().enumerate().find(|(_, param)| param.name == name).unwrap();
            let values = values(&param, index, graph.nodes()[param.node].in_channels, 1);
            let count = values.len() as f64;
            let mean = values.iter().map(|&value| f64::from(value)).sum::<f64>() / count;
            let deviation = (values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>() / count).sqrt();
            let tolerance = 4.0 / count.sqrt();
            assert!(mean.abs() < tolerance * expected, "{name}: mean {mean}");
            assert!((deviation / expected - 1.0).abs() < tolerance, "{name}: deviation {deviation}, not {expected}");
        }
    }
}
