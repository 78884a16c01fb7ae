//! Descriptions of one's own: what is counted, and what is refused.

use hardnet_complexity::{Error, Figures, Lifetime, Retention, lifetimes};
use hardnet_graph::{Conv, Error as GraphError, Graph, GraphBuilder, NodeId, Op, Padding, Pointwise, Pool};

/// A block of three layers that each read the one before, and its output's reader.
fn chain() -> Graph {
    let mut builder = GraphBuilder::new("chain", 3);
    let image = builder.image();
    let a = builder.conv("a", &[image], Conv::new(8, 3), Pointwise::NORM_RELU);
    let b = builder.conv("b", &[a], Conv::new(4, 3), Pointwise::NONE);
    let c = builder.conv("c", &[b], Conv::new(2, 3), Pointwise::NONE);
    builder.block("block", &[a], vec![vec![b], vec![c]], &[c]);
    let mean = builder.mean("mean", &[c]);
    builder.finish(&[mean]).unwrap()
}

#[test]
fn maps_live_until_their_last_reader_or_until_the_block_is_read() {
    let network = chain();
    let lifetimes =
        |retention| lifetimes(&network, retention).iter().map(|life| (life.first, life.last)).collect::<Vec<_>>();
    assert_eq!(lifetimes(Retention::Links), [(0, 1), (1, 2), (2, 3), (3, 4), (4, 4)]);
    assert_eq!(lifetimes(Retention::Blocks), [(0, 1), (1, 4), (2, 4), (3, 4), (4, 4)]);
    let figures = Figures::new(&network, 10, 5).unwrap();
    let bytes = |channels: u64| 4 * 50 * channels;
    let live: Vec<u64> = figures.layers.iter().map(|layer| layer.live_bytes).collect();
    assert_eq!(live, [bytes(3), bytes(11), bytes(12), bytes(6), bytes(2) + 8]);
    let kept: Vec<u64> = figures.layers.iter().map(|layer| layer.kept_bytes).collect();
    assert_eq!(kept, [bytes(3), bytes(11), bytes(12), bytes(14), bytes(14) + 8]);
    assert_eq!((figures.totals.peak_live_bytes, figures.totals.peak_kept_bytes), (bytes(12), bytes(14) + 8));
    let block = &figures.blocks[0];
    assert_eq!((block.live_bytes, block.kept_bytes), (bytes(12), bytes(14) + 8));
    assert_eq!((block.output_live_bytes, block.output_kept_bytes), (bytes(2), bytes(14)));
    assert_eq!(block.output_saving(), 7.0);
    let kinds: Vec<String> = network.nodes().iter().map(|layer| layer.op.to_string()).collect();
    assert_eq!(kinds, ["image", "conv 3x3", "conv 3x3", "conv 3x3", "mean"]);
}

/// Groups, bias, a kernel of two sides, dilation, unequal padding: torch.nn.Conv2d(6, 8, (1, 3), stride=2,
/// padding=(0, 2), dilation=2, groups=2) on a map of 6x9x11 gives 8x5x6 and has 80 parameters.
#[test]
fn a_convolution_of_every_kind() {
    let mut builder = GraphBuilder::new("conv", 6);
    let padding = Padding { left: 2, right: 2, ..Padding::default() };
    let conv = Conv::new(8, 1).kernel(1, 3).stride(2).padding(padding).dilation(2).groups(2).with_bias();
    let id = builder.conv("conv", &[0], conv, Pointwise::NONE);
    let figures = Figures::new(&builder.finish(&[id]).unwrap(), 9, 11).unwrap().layers[id];
    assert_eq!((figures.output.channels, figures.output.height, figures.output.width), (8, 5, 6));
    assert_eq!((figures.params, figures.macs, figures.cio), (80, 8 * 30 * 9, 6 * 99 + 240));
}

#[test]
fn before_and_behind_count_their_own_elements() {
    let mut builder = GraphBuilder::new("pointwise", 6);
    let id = builder.conv("conv", &[0], Conv::new(4, 1).stride(2), Pointwise::RELU);
    builder.pre_activation(Pointwise::NORM_RELU);
    let figures = Figures::new(&builder.finish(&[id]).unwrap(), 8, 8).unwrap();
    let layer = figures.layers[id];
    assert_eq!((layer.params, layer.statistics), (24 + 12, 12));
    assert_eq!((layer.norm_elements, layer.activation_elements), (6 * 64, 6 * 64 + 4 * 16));
    assert_eq!(figures.totals.macs_and_pointwise(), 24 * 16 + 3 * 6 * 64 + 4 * 16);
}

/// Sides by torch.nn.MaxPool2d(3, 2, padding, ceil_mode=True).
#[test]
fn pools_round_up_as_pytorch_does() {
    for (side, padding, expected) in [(3, 0, 1), (4, 0, 2), (5, 0, 2), (109, 0, 54), (54, 0, 27), (2, 1, 2), (4, 1, 3)]
    {
        let mut builder = GraphBuilder::new("pool", 1);
        let pool = builder.pool("pool", &[0], Pool::max(3, 2).padding(Padding::all(padding)).ceil());
        let figures = Figures::new(&builder.finish(&[pool]).unwrap(), side, side).unwrap();
        assert_eq!(figures.layers[pool].output.height, expected, "{side} padded by {padding}");
    }
}

fn finish(add: impl FnOnce(&mut GraphBuilder) -> Vec<NodeId>) -> Result<Graph, GraphError> {
    let mut builder = GraphBuilder::new("bad", 4);
    let outputs = add(&mut builder);
    builder.finish(&outputs)
}

