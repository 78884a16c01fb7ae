//! The segmentation networks against PyTorch and PaddleSeg: names, shapes, counts.

use hardnet_graph::{Config, Decoder, Graph, ModuleKind, Op, SegmentationVariant, TapKind, Taps, Variant};
use serde_json::Value;

fn reference(text: &str) -> Value {
    serde_json::from_str(text).expect("it is JSON")
}

fn upstream() -> Value {
    reference(include_str!("../../../tests/segmentation/upstream.json"))
}

fn paddleseg() -> Value {
    reference(include_str!("../../../tests/segmentation/paddleseg.json"))
}

fn graph(variant: SegmentationVariant) -> Graph {
    Graph::new(&Config::from(variant)).unwrap()
}

fn size(run: &Value) -> (usize, usize) {
    let side = |at: usize| run["size"][at].as_u64().unwrap() as usize;
    (side(0), side(1))
}

#[test]
fn parameters_are_as_many_as_the_references() {
    for (variant, reference) in
        [(SegmentationVariant::FcHarDNet70, upstream()), (SegmentationVariant::PaddleSeg, paddleseg())]
    {
        assert_eq!(graph(variant).param_count() as u64, reference["parameters"].as_u64().unwrap(), "{variant}");
        assert_eq!(graph(variant).param_count(), 4_119_257);
    }
}

#[test]
fn every_part_has_the_name_and_shape_of_the_reference() {
    let graph = graph(SegmentationVariant::FcHarDNet70);
    for run in upstream()["runs"].as_array().unwrap() {
        let (height, width) = size(run);
        let shapes = graph.shapes(height, width).unwrap();
        let found: Vec<_> = graph
            .modules()
            .iter()
            .map(|module| {
                let shape = shapes[module.outputs[0]];
                (module.name.clone(), vec![1, module.channels, shape.height, shape.width])
            })
            .collect();
        let number = |value: &Value| value.as_u64().unwrap() as usize;
        let mut expected: Vec<_> = run["modules"]
            .as_array()
            .unwrap()
            .iter()
            .map(|module| {
                let shape = module["shape"].as_array().unwrap().iter().map(number).collect::<Vec<_>>();
                (module["module"].as_str().unwrap().to_owned(), shape)
            })
            .collect();
        expected.push(("upsample".into(), vec![1, 19, height, width]));
        assert_eq!(found, expected, "{height}x{width}");
    }
}

#[test]
fn parameters_have_upstreams_names() {
    let params = graph(SegmentationVariant::FcHarDNet70).params();
    let shape = |name: &str| params.iter().find(|param| param.name == name).map(|param| param.shape.clone());
    let mut lines: Vec<String> = params
        .iter()
        .map(|param| {
            let sides: Vec<_> = param.shape.iter().map(ToString::to_string).collect();
            format!("{} {}\n", param.name, sides.join("x"))
        })
        .collect();
    lines.sort();
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3);
    let digest = lines.concat().bytes().fold(0xCBF2_9CE4_8422_2325, fnv);
    assert_eq!(format!("{digest:016x}"), upstream()["names"].as_str().unwrap());
    assert_eq!(shape("conv1x1_up.0.conv.weight"), Some(vec![267, 534, 1, 1]));
    assert_eq!(shape("conv1x1_up.0.norm.running_var"), Some(vec![267]));
    assert_eq!(shape("denseBlocksUp.3.layers.0.conv.weight").map(|shape| shape[0]), Some(10));
    assert_eq!(shape("finalConv.weight"), Some(vec![19, 48, 1, 1]));
    assert_eq!(shape("finalConv.bias"), Some(vec![19]));
}

#[test]
fn paddlesegs_first_stride_is_one_and_its_links_are_reversed() {
    let (upstream, paddle) = (graph(SegmentationVariant::FcHarDNet70), graph(SegmentationVariant::PaddleSeg));
    let inputs = |graph: &Graph, name: &str| {
        let of = &graph.nodes()[graph.find(name).unwrap()].inputs;
        of.iter().map(|&id| graph.nodes()[id].name.clone()).collect::<Vec<_>>()
    };
    let layer = "base.10.layers.3";
    let mut nearest = inputs(&upstream, layer);
    assert_eq!(nearest, ["base.10.layers.2", "base.10.layers.1", "base.9"]);
    nearest.reverse();
    assert_eq!(inputs(&paddle, layer), nearest);
    // The order of a block's own output is the same.
    assert_eq!(inputs(&paddle, "base.11"), inputs(&upstream, "base.11"));
    assert_eq!(paddle.shapes(97, 75).unwrap()[1].to_string(), "16x97x75");
    assert_eq!(paddle.shapes(97, 75).unwrap()[3].to_string(), "32x49x38");
}

#[test]
fn any_size_from_the_least_on_has_shapes() {
    for (variant, least) in [(SegmentationVariant::FcHarDNet70, 61), (SegmentationVariant::PaddleSeg, 31)] {
        let graph = graph(variant);
        for side in least..least + 70 {
            let shapes = graph.shapes(side, 2 * side - least).unwrap();
            let last = shapes[graph.outputs()[0]];
            assert_eq!((last.channels, last.height, last.width), (19, side, 2 * side - least));
        }
        let message = graph.shapes(least - 1, 500).unwrap_err().to_string();
        assert!(message.ends_with(&format!("the shorter side needs at least {least}")), "{message}");
    }
}

#[test]
fn the_map_of_classes_is_the_output_without_the_last_interpolation() {
    let graph = graph(SegmentationVariant::FcHarDNet70);
    assert_eq!(graph.final_upsampling().map(|upsample| upsample.like), Some(0));
    let low = graph.without_final_upsampling();
    assert_eq!((low.final_upsampling(), low.modules().last().unwrap().name.as_str()), (None, "finalConv"));
    assert_eq!(low.shapes(97, 75).unwrap().last().unwrap().to_string(), "19x25x19");
    assert_eq!(low.clone().without_final_upsampling(), low);
    let classifier = Graph::new(&Config::from(Variant::HarDNet39Ds)).unwrap();
    assert_eq!(classifier.clone().without_final_upsampling(), classifier);
}

#[test]
fn feature_maps_are_those_of_the_encoder() {
    let graph = graph(SegmentationVariant::FcHarDNet70);
    let tapped = graph.tapped(&Taps::Strides(vec![4, 8, 16, 32], TapKind::Block)).unwrap();
    let names: Vec<_> = tapped.iter().map(|&at| graph.modules()[at].name.as_str()).collect();
    assert_eq!(names, ["base.4", "base.7", "base.10", "base.13"]);
}

/// A decoder mirrors the blocks before a downsampling layer only, also those of a classifier's encoder.
#[test]
fn every_encoder_can_have_a_decoder() {
    for variant in Variant::ALL {
        let config = Config::from(variant).with_decoder(Decoder::new(3, false));
        let graph = Graph::new(&config).unwrap();
        let kinds = |kind: ModuleKind| graph.modules().iter().filter(|module| module.kind == kind).count();
        assert_eq!(kinds(ModuleKind::Fusion), config.blocks.iter().filter(|block| block.downsample).count());
        let shapes = graph.shapes(75, 101).unwrap();
        assert_eq!(shapes[graph.outputs()[0]].to_string(), "3x75x101", "{variant}");
        assert_eq!(graph.inference().nodes().iter().filter(|node| matches!(node.op, Op::Dropout(_))).count(), 0);
        assert_eq!(graph.inference().shapes(75, 101).unwrap().last(), shapes.last());
    }
}
