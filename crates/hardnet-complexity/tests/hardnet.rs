//! Exact figures of the published networks, from the reference implementation by hooks and by plain arithmetic.

use hardnet_complexity::{Figures, Retention, lifetimes};
use hardnet_graph::{
    Activation, BlockSpec, Config, Downsample, Graph, Op, SegmentationVariant, StemPadding, Variant, link,
};

fn describe(config: &Config) -> Graph {
    Graph::new(config).unwrap().inference()
}

fn published(variant: Variant) -> Graph {
    describe(&variant.into())
}

#[test]
fn totals_at_224_are_exact() {
    // Convolutions, parameters, MACs of convolutions and of the linear layer, elements read and written.
    let cases = [
        (Variant::HarDNet39Ds, 74, 3_488_228, 428_447_474, 1_024_000, 5_859_028, 3_959_396),
        (Variant::HarDNet68Ds, 131, 4_180_602, 774_257_526, 1_024_000, 10_816_652, 6_507_788),
        (Variant::HarDNet68, 67, 17_565_348, 4_245_090_304, 1_024_000, 7_296_198, 4_172_742),
        (Variant::HarDNet85, 84, 36_670_212, 9_072_801_584, 1_280_000, 11_151_420, 6_317_864),
    ];
    for (variant, convs, params, conv_macs, linear_macs, read, written) in cases {
        let totals = Figures::new(&published(variant), 224, 224).unwrap().totals;
        assert_eq!((totals.convs, totals.params), (convs, params), "{variant}");
        assert_eq!((totals.conv_macs, totals.linear_macs), (conv_macs, linear_macs), "{variant}");
        assert_eq!((totals.cio_in, totals.cio_out), (read, written), "{variant}");
        // One normalization after every convolution.
        assert_eq!(totals.norm_elements, written, "{variant}");
        assert_eq!(totals.params, Graph::new(&variant.into()).unwrap().param_count() as u64);
    }
}

/// 35.2 and 140.9 G multiply-adds, as counted over the layers of both sources.
#[test]
fn segmentation_networks_have_their_counts_at_1024x2048() {
    let totals = |variant: SegmentationVariant| Figures::new(&describe(&variant.into()), 1024, 2048).unwrap().totals;
    let (upstream, paddle) = (totals(SegmentationVariant::FcHarDNet70), totals(SegmentationVariant::PaddleSeg));
    assert_eq!((upstream.convs, upstream.params, paddle.params), (70, 4_119_257, 4_119_257));
    assert_eq!(format!("{:.1} {:.1}", upstream.macs() as f64 / 1e9, paddle.macs() as f64 / 1e9), "35.2 140.9");
}

#[test]
fn cio_and_moc_at_224_are_exact() {
    // All convolutions; without the strided depthwise ones; MACs of convolutions and linear layer over the first.
    let cases = [
        (Variant::HarDNet39Ds, 9_818_424, 8_219_064, "43.74"),
        (Variant::HarDNet68Ds, 17_324_440, 15_348_760, "44.75"),
        (Variant::HarDNet68, 11_468_940, 11_468_940, "370.23"),
        (Variant::HarDNet85, 17_469_284, 17_469_284, "519.43"),
    ];
    for (variant, all, without, moc) in cases {
        let totals = Figures::new(&published(variant), 224, 224).unwrap().totals;
        assert_eq!((totals.cio(), totals.cio() - totals.cio_strided_depthwise), (all, without), "{variant}");
        assert_eq!(format!("{:.2}", totals.moc()), moc, "{variant}");
    }
}

/// The 39-layer network of plain convolutions, which the reference implementation can build and nobody trained.
#[test]
fn hardnet39_without_depthwise_convolutions_is_exact() {
    let mut config = Config::from(Variant::HarDNet39Ds);
    config.depthwise = false;
    config.downsample = Downsample::MaxPool;
    config.stem.convs[1].kernel = 3;
    let totals = Figures::new(&describe(&config), 224, 224).unwrap().totals;
    assert_eq!((totals.convs, totals.params, totals.cio()), (38, 13_313_764, 6_210_260));
    assert_eq!((totals.conv_macs, totals.macs()), (2_111_417_840, 2_112_441_840));
    assert_eq!(format!("{:.2}", totals.moc()), "340.15");
}