#[test]
fn what_is_no_network_is_refused() {
    let conv = |b: &mut GraphBuilder, inputs: &[NodeId], conv| vec![b.conv("conv", inputs, conv, Pointwise::NORM)];
    let error = finish(|b| conv(b, &[], Conv::new(4, 3))).unwrap_err();
    assert_eq!(error.to_string(), "`conv` reads nothing, expected at least one layer");
    let error = finish(|b| conv(b, &[1], Conv::new(4, 3))).unwrap_err();
    assert_eq!(error.to_string(), "`conv` reads layer 1, expected one of the 1 before it");
    let error = finish(|_| vec![7]).unwrap_err();
    assert_eq!(error.to_string(), "`bad` reads layer 7, expected one of the 1 before it");
    for field in [Conv::new(0, 3), Conv::new(4, 0), Conv::new(4, 3).stride(0), Conv::new(4, 3).groups(0)] {
        assert!(matches!(finish(|b| conv(b, &[0], field)), Err(GraphError::Field { found: 0, .. })), "{field:?}");
    }
    let block = |layers: Vec<Vec<NodeId>>| {
        finish(|b| {
            let first = b.conv("first", &[0], Conv::new(4, 3), Pointwise::NORM);
            let second = b.conv("second", &[first], Conv::new(4, 3), Pointwise::NORM);
            b.block("block", &[0], layers, &[second]);
            vec![second]
        })
    };
    assert!(block(vec![vec![1], vec![2]]).is_ok());
    for layers in [vec![vec![2], vec![1]], vec![vec![1], vec![3]], vec![vec![0], vec![2]]] {
        assert!(matches!(block(layers.clone()), Err(GraphError::Block { .. })), "{layers:?}");
    }
}

#[test]
fn what_does_not_fit_an_image_is_refused() {
    let add = |b: &mut GraphBuilder| {
        let half = b.conv("half", &[0], Conv::new(4, 3).stride(2), Pointwise::NORM);
        vec![b.add("add", &[0, half], Pointwise::NORM)]
    };
    let error = Figures::new(&finish(add).unwrap(), 8, 8).unwrap_err();
    assert_eq!(error.to_string(), "`add` reads maps of 4x8x8 and 4x4x4, expected one size");
    // One pixel stays one pixel.
    assert!(Figures::new(&finish(add).unwrap(), 1, 1).is_ok());
    let groups = finish(|b| vec![b.conv("conv", &[0], Conv::new(6, 3).groups(3), Pointwise::NORM)]);
    assert_eq!(groups.unwrap_err().to_string(), "`conv` has 3 groups, expected a divisor of its 4 channels");
    let depthwise = finish(|b| vec![b.conv("conv", &[0], Conv::depthwise(8), Pointwise::NORM)]);
    assert_eq!(depthwise.unwrap_err().to_string(), "`conv` has 4 groups, expected a divisor of its 8 channels");
    let window = finish(|b| vec![b.pool("pool", &[0], Pool::max(5, 2))]).unwrap();
    assert_eq!(
        Figures::new(&window, 8, 4).unwrap_err().to_string(),
        "input of 8x4 pixels is too small: `pool` would have no output; the shorter side needs at least 5"
    );
    assert!(Figures::new(&window, 0, 0).is_err());
}

#[test]
fn counts_beyond_64_bits_are_refused() {
    let huge = finish(|b| vec![b.conv("conv", &[0], Conv::new(1 << 40, 3), Pointwise::NORM)]).unwrap();
    assert!(matches!(Figures::new(&huge, 1 << 15, 1 << 15), Err(Error::TooLarge { .. })));
    let error = Figures::new(&huge, usize::MAX, 1).unwrap_err();
    assert!(matches!(error, Error::Graph(GraphError::InputTooLarge { .. })), "{error}");
    let wide = finish(|b| {
        let maps: Vec<_> =
            (0..9).map(|_| b.push("pool", Op::AdaptiveAveragePool { rows: 1 << 31, columns: 1 << 30 }, &[0])).collect();
        maps
    });
    assert!(matches!(Figures::new(&wide.unwrap(), 1, 1), Err(Error::TooLarge { .. })));
}

#[test]
fn lives_of_outputs_end_with_the_network() {
    let mut builder = GraphBuilder::new("two outputs", 1);
    let first = builder.conv("first", &[0], Conv::new(1, 1), Pointwise::NONE);
    let second = builder.conv("second", &[0], Conv::new(1, 1), Pointwise::NONE);
    let lifetimes = lifetimes(&builder.finish(&[first, second]).unwrap(), Retention::Links);
    assert_eq!(lifetimes[first], Lifetime { first: 1, last: 2 });
}

/// Of a layer of two convolutions, others read the second: a dense block need not keep the first.
#[test]
fn maps_within_a_layer_are_not_kept() {
    let mut builder = GraphBuilder::new("pairs", 4);
    let [a, b] = ["a", "b"].map(|name| builder.conv(name, &[0], Conv::new(4, 1), Pointwise::NONE));
    let c = builder.conv("c", &[b], Conv::new(4, 1), Pointwise::NONE);
    let d = builder.conv("d", &[a, c], Conv::new(4, 1), Pointwise::NONE);
    builder.block("block", &[0], vec![vec![a], vec![b, c], vec![d]], &[d]);
    let lifetimes = lifetimes(&builder.finish(&[d]).unwrap(), Retention::Blocks);
    assert_eq!([a, b, c].map(|id| lifetimes[id].last), [d, c, d]);
}
