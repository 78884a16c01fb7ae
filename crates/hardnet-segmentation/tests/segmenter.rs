//! The segmenter around a network of a few lines.

use std::error::Error;
use std::sync::Arc;

use hardnet_data::{Image, Sample, encode_png};
use hardnet_graph::Alignment;
use hardnet_segmentation::{
    ComputeScores, Confusion, IGNORED, InputSize, InputTensor, Item, LabelTable, LoadError, LoadOptions, Mask,
    MaskReader, Protocol, Scores, Segmenter, Views, scenes,
};

/// A network that sees three classes in blocks of four pixels: the channel that is largest.
struct Channels;

impl ComputeScores for Channels {
    fn classes(&self) -> usize {
        3
    }

    fn alignment(&self) -> Alignment {
        Alignment::HalfPixel
    }

    fn scores(&self, input: &InputTensor) -> Result<Scores, Box<dyn Error + Send + Sync>> {
        let InputTensor { width, height, values, .. } = input;
        if *width < 4 || *height < 4 {
            return Err("the input is too small".into());
        }
        let (columns, rows) = (width / 4, height / 4);
        let mean = |class: usize, x: usize, y: usize| {
            let pixels = (0..16).map(|i| values[(class * height + 4 * y + i / 4) * width + 4 * x + i % 4]);
            pixels.sum::<f32>() / 16.0
        };
        let places = (0..3 * rows * columns).map(|i| (i / (rows * columns), i / columns % rows, i % columns));
        Ok(Scores::new(3, columns, rows, places.map(|(class, y, x)| mean(class, x, y)).collect())?)
    }
}

/// Three stripes: red, green, blue.
fn stripes(width: usize, height: usize) -> Image {
    let color = |x: usize| [[255, 9, 9], [9, 255, 9], [9, 9, 255]][3 * x / width];
    Image::from_rgb8(width, height, (0..width * height).flat_map(|i| color(i % width)).collect()).unwrap()
}

fn truth(width: usize, height: usize) -> Mask {
    Mask::new(width, height, (0..width * height).map(|i| (3 * (i % width) / width) as u8).collect()).unwrap()
}

fn segmenter() -> Segmenter {
    Segmenter::builder()
        .protocol(Protocol::paddleseg())
        .names(["red", "green", "blue"])
        .threads(2)
        .from_network(Channels, "channels")
        .unwrap()
}

#[test]
fn an_image_is_segmented_in_its_own_size() {
    let image = stripes(48, 20);
    let found = segmenter().segment(&image).unwrap();
    assert_eq!(found.mask, truth(48, 20));
    let areas: Vec<_> = found.areas().iter().map(|area| (area.name, area.pixels)).collect();
    assert_eq!(areas, [("red", 320), ("green", 320), ("blue", 320)]);
    let file = encode_png(&image).unwrap();
    assert_eq!(segmenter().segment(&file).unwrap().mask, found.mask);
    // Blue comes first in FC-HarDNet's protocol, so that this network mistakes red for blue.
    let fchardnet = Segmenter::builder().size(InputSize::Image).from_network(Channels, "channels").unwrap();
    assert_eq!(fchardnet.segment(&image).unwrap().mask, truth(48, 20).mirrored());
}

#[test]
fn another_input_size_gives_a_mask_of_the_image_all_the_same() {
    let image = stripes(96, 40);
    let half = Segmenter::builder()
        .protocol(Protocol::paddleseg().with_size(InputSize::Fixed { width: 48, height: 20 }))
        .from_network(Channels, "channels")
        .unwrap();
    let mask = half.segment(&image).unwrap().mask;
    assert_eq!((mask.width(), mask.height()), (96, 40));
    let wrong = mask.labels().iter().zip(truth(96, 40).labels()).filter(|(found, truth)| found != truth).count();
    assert!(wrong * 100 < 96 * 40 * 3, "{wrong} pixels at the edges");
}

#[test]
fn views_agree_on_an_image_that_is_its_own_mirror_image_but_for_colors() {
    let views = Views::default().scales([0.5, 1.0, 1.5]).flip(true);
    for protocol in [Protocol::paddleseg(), Protocol::fchardnet().with_size(InputSize::Image)] {
        let several = Segmenter::builder().protocol(protocol.clone()).views(views.clone());
        let several = several.from_network(Channels, "channels").unwrap();
        let one = Segmenter::builder().protocol(protocol).from_network(Channels, "channels").unwrap();
        let (image, count) = (stripes(96, 32), 96 * 32);
        let (found, expected) = (several.segment(&image).unwrap().mask, one.segment(&image).unwrap().mask);
        let differ = found.labels().iter().zip(expected.labels()).filter(|(a, b)| a != b).count();
        assert!(differ * 20 < count, "{differ} of {count}");
    }
}