#[test]
fn counts_at_other_sizes_are_exact() {
    let cases = [
        (Variant::HarDNet68, 320, 8_663_449_600, 23_406_000),
        (Variant::HarDNet68, 1024, 88_713_723_904, 239_677_440),
        (Variant::HarDNet85, 1024, 189_603_037_184, 365_072_384),
        (Variant::HarDNet39Ds, 320, 874_382_600, 20_037_600),
        (Variant::HarDNet68Ds, 320, 1_580_117_400, 35_356_000),
    ];
    for (variant, side, macs, cio) in cases {
        let totals = Figures::new(&published(variant), side, side).unwrap().totals;
        assert_eq!((totals.conv_macs, totals.cio()), (macs, cio), "{variant} at {side}");
    }
}

#[test]
fn moc_of_layers_is_exact() {
    let moc = |variant, name: &str| {
        let network = published(variant);
        let figures = Figures::new(&network, 224, 224).unwrap();
        format!("{:.1}", figures.layers[network.find(name).unwrap()].moc().unwrap())
    };
    assert_eq!((moc(Variant::HarDNet68, "base.0"), moc(Variant::HarDNet85, "base.0")), ("19.6".into(), "21.6".into()));
    let transitions = ["base.4", "base.7", "base.9", "base.12", "base.15"];
    assert_eq!(transitions.map(|name| moc(Variant::HarDNet68, name)), ["63.0", "129.5", "162.0", "323.5", "443.4"]);
    assert_eq!(moc(Variant::HarDNet85, "base.4"), "101.2");
    for variant in [Variant::HarDNet39Ds, Variant::HarDNet68Ds] {
        assert_eq!(moc(variant, "base.2"), "1.8", "a strided depthwise convolution");
        let network = published(variant);
        let figures = Figures::new(&network, 224, 224).unwrap();
        let depthwise = network
            .nodes()
            .iter()
            .zip(&figures.layers)
            .filter(|(layer, _)| matches!(layer.op, Op::Conv(conv) if conv.is_depthwise()));
        assert!(depthwise.map(|(_, figures)| figures.moc().unwrap()).all(|moc| moc <= 4.5));
    }
}

#[test]
fn a_growth_rate_changes_what_follows_from_it() {
    // One block of two layers on a map of 4 channels: widths k and 2k, inputs 4 and k + 4.
    for k in [8_u64, 10] {
        let spec = BlockSpec::new(4, 2, k as usize).multiplier(2.0).activation(Activation::Relu);
        let figures = Figures::new(&Graph::block(&spec).unwrap(), 6, 5).unwrap();
        assert_eq!(figures.totals.conv_macs, 30 * 9 * (4 * k + (k + 4) * 2 * k));
        assert_eq!(figures.totals.cio(), 30 * ((4 + k) + (k + 4 + 2 * k)));
        assert_eq!(figures.totals.params, 9 * (4 * k + (k + 4) * 2 * k) + 2 * (k + 2 * k));
    }
    let mut config = Config::from(Variant::HarDNet68);
    let before = Figures::new(&describe(&config), 224, 224).unwrap().totals;
    config.blocks[2].growth += 2;
    let after = Figures::new(&describe(&config), 224, 224).unwrap().totals;
    assert!(after.cio() > before.cio() && after.macs() > before.macs() && after.params > before.params);
}

