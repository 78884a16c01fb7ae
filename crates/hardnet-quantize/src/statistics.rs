//! Ranges, means and variances of the channels of every map.

use hardnet_graph::{NodeId, Op};

use crate::error::{Error, Result};
use crate::gaussian;
use crate::network::{Network, Role, is_max};
use crate::options::QuantizeOptions;

/// Ranges and moments of the channels of a map.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Statistics {
    /// The values that matter, of each channel.
    pub(crate) low: Vec<f64>,
    pub(crate) high: Vec<f64>,
    /// Mean and variance of each channel.
    pub(crate) moments: Option<Vec<(f64, f64)>>,
}

impl Statistics {
    fn join(parts: &[&Self]) -> Self {
        let all = |of: fn(&Self) -> &[f64]| parts.iter().flat_map(|part| of(part).iter().copied()).collect();
        let moments = parts.iter().map(|part| part.moments.as_deref()).collect::<Option<Vec<_>>>();
        Self { low: all(|part| &part.low), high: all(|part| &part.high), moments: moments.map(|all| all.concat()) }
    }
}

/// The statistics that activations and normalizations tell of each map; none of the image and of the classifier.
pub(crate) fn without_images(network: &Network<'_>, options: &QuantizeOptions) -> Result<Vec<Option<Statistics>>> {
    let mut all: Vec<Option<Statistics>> = Vec::with_capacity(network.roles.len());
    for (id, role) in network.roles.iter().enumerate() {
        all.push(match role {
            Role::Integer(_) | Role::Float(_) => Some(conv(network, id, &all, options)?),
            // Neighboring values are alike, so that the greatest of a window is distributed nearly as all are.
            // Interpolated values do not leave the range.
            Role::Pool(_) | Role::Upsample(_) | Role::Mean => concatenated(network, id, &all),
            Role::Image | Role::Linear | Role::PixelLinear(_) | Role::Logits => None,
        });
    }
    Ok(all)
}

/// The statistics of what the node `id` reads.
pub(crate) fn concatenated(network: &Network<'_>, id: NodeId, all: &[Option<Statistics>]) -> Option<Statistics> {
    let inputs = network.node(id).inputs.iter().map(|&input| all[input].as_ref());
    inputs.collect::<Option<Vec<_>>>().map(|parts| Statistics::join(&parts))
}

fn conv(
    network: &Network<'_>,
    id: NodeId,
    all: &[Option<Statistics>],
    options: &QuantizeOptions,
) -> Result<Statistics> {
    let (node, layer) = (network.node(id), network.layers[id].as_ref().expect("a convolution has parameters"));
    let (least, most) = node.after.bounds().expect("a role has bounds");
    let (least, most) = (f64::from(least), f64::from(most));
    let Some(normal) = &layer.normal else {
        if !least.is_finite() || !most.is_finite() {
            return Err(Error::NoStatistics { node: node.name.clone() });
        }
        return Ok(Statistics {
            low: vec![least; node.out_channels],
            high: vec![most; node.out_channels],
            moments: None,
        });
    };
    let reach = reach(network, id, all)?;
    let (mut low, mut high, mut moments) = (Vec::new(), Vec::new(), Vec::new());
    for (channel, &(mean, deviation)) in normal.iter().enumerate() {
        let (lowest, highest) = reach.as_ref().map_or((f64::NEG_INFINITY, f64::INFINITY), |reach| reach[channel]);
        let width = options.deviations * deviation;
        // The inputs' reach is certain; the normalization may be wrong.
        low.push((mean - width).max(lowest).clamp(least, most));
        // A channel that is hardly ever above zero still has some room there.
        let most_likely = (mean + width).max(if least.is_finite() { deviation } else { f64::NEG_INFINITY });
        high.push(most_likely.min(highest).clamp(least, most));
        moments.push(gaussian::clipped(mean, deviation, least, most));
    }
    Ok(Statistics { low, high, moments: Some(moments) })
}

/// The values that the channels of a depthwise convolution can have at all, by the bounds of its inputs.
fn reach(network: &Network<'_>, id: NodeId, all: &[Option<Statistics>]) -> Result<Option<Vec<(f64, f64)>>> {
    let node = network.node(id);
    let (Some(layer), Op::Conv(conv)) = (&network.layers[id], &node.op) else { return Ok(None) };
    let Some(read) = concatenated(network, id, all).filter(|_| conv.is_depthwise()) else { return Ok(None) };
    let weights = network.weights(id)?;
    let taps = conv.kernel.0 * conv.kernel.1;
    let channel = |channel: usize| {
        let (low, high) = (read.low[channel].min(0.0), read.high[channel].max(0.0));
        let weights = weights[channel * taps..(channel + 1) * taps].iter();
        let weights = weights.map(|&weight| f64::from(weight) * layer.scale[channel]);
        let start = (layer.shift[channel], layer.shift[channel]);
        weights.fold(start, |(least, most), weight| {
            let (a, b) = (weight * low, weight * high);
            (least + a.min(b), most + a.max(b))
        })
    };
    Ok(Some((0..node.out_channels).map(channel).collect()))
}

/// Whether a pool or an interpolation keeps the meaning of its map, whatever the units of its channels.
pub(crate) fn keeps_offsets(role: &Role) -> bool {
    match role {
        Role::Pool(pool) => is_max(pool),
        Role::Upsample(_) => true,
        _ => false,
    }
}