#[test]
fn figures_are_compared_in_the_size_of_the_protocol() {
    let (image, mut mask) = (stripes(48, 20), truth(48, 20).into_labels());
    mask[0] = IGNORED;
    let mask = Mask::new(48, 20, mask).unwrap();
    let mut confusion = Confusion::new(3);
    let own = segmenter();
    let compared = own.compare(&own.prepare(&image).unwrap(), &mask, &mut confusion).unwrap();
    assert_eq!((compared.truth, confusion.total(), confusion.correct()), (mask.clone(), 959, 959));
    let doubled = Segmenter::builder()
        .protocol(Protocol::fchardnet().with_size(InputSize::Fixed { width: 96, height: 40 }))
        .from_network(Channels, "channels")
        .unwrap();
    let mut confusion = Confusion::new(3);
    let compared = doubled.compare(&doubled.prepare(&image).unwrap(), &mask, &mut confusion).unwrap();
    assert_eq!((compared.prediction.width(), compared.truth.width(), confusion.total()), (96, 96, 96 * 40 - 4));
    let error = own.compare(&own.prepare(&image).unwrap(), &truth(20, 48), &mut confusion).unwrap_err();
    assert_eq!(error.to_string(), "the mask has 20x48 pixels, its image 48x20");
}

#[test]
fn a_builder_checks_what_it_is_given() {
    let error = |builder: hardnet_segmentation::SegmenterBuilder| {
        builder.from_network(Channels, "channels").map(drop).unwrap_err().to_string()
    };
    assert_eq!(error(Segmenter::builder().names(["a", "b"])), "`channels` has 3 classes, found names or colors of 2");
    assert!(error(Segmenter::builder().views(Views::default().scales([0.0]))).starts_with("the scale 0"));
    let size = InputSize::Fixed { width: 0, height: 4 };
    assert!(error(Segmenter::builder().size(size)).starts_with("an input of `0x4` pixels"));
    let small = segmenter().segment(stripes(3, 9)).unwrap_err();
    assert_eq!(small.to_string(), "the input is too small");
}

#[test]
fn items_come_in_order_and_failures_cost_only_themselves() {
    let folder = tempfile::tempdir().unwrap();
    let reader = Arc::new(MaskReader::new(LabelTable::indices(5)));
    let mut items = Vec::new();
    for index in 0..5 {
        let scene = scenes::draw(1, index, 40 + index as usize, 24);
        let (image, mask) = (folder.path().join(format!("{index}.png")), folder.path().join(format!("m{index}.png")));
        std::fs::write(&image, encode_png(&scene.image).unwrap()).unwrap();
        std::fs::write(&mask, scene.mask.encode_png()).unwrap();
        items.push(Item::new(Sample::new(image, None, "")).with_mask(mask, Arc::clone(&reader)));
    }
    std::fs::write(folder.path().join("1.png"), "not an image").unwrap();
    std::fs::write(folder.path().join("m2.png"), truth(3, 3).encode_png()).unwrap();
    std::fs::remove_file(folder.path().join("m3.png")).unwrap();
    for workers in [0, 1, 3] {
        let loading = segmenter().load_items(items.clone(), LoadOptions::default().workers(workers));
        let all: Vec<_> = loading.collect();
        assert_eq!(all.len(), 5);
        for index in [0, 4] {
            let loaded = all[index].as_ref().unwrap();
            let scene = scenes::draw(1, index as u32, 40 + index, 24);
            assert_eq!((&loaded.image, loaded.truth.as_ref()), (&scene.image, Some(&scene.mask)));
        }
        assert!(matches!(&all[1], Err(LoadError::Decode { path, .. }) if path.ends_with("1.png")));
        assert!(matches!(&all[2], Err(LoadError::Mask { path, .. }) if path.ends_with("m2.png")));
        assert!(matches!(&all[3], Err(LoadError::Io { path, .. }) if path.ends_with("m3.png")));
    }
}
