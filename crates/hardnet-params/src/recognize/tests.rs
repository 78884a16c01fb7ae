//! Networks of every scheme, prefix and flaw.

use hardnet_graph::{Activation, BlockConfig, Downsample, Graph, SegmentationVariant, StemPadding};

use super::*;

/// The tensors of a file of `config` under the names of `scheme`.
pub(super) fn tensors(config: &Config, scheme: Scheme) -> Vec<FileTensor> {
    let params = scheme.params(&Graph::new(config).unwrap());
    let tensor = |named: NamedParam| FileTensor { shape: named.shape(), name: named.key, unreadable: None };
    params.into_iter().map(tensor).collect()
}

/// The only network that is recognized.
pub(super) fn one(tensors: &[FileTensor], wanted: Wanted<'_>) -> Recognized {
    let mut found = recognize(tensors, wanted, None).unwrap();
    assert_eq!(found.len(), 1);
    found.remove(0)
}

/// The same tensors with other names.
fn renamed(tensors: &[FileTensor], rename: impl Fn(&str) -> String) -> Vec<FileTensor> {
    tensors.iter().map(|tensor| FileTensor { name: rename(&tensor.name), ..tensor.clone() }).collect()
}

fn prefixed(tensors: &[FileTensor], prefix: &str) -> Vec<FileTensor> {
    renamed(tensors, |name| format!("{prefix}{name}"))
}

fn other(name: &str, shape: &[usize]) -> FileTensor {
    FileTensor { name: name.into(), shape: shape.into(), unreadable: None }
}

#[test]
fn every_scheme_and_network_is_recognized() {
    for scheme in Scheme::ALL {
        for variant in Variant::ALL {
            for config in
                [Config::from(variant), Config::from(variant).with_classes(10), Config::from(variant).without_head()]
            {
                let found = one(&tensors(&config, scheme), Wanted::Any);
                assert_eq!(found.differences.count(), 0, "{scheme} {variant}");
                let padding = match scheme {
                    Scheme::Notebook => StemPadding::TopLeft,
                    _ => StemPadding::Symmetric,
                };
                assert_eq!(found.config, config.with_stem_padding(padding), "{scheme} {variant}");
                assert_eq!(found.scheme, scheme, "{variant}");
            }
        }
    }
}

/// Shapes are the same, names tell them apart.
#[test]
fn segmentation_networks_are_recognized() {
    use SegmentationVariant::{FcHarDNet70, PaddleSeg};
    for (variant, scheme) in
        [(FcHarDNet70, Scheme::PyTorch), (FcHarDNet70, Scheme::PaddleClas), (PaddleSeg, Scheme::PaddleSeg)]
    {
        for classes in [19, 1, 150] {
            let config = Config::from(variant).with_classes(classes);
            let plain = tensors(&config, scheme);
            for prefix in ["", "module.", "model."] {
                let found = one(&prefixed(&plain, prefix), Wanted::Any);
                let what = format!("{variant} {scheme} {classes} {prefix}");
                assert_eq!((found.differences.count(), found.prefix.as_str()), (0, prefix), "{what}");
                assert_eq!((found.config, found.scheme), (config.clone(), scheme), "{what}");
                assert!(found.assumed.is_empty(), "{what}");
            }
        }
    }
}

