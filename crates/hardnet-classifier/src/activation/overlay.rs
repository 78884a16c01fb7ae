//! An activation map drawn over its image.

use hardnet_data::{Channels, Image, Region};

use super::ActivationMap;

/// Colors of shares from 0 to the largest, evenly spaced.
const COLORS: [[f32; 3]; 5] =
    [[40.0, 30.0, 120.0], [30.0, 120.0, 220.0], [60.0, 200.0, 120.0], [250.0, 210.0, 50.0], [235.0, 40.0, 30.0]];

/// Opacity of the color of the largest share.
const OPACITY: f32 = 0.65;

/// Brightness of what the network does not see.
const UNSEEN: f32 = 0.45;

/// Draws `map` over the part `region` of `image`: what speaks for the class is colored, from blue to red where the
/// share is the largest, and what the network does not see is dark.
pub(super) fn draw(map: &ActivationMap, image: &Image, region: Region) -> Image {
    let largest = map.values.iter().copied().fold(0.0_f32, f32::max);
    let (width, height, channels) = (image.width(), image.height(), image.channels().count());
    let mut samples = Vec::with_capacity(3 * width * height);
    for (index, pixel) in image.samples().chunks_exact(channels).enumerate() {
        let place = |at: usize, start: f64, length: f64| ((at as f64 + 0.5 - start) / length) as f32;
        let x = place(index % width, region.left, region.width);
        let y = place(index / width, region.top, region.height);
        let level = |channel: usize| f32::from(pixel[channel.min(channels - 1)]);
        if !(0.0..=1.0).contains(&x) || !(0.0..=1.0).contains(&y) {
            samples.extend((0..3).map(|channel| (UNSEEN * level(channel)).round() as u8));
            continue;
        }
        let share = if largest > 0.0 { (map.at(x, y) / largest).clamp(0.0, 1.0) } else { 0.0 };
        let (color, opacity) = (color(share), OPACITY * share.sqrt());
        let blend = |channel: usize| level(channel) + opacity * (color[channel] - level(channel));
        samples.extend((0..3).map(|channel| blend(channel).round() as u8));
    }
    Image::new(width, height, Channels::Rgb, samples).expect("it has three samples for each pixel of an image")
}

fn color(share: f32) -> [f32; 3] {
    let at = share * (COLORS.len() - 1) as f32;
    let first = (at as usize).min(COLORS.len() - 2);
    let rest = at - first as f32;
    std::array::from_fn(|channel| {
        let (from, to) = (COLORS[first][channel], COLORS[first + 1][channel]);
        from + rest * (to - from)
    })
}

#[cfg(test)]
mod tests {
    use hardnet_data::Pipeline;

    use super::*;

    #[test]
    fn the_largest_share_is_red_the_rest_as_it_was_and_the_unseen_dark() {
        let image = Image::new(100, 50, Channels::Gray, vec![100; 100 * 50]).unwrap();
        let region = Pipeline::pil_bilinear().with_crop_pct(1.0).unwrap().region((100, 50));
        let map = ActivationMap { class: 1, rows: 2, columns: 2, values: vec![5.0, -1.0, -2.0, -3.0] };
        let drawn = draw(&map, &image, region);
        let pixel = |x: usize, y: usize| &drawn.samples()[3 * (y * 100 + x)..][..3];
        // 100 + 0.65 * ([235, 40, 30] - 100)
        assert_eq!(pixel(25, 0), [188, 61, 55]);
        assert_eq!((pixel(74, 49), pixel(25, 49)), (&[100; 3][..], &[100; 3][..]));
        assert_eq!((pixel(24, 0), pixel(75, 0)), (&[45; 3][..], &[45; 3][..]));
        let nothing = ActivationMap { values: vec![-1.0; 4], ..map };
        assert_eq!(draw(&nothing, &image, region).samples()[3 * 50..][..3], [100; 3]);
    }
}
