//! Scenes that the program draws itself, with their masks: a demonstration without download.
//!
//! Sky and ground meet at a horizon, and disks, boxes and triangles of any color stand before them. Color alone tells
//! sky from ground and nothing else, so that a network has to learn shapes. A line around each shape belongs to no
//! class, as in data sets that people label.

use hardnet_data::{Image, Purpose, RandomStream};

use crate::mask::{IGNORED, Mask};

/// The classes of scenes.
pub const CLASSES: [&str; 5] = ["sky", "ground", "disk", "box", "triangle"];

const SKY: u8 = 0;
const GROUND: u8 = 1;

/// Half of the width of the line around shapes, in pixels.
const OUTLINE: f64 = 0.75;

/// An image and the class of each of its pixels.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Scene {
    /// The image.
    pub image: Image,
    /// The class of each pixel.
    pub mask: Mask,
}

/// A convex shape.
struct Shape {
    /// Index of its class.
    class: u8,
    center: (f64, f64),
    /// Distance from the center to the outline, which a triangle has at its sides.
    radius: f64,
    color: [f64; 3],
}

impl Shape {
    fn random(random: &mut RandomStream, width: f64, height: f64, horizon: f64) -> Self {
        let class = 2 + random.below(3) as u8;
        let radius = height * random.between(0.1, 0.24);
        // Shapes stand on the ground or float before the sky.
        let center = (random.between(0.0, width), random.between(horizon - 0.35 * height, 0.95 * height));
        Self { class, center, radius, color: [0; 3].map(|_| random.between(30.0, 225.0)) }
    }

    /// How far a point is outside, in pixels; negative inside.
    fn distance(&self, x: f64, y: f64) -> f64 {
        let (x, y) = (x - self.center.0, y - self.center.1);
        match self.class {
            2 => x.hypot(y) - self.radius,
            3 => x.abs().max(y.abs()) - 0.85 * self.radius,
            _ => {
                // The sides of an equilateral triangle that stands on one of them.
                let half = 3.0f64.sqrt() / 2.0;
                y.max(half * x - 0.5 * y).max(-half * x - 0.5 * y) - 0.7 * self.radius
            }
        }
    }
}

/// Draws scene `index` of the scenes of `seed`, always the same. Sides of 0 count as 1.
pub fn draw(seed: u64, index: u32, width: usize, height: usize) -> Scene {
    let (width, height) = (width.max(1), height.max(1));
    let mut random = RandomStream::new(seed, Purpose::Scene, [index, 0]);
    let (columns, rows) = (width as f64, height as f64);
    let horizon = rows * random.between(0.35, 0.65);
    let light = random.between(0.75, 1.1);
    let sky = [random.between(90.0, 150.0), random.between(140.0, 190.0), random.between(200.0, 245.0)];
    let ground = [random.between(90.0, 160.0), random.between(100.0, 150.0), random.between(40.0, 80.0)];
    let shapes: Vec<_> = (0..2 + random.below(5)).map(|_| Shape::random(&mut random, columns, rows, horizon)).collect();
    let (mut samples, mut labels) = (Vec::with_capacity(3 * width * height), Vec::with_capacity(width * height));
    for pixel in 0..width * height {
        let (x, y) = ((pixel % width) as f64 + 0.5, (pixel / width) as f64 + 0.5);
        let (mut label, mut color, mut shade) = if y < horizon {
            (SKY, sky, 1.0 - 0.25 * (1.0 - y / horizon))
        } else {
            (GROUND, ground, 0.8 + 0.3 * (y - horizon) / (rows - horizon))
        };
        for shape in &shapes {
            let distance = shape.distance(x, y);
            if distance < OUTLINE {
                label = if distance > -OUTLINE { IGNORED } else { shape.class };
            }
            if distance < 0.0 {
                (color, shade) = (shape.color, 1.0 - 0.2 * (y - shape.center.1) / shape.radius);
            }
        }
        let noise = random.between(-9.0, 9.0);
        samples.extend(color.map(|level| (level * shade * light + noise).round() as u8));
        labels.push(label);
    }
    let image = Image::from_rgb8(width, height, samples).expect("the samples are those of the size");
    Scene { image, mask: Mask::new(width, height, labels).expect("the labels are those of the size") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scene_depends_on_its_number_alone() {
        let scene = draw(1, 7, 96, 64);
        assert_eq!(draw(1, 7, 96, 64), scene);
        assert!(draw(1, 8, 96, 64) != scene && draw(2, 7, 96, 64) != scene);
        assert_eq!((draw(1, 0, 0, 3).image.width(), draw(1, 0, 5, 0).image.height()), (1, 1));
    }

    #[test]
    fn scenes_have_all_classes_and_few_pixels_without_one() {
        let mut areas = [0; CLASSES.len()];
        let mut total = 0;
        for index in 0..50 {
            let mask = draw(1, index, 96, 64).mask;
            areas.iter_mut().zip(mask.areas(CLASSES.len())).for_each(|(sum, pixels)| *sum += pixels);
            total += mask.labels().len() as u64;
        }
        assert!(areas.iter().all(|&area| area * 100 > 2 * total), "{areas:?} of {total}");
        assert!(areas.iter().sum::<u64>() * 100 > 90 * total, "{areas:?} of {total}");
    }

    #[test]
    fn the_outline_lies_between_a_shape_and_what_is_around_it() {
        let Scene { mask, .. } = draw(1, 3, 96, 64);
        let shape = |label: u8| (2..5).contains(&label);
        for row in mask.labels().chunks_exact(96) {
            for pair in row.windows(2) {
                assert!(!(shape(pair[0]) && pair[1] < 2 || shape(pair[1]) && pair[0] < 2), "{pair:?}");
            }
        }
    }
}
