//! Segmentation networks on the native engine.

use hardnet_classifier::Precision;
use hardnet_data::Image;
use hardnet_graph::{Config, Graph, SegmentationVariant};
use hardnet_params::synthetic::{self, Synthetic};
use hardnet_params::{Metadata, Quantization, WeightsOptions, write_quantized};
use hardnet_quantize::{QuantizeOptions, quantize};
use hardnet_segmentation::{Error, InputSize, Merge, Protocol, Segmenter, View, Views};
use hardnet_testing::weights_file::{self, Encoding};

fn image(width: usize, height: usize) -> Image {
    let level = |i: usize| (i * 31 % 251) as u8 ^ (i / 97) as u8;
    Image::from_rgb8(width, height, (0..3 * width * height).map(level).collect()).unwrap()
}

fn segmenter(variant: SegmentationVariant, classes: usize, views: Views) -> Segmenter {
    let metadata = Metadata::new(Config::from(variant).with_classes(classes));
    let builder = Segmenter::builder().size(InputSize::Image).threads(2).views(views);
    builder.from_parameters(&metadata, &Synthetic).unwrap()
}

#[test]
fn both_networks_take_images_of_any_size() {
    for variant in SegmentationVariant::ALL {
        let segmenter = segmenter(variant, 19, Views::default());
        let stride = if variant == SegmentationVariant::PaddleSeg { 2 } else { 4 };
        let own = if variant == SegmentationVariant::PaddleSeg { "paddleseg" } else { "fchardnet" };
        let name = segmenter.protocol().clone().with_size(own.parse::<Protocol>().unwrap().size).name();
        assert_eq!(name, Some(own));
        assert!(segmenter.classes().are_cityscapes());
        for (width, height) in [(64, 64), (97, 61), (64, 64), (83, 70), (128, 64)] {
            let image = image(width, height);
            let found = segmenter.segment(&image).unwrap();
            assert_eq!((found.mask.width(), found.mask.height()), (width, height));
            let input = segmenter.protocol().input(&image).unwrap();
            let scores = segmenter.logits(&input).unwrap();
            assert_eq!((scores.width(), scores.height()), (width.div_ceil(stride), height.div_ceil(stride)));
            let alignment = Config::from(variant).decoder.unwrap().alignment();
            let merge = Merge::new(alignment, (width, height));
            assert_eq!(merge.classes(&[View::new(scores, (width, height))]), found.mask);
        }
    }
}

#[test]
fn scales_and_mirrored_views_run() {
    let views = Views::default().scales([0.75, 1.0, 1.25, 1.5]).flip(true);
    for variant in SegmentationVariant::ALL {
        let found = segmenter(variant, 5, views.clone()).segment(image(90, 82)).unwrap();
        assert_eq!((found.mask.width(), found.mask.height()), (90, 82));
        assert!(found.mask.labels().iter().all(|label| *label < 5));
    }
}

#[test]
fn threads_share_a_segmenter() {
    let segmenter = segmenter(SegmentationVariant::FcHarDNet70, 3, Views::default());
    let expected = segmenter.segment(image(64, 64)).unwrap().mask;
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (segmenter, expected) = (segmenter.clone(), &expected);
            scope.spawn(move || assert_eq!(segmenter.segment(image(64, 64)).unwrap().mask, *expected));
        }
    });
}

/// The share of pixels of the same class.
fn agreement(a: &Segmenter, b: &Segmenter, image: &Image) -> f64 {
    let (a, b) = (a.segment(image).unwrap().mask, b.segment(image).unwrap().mask);
    let same = a.labels().iter().zip(b.labels()).filter(|(a, b)| a == b).count();
    same as f64 / a.labels().len() as f64
}

#[test]
fn networks_in_integers_take_images_of_any_size_and_agree_with_floating_point() {
    let folder = tempfile::tempdir().unwrap();
    for variant in SegmentationVariant::ALL {
        let mut metadata = Metadata::new(Config::from(variant).with_classes(4));
        let builder = || Segmenter::builder().size(InputSize::Image).threads(2);
        let floats = builder().from_parameters(&metadata, &Synthetic).unwrap();
        let on_the_fly = builder().precision(Precision::Int8).from_parameters(&metadata, &Synthetic).unwrap();
        let quantized = quantize(&Graph::new(&metadata.config).unwrap(), &Synthetic, &QuantizeOptions::default());
        let path = folder.path().join("int8.safetensors");
        metadata.quantization = Some(Quantization::new("without images", 0));
        write_quantized(&metadata, &quantized.unwrap(), std::fs::File::create(&path).unwrap()).unwrap();
        let stored = builder().load(&path).unwrap();
        for (width, height) in [(64, 64), (97, 61), (64, 64), (83, 70), (128, 64)] {
            let image = image(width, height);
            let input = floats.protocol().input(&image).unwrap();
            let [a, b, c] = [&floats, &on_the_fly, &stored].map(|segmenter| segmenter.logits(&input).unwrap());
            assert!(b == c && a != b);
            let same = agreement(&floats, &stored, &image);
            assert!(same > 0.9, "{variant:?} {width}x{height}: {same}");
        }
        let error = builder().precision(Precision::F32).load(&path).unwrap_err();
        assert!(error.to_string().contains("8-bit integers"), "{error}");
    }
}

#[test]
fn a_classifier_is_not_a_segmentation_network() {
    let metadata = Metadata::new(Config::from(hardnet_graph::Variant::HarDNet39Ds));
    let error = Segmenter::builder().from_parameters(&metadata, &Synthetic).unwrap_err();
    assert_eq!(error.to_string(), "`parameters in memory` is not a segmentation network");
}

#[test]
fn weights_are_found_by_their_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("street.safetensors");
    let mut config = Config::from(SegmentationVariant::FcHarDNet70).with_classes(5);
    config.blocks.truncate(2);
    let metadata = serde_json::to_string(&Metadata::new(config.clone())).unwrap();
    let bytes = weights_file::safetensors(synthetic::parameters(&config).unwrap(), Encoding::F32, Some(&metadata));
    std::fs::write(&path, bytes).unwrap();
    let segmenter = Segmenter::from_pretrained(path.to_str().unwrap()).unwrap();
    assert_eq!((segmenter.classes().names.len(), segmenter.protocol().name()), (5, Some("fchardnet")));
    let options = WeightsOptions::default().prefix("teacher");
    let error = Segmenter::builder().weights_options(options).from_pretrained(path.to_str().unwrap()).unwrap_err();
    assert!(matches!(error, Error::Weights(_)), "{error}");
    assert!(matches!(Segmenter::from_pretrained("hf://a"), Err(Error::Weights(_))));
}

#[test]
fn an_input_that_is_too_small_says_what_is_needed() {
    let segmenter = segmenter(SegmentationVariant::FcHarDNet70, 19, Views::default());
    let error = segmenter.segment(image(60, 200)).unwrap_err();
    assert_eq!(error.least_side(), Some(61), "{error}");
    assert!(segmenter.segment(image(61, 61)).is_ok());
}
