//! Exact keys, shapes and counts of the published networks.

use super::*;
use crate::config::{StemPadding, Variant};
use crate::error::Error;
use crate::op::{Activation, Conv, Pool};

fn graph(variant: Variant) -> Graph {
    Graph::new(&Config::from(variant)).unwrap()
}

#[test]
fn counts_are_the_published_ones() {
    // Trained parameters, running statistics, tensors without `num_batches_tracked`, head, convolutions.
    let cases = [
        (Variant::HarDNet39Ds, 3_488_228, 16_816, 372, "base.14.3.weight", 74),
        (Variant::HarDNet68Ds, 4_180_602, 22_600, 657, "base.16.3.weight", 131),
        (Variant::HarDNet68, 17_565_348, 12_612, 337, "base.16.3.weight", 67),
        (Variant::HarDNet85, 36_670_212, 20_092, 422, "base.19.3.weight", 84),
    ];
    for (variant, trained, statistics, tensors, head, convs) in cases {
        let graph = graph(variant);
        let params = graph.params();
        assert_eq!(graph.param_count(), trained, "{variant}");
        let buffers: usize = params.iter().filter(|p| !p.kind.is_trained()).map(ParamInfo::count).sum();
        assert_eq!(buffers, statistics, "{variant}");
        assert_eq!(params.len(), tensors, "{variant}");
        assert_eq!(params[tensors - 2].name, head);
        let count = graph.nodes().iter().filter(|node| matches!(node.op, Op::Conv(_))).count();
        assert_eq!(count, convs, "{variant}");
    }
}

#[test]
fn modules_have_the_published_channels_and_sizes() {
    // Channels and side at 224x224 of every entry of `base`.
    let tables: [(Variant, &[(usize, usize)]); 3] = [
        (
            Variant::HarDNet39Ds,
            &[
                (24, 112),
                (48, 112),
                (48, 56),
                (72, 56),
                (96, 56),
                (96, 28),
                (292, 28),
                (320, 28),
                (320, 14),
                (518, 14),
                (640, 14),
                (640, 7),
                (730, 7),
                (1024, 7),
                (1000, 1),
            ],
        ),
        (
            Variant::HarDNet68,
            &[
                (32, 112),
                (64, 112),
                (64, 56),
                (124, 56),
                (128, 56),
                (128, 28),
                (262, 28),
                (256, 28),
                (328, 28),
                (320, 28),
                (320, 14),
                (654, 14),
                (640, 14),
                (640, 7),
                (782, 7),
                (1024, 7),
                (1000, 1),
            ],
        ),
        (
            Variant::HarDNet85,
            &[
                (48, 112),
                (96, 112),
                (96, 56),
                (214, 56),
                (192, 56),
                (192, 28),
                (392, 28),
                (256, 28),
                (458, 28),
                (320, 28),
                (320, 14),
                (588, 14),
                (480, 14),
                (784, 14),
                (720, 14),
                (720, 7),
                (1252, 7),
                (1252, 7),
                (1280, 7),
                (1000, 1),
            ],
        ),
    ];
    for (variant, table) in tables {
        let graph = graph(variant);
        let shapes = graph.shapes(224, 224).unwrap();
        let found: Vec<_> =
            graph.modules().iter().map(|module| (module.channels, shapes[module.outputs[0]].height)).collect();
        assert_eq!(found, table, "{variant}");
    }
}

#[test]
fn params_follow_pytorchs_order_and_names() {
    let names: Vec<_> = graph(Variant::HarDNet39Ds).params().into_iter().map(|p| (p.name, p.shape)).collect();
    let expect = |at: usize, name: &str, shape: &[usize]| assert_eq!(names[at], (name.to_string(), shape.to_vec()));
    expect(0, "base.0.conv.weight", &[24, 3, 3, 3]);
    expect(1, "base.0.norm.weight", &[24]);
    expect(2, "base.0.norm.bias", &[24]);
    expect(3, "base.0.norm.running_mean", &[24]);
    expect(4, "base.0.norm.running_var", &[24]);
    expect(10, "base.2.dwconv.weight", &[48, 1, 3, 3]);
    expect(15, "base.3.layers.0.layer1.conv.weight", &[16, 48, 1, 1]);
    expect(20, "base.3.layers.0.layer2.dwconv.weight", &[16, 1, 3, 3]);
    expect(371, "base.14.3.bias", &[1000]);
}