#[test]
fn shapes_are_the_graphs() {
    for variant in Variant::ALL {
        for padding in [StemPadding::Symmetric, StemPadding::TopLeft] {
            let graph = Graph::new(&Config::from(variant).with_stem_padding(padding)).unwrap();
            let network = graph.inference();
            for (height, width) in [(224, 224), (225, 319), (64, 97)] {
                let (shapes, figures) =
                    (graph.shapes(height, width).unwrap(), Figures::new(&network, height, width).unwrap());
                for (layer, figures) in network.nodes().iter().zip(&figures.layers).skip(1) {
                    let node = graph.nodes().iter().position(|node| node.name == layer.name).unwrap();
                    let (found, expected) = (figures.output, shapes[node]);
                    assert_eq!(
                        (found.channels, found.height, found.width),
                        (expected.channels, expected.height, expected.width),
                        "{variant} {} at {height}x{width}",
                        layer.name
                    );
                }
            }
        }
    }
}

/// By the definition, layer by layer: a map counts if it has been written and somebody still reads it.
#[test]
fn live_memory_is_what_is_written_and_still_read() {
    for variant in Variant::ALL {
        let network = published(variant);
        let figures = Figures::new(&network, 224, 224).unwrap();
        let bytes = |id: usize| {
            let shape = figures.layers[id].output;
            4 * (shape.channels * shape.height * shape.width) as u64
        };
        let last = network.nodes().len() - 1;
        for now in 0..=last {
            let is_read = |id: usize| {
                (now..=last).any(|reader| network.nodes()[reader].inputs.contains(&id)) || id == now || id == last
            };
            let live: u64 = (0..=now).filter(|&id| is_read(id)).map(bytes).sum();
            assert_eq!(figures.layers[now].live_bytes, live, "{variant} {}", network.nodes()[now].name);
            // The block that is being computed or read, and its input.
            let block = network.blocks().iter().find(|block| {
                let readers = network.nodes()[now].inputs.iter().any(|input| block.outputs.contains(input));
                readers || block.layers.iter().flatten().any(|&id| id == now)
            });
            let kept = |id: usize| {
                block.is_some_and(|block| {
                    block.inputs.contains(&id) || block.layers.iter().any(|layer| layer.last() == Some(&id))
                })
            };
            let kept: u64 = (0..=now).filter(|&id| is_read(id) || kept(id)).map(bytes).sum();
            assert_eq!(figures.layers[now].kept_bytes, kept, "{variant} {}", network.nodes()[now].name);
        }
    }
}

/// Channels alive in a block whose layers all have one map size, from the link rule alone: layer `l` is needed until
/// the last layer that reads it, or the transition.
#[test]
fn a_blocks_live_channels_follow_from_the_link_rule() {
    let spec = BlockSpec::new(128, 16, 16);
    let figures = Figures::new(&Graph::block(&spec).unwrap(), 28, 28).unwrap();
    let width = |l: usize| if l == 0 { 128 } else { link::width(l, 16, 1.7) };
    let needed = |l: usize, now: usize| {
        l <= now && ((now..=16).any(|r| link::sources(r).any(|s| s == l)) || l == now || l % 2 == 1 || l == 16)
    };
    for now in 1..=16 {
        let channels: usize = (0..=16).filter(|&l| needed(l, now)).map(width).sum();
        assert_eq!(figures.layers[now].live_bytes, (4 * channels * 28 * 28) as u64, "layer {now}");
    }
    assert_eq!(figures.layers.len(), 17);
}

#[test]
fn a_depthwise_block_has_as_many_layers_as_a_plain_one() {
    let network = published(Variant::HarDNet68Ds);
    let layers: Vec<usize> = network.blocks().iter().map(|block| block.layers.len()).collect();
    assert_eq!(layers, [8, 16, 16, 16, 4]);
    assert!(network.blocks().iter().flat_map(|block| &block.layers).all(|layer| layer.len() == 2));
    assert_eq!(published(Variant::HarDNet85).blocks().len(), 6);
    let lifetimes = lifetimes(&published(Variant::HarDNet68), Retention::Links);
    assert!(lifetimes.iter().all(|life| life.first <= life.last));
}