/// PaddleSeg 2.8.0's own names and shapes, by `tests/segmentation/paddleseg.py`.
#[test]
fn paddlesegs_names_and_shapes_are_the_packages() {
    let text = include_str!("../../../../tests/segmentation/paddleseg.json");
    let table: serde_json::Value = serde_json::from_str(text).unwrap();
    let mut expected: Vec<&str> =
        table["names"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let file = tensors(&SegmentationVariant::PaddleSeg.into(), Scheme::PaddleSeg);
    let lines = file.iter().map(|tensor| {
        let sides: Vec<_> = tensor.shape.iter().map(ToString::to_string).collect();
        format!("{} {}", tensor.name, sides.join("x"))
    });
    let mut lines: Vec<String> = lines.collect();
    lines.sort();
    expected.sort_unstable();
    assert_eq!(lines, expected);
}

/// The names of one are not mistaken for the other, and what is missing is named.
#[test]
fn a_segmentation_file_with_a_flaw_is_compared_with_what_it_is() {
    for (variant, scheme) in
        [(SegmentationVariant::FcHarDNet70, Scheme::PyTorch), (SegmentationVariant::PaddleSeg, Scheme::PaddleSeg)]
    {
        let mut file = tensors(&variant.into(), scheme);
        let missing = file.remove(3).name;
        let last = file.last_mut().unwrap();
        let surplus = std::mem::replace(&mut last.name, "extra".into());
        let found = one(&file, Wanted::Any);
        assert_eq!((found.config.segmentation_variant(), found.scheme), (Some(variant), scheme));
        assert_eq!(
            (found.differences.missing, found.differences.unexpected),
            (vec![missing, surplus], vec!["extra".into()])
        );
    }
}

/// A description in place of what names tell: the other's links and interpolation.
#[test]
fn a_wanted_segmentation_network_is_taken_under_any_names() {
    let paddle = Config::from(SegmentationVariant::PaddleSeg);
    let file = tensors(&paddle.clone().with_classes(7), Scheme::PyTorch);
    let found = one(&file, Wanted::Config(&paddle));
    assert_eq!((found.differences.count(), found.config), (0, paddle.clone().with_classes(7)));
    let stored = one(&tensors(&paddle, Scheme::PyTorch), Wanted::Stored(&paddle));
    assert_eq!((stored.differences.count(), stored.config), (0, paddle));
    let encoder = tensors(&Config::fc_hardnet70_encoder(), Scheme::Bare);
    assert_eq!(one(&encoder, Wanted::Any).config.published_name(), Some("fc-hardnet70-encoder"));
}

#[test]
fn a_file_with_a_flaw_is_compared_with_what_it_is() {
    let mut file = tensors(&Config::from(Variant::HarDNet68Ds), Scheme::Notebook);
    file[3].name = "base.0.conv_bn.1.mean".into();
    let found = one(&file, Wanted::Any);
    assert_eq!((found.scheme, found.config.variant()), (Scheme::Notebook, Some(Variant::HarDNet68Ds)));
    assert_eq!(found.differences.missing, ["base.0.conv_bn.1._mean"]);
    assert_eq!(found.differences.unexpected, ["base.0.conv_bn.1.mean"]);
}

#[test]
fn counters_belong_to_normalizations() {
    let mut file = tensors(&Config::from(Variant::HarDNet39Ds), Scheme::PyTorch);
    let counter = |layer: &str| FileTensor { name: format!("{layer}.{COUNTER}"), shape: vec![], unreadable: None };
    file.push(counter("base.0.norm"));
    assert_eq!(one(&file, Wanted::Any).differences.count(), 0);
    file.extend(["base.0.conv", "extra", "base.99.norm"].map(counter));
    let strays = ["base.0.conv.num_batches_tracked", "extra.num_batches_tracked", "base.99.norm.num_batches_tracked"];
    assert_eq!(one(&file, Wanted::Any).differences.unexpected, strays);
}

#[test]
fn a_wanted_network_is_the_one_compared_with() {
    let mut file = tensors(&Config::from(Variant::HarDNet68), Scheme::PyTorch);
    let whole = one(&file, Wanted::Variant(Variant::HarDNet85));
    assert_eq!(whole.config.variant(), Some(Variant::HarDNet68));
    file.pop();
    let flawed = one(&file, Wanted::Variant(Variant::HarDNet85));
    assert_eq!(flawed.config.variant(), Some(Variant::HarDNet85));
}

/// Whatever stands before all names, by whichever scheme and in whichever nesting, is stripped.
#[test]
fn prefixes_are_stripped() {
    let own = |mut config: Config| {
        config.in_channels = 4;
        config
    };
    for scheme in Scheme::ALL {
        let config = Config::from(Variant::HarDNet68Ds).with_classes(10);
        let networks = if scheme != Scheme::PyTorch { vec![config] } else { vec![own(config.clone()), config] };
        for config in networks {
            let plain = tensors(&config, scheme);
            let expected = one(&plain, Wanted::Any);
            assert_eq!((expected.prefix.as_str(), expected.differences.count()), ("", 0));
            for prefix in [
                "_orig_mod.",
                "module._orig_mod.",
                "module.",
                "model.",
                "net.",
                "encoder.backbone.",
                "ema_model.module.",
                "_forward_module.model._orig_mod.",
                "a.b.c.d.e.",
                "base.",
                "0.",
            ] {
                if scheme == Scheme::Bare && prefix == "base." {
                    continue;
                }
                let found = one(&prefixed(&plain, prefix), Wanted::Any);
                assert_eq!(found.prefix, prefix, "{scheme}");
                assert_eq!((&found.config, found.scheme), (&expected.config, scheme), "{prefix}");
                assert_eq!((found.differences.count(), found.wrappers.len()), (0, 0), "{scheme} {prefix}");
                for (named, plain) in found.params.iter().zip(&expected.params) {
                    assert_eq!(named.key, format!("{prefix}{}", plain.key));
                    assert_eq!((&named.param, named.transposed), (&plain.param, plain.transposed));
                }
            }
        }
    }
}

#[test]
fn wrappers_in_the_middle_of_names_are_stripped() {
    let plain = tensors(&Config::from(Variant::HarDNet39Ds), Scheme::PyTorch);
    let compiled = renamed(&plain, |name| name.replacen("base.", "base._orig_mod.", 1));
    let found = one(&compiled, Wanted::Any);
    assert_eq!((found.differences.count(), found.wrappers), (0, vec!["_orig_mod".to_string()]));
    let sharded = renamed(&plain, |name| {
        let (layer, leaf) = name.rsplit_once('.').unwrap();
        format!("_fsdp_wrapped_module.{layer}._fsdp_wrapped_module.{leaf}")
    });
    let found = one(&sharded, Wanted::Any);
    assert_eq!((found.differences.count(), found.prefix.as_str()), (0, ""));
    assert_eq!(found.params[0].key, "_fsdp_wrapped_module.base.0.conv._fsdp_wrapped_module.weight");
}

/// A name that only differs by a wrapper is another tensor: both files below have a tensor outside the network.
#[test]
fn a_tensor_with_the_name_of_another_but_for_a_wrapper_is_left_out() {
    let network = tensors(&Config::from(Variant::HarDNet39Ds).with_classes(7), Scheme::PyTorch);
    let mut file = prefixed(&network, "net._orig_mod.");
    file.push(other("net.base.0.norm.bias", &[24]));
    let found = one(&file, Wanted::Any);
    assert_eq!((found.prefix.as_str(), found.differences.count()), ("net._orig_mod.", 0));
    assert_eq!(left_out(&file, &found.prefix), ["net.base.0.norm.bias"]);
    let chosen = recognize(&file, Wanted::Any, Some("net._orig_mod")).unwrap();
    assert_eq!((chosen[0].prefix.as_str(), chosen[0].differences.count()), ("net._orig_mod.", 0));
}

/// A Lightning module with a loss network, an average with its counter, a segmentation network with a decoder.
#[test]
fn a_file_that_holds_more_gives_the_part_that_fits() {
    let network = tensors(&Config::from(Variant::HarDNet39Ds).with_classes(7), Scheme::PyTorch);
    let mut file = vec![other("criterion.0.conv.weight", &[64, 3, 3, 3]), other("n_averaged", &[])];
    file.extend(prefixed(&network, "model."));
    file.extend([other("teacher.fc.weight", &[10, 512]), other("model_2.base.0.conv.weight", &[24, 3, 3, 3])]);
    let found = one(&file, Wanted::Any);
    assert_eq!((found.prefix.as_str(), found.differences.count()), ("model.", 0));
    let names = ["criterion.0.conv.weight", "teacher.fc.weight", "model_2.base.0.conv.weight"];
    assert_eq!(left_out(&file, &found.prefix), names);

    let mut average = vec![other("n_averaged", &[])];
    average.extend(prefixed(&network, "module."));
    let found = one(&average, Wanted::Any);
    assert_eq!((found.prefix.as_str(), found.differences.count()), ("module.", 0));
    assert!(left_out(&average, "module.").is_empty());

    let mut whole = tensors(&Config::fc_hardnet70_encoder(), Scheme::PyTorch);
    whole.push(other("denseBlocksUp.0.layers.0.conv.weight", &[24, 267, 3, 3]));
    let found = one(&whole, Wanted::Any);
    assert_eq!((found.prefix.as_str(), &found.config), ("base.", &Config::fc_hardnet70_encoder()));
    assert_eq!((found.scheme, found.differences.count()), (Scheme::Bare, 0));
}

/// A classifier with a layer more than HarDNet has is another network, which nobody must take for one.
#[test]
fn a_layer_beside_base_is_not_left_out_of_a_classifier() {
    for prefix in ["", "model."] {
        let mut file = prefixed(&tensors(&Config::from(Variant::HarDNet39Ds), Scheme::PyTorch), prefix);
        file.push(other(&format!("{prefix}attention.weight"), &[8, 8]));
        let found = one(&file, Wanted::Any);
        assert_eq!(found.differences.unexpected, [format!("{prefix}attention.weight")]);
        assert_eq!(found.differences.count(), 1);
    }
}

#[test]
fn parts_that_fit_are_told_apart_by_the_caller() {
    let student = tensors(&Config::from(Variant::HarDNet39Ds), Scheme::PyTorch);
    let teacher = tensors(&Config::from(Variant::HarDNet68), Scheme::Bare);
    let file = [prefixed(&student, "z.student."), prefixed(&teacher, "teacher.")].concat();
    let prefixes = |found: &[Recognized]| found.iter().map(|found| found.prefix.clone()).collect::<Vec<_>>();
    assert_eq!(prefixes(&recognize(&file, Wanted::Any, None).unwrap()), ["z.student.", "teacher."]);
    for prefix in ["teacher", "teacher.", "module.teacher."] {
        let found = recognize(&file, Wanted::Any, Some(prefix)).unwrap();
        assert_eq!((found.len(), found[0].config.variant()), (1, Some(Variant::HarDNet68)), "{prefix}");
        assert_eq!((found[0].differences.count(), found[0].scheme), (0, Scheme::Bare));
    }
    assert_eq!(recognize(&file, Wanted::Any, Some("teach")).unwrap(), []);
    let config = Config::from(Variant::HarDNet68);
    assert_eq!(prefixes(&recognize(&file, Wanted::Config(&config), None).unwrap()), ["teacher."]);
}

#[test]
fn a_flaw_below_a_prefix_is_found_there() {
    let mut file = prefixed(&tensors(&Config::from(Variant::HarDNet39Ds), Scheme::PyTorch), "net.");
    file.remove(7);
    file.push(other("loss.weight", &[3]));
    let found = one(&file, Wanted::Any);
    assert_eq!((found.prefix.as_str(), found.differences.count()), ("net.", 1));
    assert!(found.differences.missing[0].starts_with("net.base."), "{:?}", found.differences);
}

/// The work grows with the file: as many parts as there are tensors, and parts within parts.
#[test]
fn hostile_names_take_no_longer_than_their_length() {
    let convs = |name: String| other(&format!("{name}.0.conv.weight"), &[8, 3, 3, 3]);
    let wide: Vec<_> = (0..20_000).map(|at| convs(format!("part{at}"))).collect();
    assert!(one(&wide, Wanted::Any).differences.count() > 0);
    let deep: Vec<_> = (1..500).map(|depth| convs(vec!["0"; depth].join("."))).collect();
    assert!(one(&deep, Wanted::Any).differences.count() > 0);
    let small = |at: usize| {
        let block =
            BlockConfig { layers: 2, growth: 8, multiplier: 1.7, dropout: None, transition: 8, downsample: false };
        let stem = Config::from(Variant::HarDNet68).stem;
        prefixed(&tensors(&Config::new(3, stem, vec![block]), Scheme::Bare), &format!("part{at}."))
    };
    let many: Vec<_> = (0..500).flat_map(small).collect();
    assert_eq!(recognize(&many, Wanted::Any, None).unwrap().len(), 500);
}

/// A network that metadata or the caller describe is compared as it is, and nothing is assumed.
#[test]
fn a_described_network_is_the_one_compared_with() {
    let mut config = Config::from(Variant::HarDNet68).with_classes(4);
    (config.activation, config.downsample) = (Activation::Relu, Downsample::AveragePool);
    config.blocks.truncate(3);
    for scheme in [Scheme::PyTorch, Scheme::Notebook] {
        let file = prefixed(&tensors(&config, scheme), "model.");
        let guessed = one(&file, Wanted::Any);
        assert_eq!((guessed.differences.count(), guessed.config.activation), (0, Activation::Relu6));
        assert!(!guessed.assumed.is_empty());
        let other_classes = config.clone().with_classes(9);
        let found = one(&file, Wanted::Config(&other_classes));
        assert_eq!((&found.config, found.differences.count(), found.assumed.len()), (&config, 0, 0), "{scheme}");
    }
    let file = tensors(&config, Scheme::PyTorch);
    assert_eq!(one(&file, Wanted::Stored(&config.clone().with_classes(9))).differences.misshaped.len(), 2);
}