#[test]
fn small_inputs_name_the_module_that_is_left_with_nothing() {
    let graph = graph(Variant::HarDNet68);
    assert!(graph.shapes(29, 29).is_ok());
    let error = graph.shapes(64, 28).unwrap_err();
    assert_eq!(
        error.to_string(),
        "input of 64x28 pixels is too small: `base.13` would have no output; the shorter side needs at least 29"
    );
    assert!(matches!(graph.shapes(40_000, 224), Err(Error::InputTooLarge { .. })));
    assert!(matches!(graph.shapes(0, 224), Err(Error::InputTooSmall { .. })));
    assert!(self::graph(Variant::HarDNet39Ds).shapes(1, 1).is_ok());
}

#[test]
fn the_notebooks_stem_rounds_odd_sides_down() {
    let first = |config: &Config, side| Graph::new(config).unwrap().shapes(side, side).unwrap()[1].height;
    let symmetric = Config::from(Variant::HarDNet68);
    let notebook = symmetric.clone().with_stem_padding(StemPadding::TopLeft);
    assert_eq!((first(&symmetric, 224), first(&notebook, 224)), (112, 112));
    assert_eq!((first(&symmetric, 225), first(&notebook, 225)), (113, 112));
}

#[test]
fn every_map_but_the_outputs_has_a_later_reader() {
    for variant in Variant::ALL {
        let graph = graph(variant);
        for (id, &reader) in graph.last_readers().iter().enumerate() {
            assert_eq!(reader == id, graph.outputs().contains(&id), "{variant}, node {id}");
        }
    }
}

#[test]
fn a_block_by_itself_has_names_of_its_own() {
    let spec = BlockSpec::new(48, 4, 16).multiplier(1.6).depthwise(true).activation(Activation::Relu);
    let graph = Graph::block(&spec).unwrap();
    assert_eq!(graph.params()[0].name, "layers.0.layer1.conv.weight");
    assert_eq!(graph.modules().len(), 1);
    assert_eq!(graph.modules()[0].channels, 72);
    assert!(Graph::block(&BlockSpec { layers: 0, ..spec }).is_err());
}

#[test]
fn inference_has_no_dropout_and_the_same_parameters() {
    for variant in Variant::ALL {
        let (whole, graph) = (graph(variant), graph(variant).inference());
        assert!(graph.nodes().iter().all(|node| !matches!(node.op, Op::Dropout(_))));
        let named = |graph: &Graph| graph.params().into_iter().map(|p| (p.name, p.shape)).collect::<Vec<_>>();
        assert_eq!(named(&graph), named(&whole));
        let shapes = |graph: &Graph| -> Vec<_> {
            let shapes = graph.shapes(64, 64).unwrap();
            let channels = |module: &ModuleInfo| module.outputs.iter().map(|&id| shapes[id].channels).sum::<usize>();
            graph.modules().iter().map(|module| (channels(module), shapes[module.outputs[0]].height)).collect()
        };
        assert_eq!(shapes(&graph), shapes(&whole));
        assert_eq!(graph.inference(), graph);
    }
}

#[test]
fn a_truncated_graph_ends_with_its_module() {
    let graph = graph(Variant::HarDNet68).truncated(4);
    assert_eq!((graph.modules().len(), graph.blocks().len()), (5, 1));
    assert_eq!(graph.outputs(), graph.modules()[4].outputs);
    assert_eq!(graph.nodes().len(), graph.modules()[4].nodes.end);
}

#[test]
fn parameters_of_other_networks_have_names_and_shapes() {
    let mut builder = GraphBuilder::new("other", 6);
    let conv = builder.conv("a", &[0], Conv::new(4, 1).kernel(1, 3).groups(2).with_bias(), Pointwise::RELU);
    builder.pre_activation(Pointwise::NORM);
    let pool = builder.push("b", Op::AdaptiveAveragePool { rows: 2, columns: 3 }, &[conv]);
    let linear = builder.linear("c", &[pool], 5, Pointwise::NONE);
    let params = builder.finish(&[linear]).unwrap().params();
    let named: Vec<_> = params.iter().map(|param| (param.name.as_str(), &param.shape[..])).collect();
    assert_eq!(named[0], ("a.pre_norm.weight", &[6][..]));
    assert_eq!(
        named[4..],
        [("a.conv.weight", &[4, 3, 1, 3][..]), ("a.conv.bias", &[4]), ("c.weight", &[5, 24]), ("c.bias", &[5]),]
    );
}

#[test]
fn a_linear_layer_needs_a_map_of_a_fixed_size() {
    let mut builder = GraphBuilder::new("bad", 3);
    let pool = builder.pool("pool", &[0], Pool::max(2, 2));
    let linear = builder.linear("fc", &[pool], 5, Pointwise::NONE);
    assert_eq!(builder.finish(&[linear]).unwrap_err(), Error::NoFixedSize { layer: "fc".into() });
}
