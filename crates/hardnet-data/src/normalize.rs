//! From rows of 8-bit samples to the planes of a tensor.

use crate::image::Channels;

/// A tensor `[3, rows, columns]` in the making: each row of samples is written to its three planes at once.
pub(crate) struct TensorWriter<'a> {
    channels: Channels,
    /// The value of each of the 256 levels of red, green and blue.
    levels: [[f32; 256]; 3],
    planes: [&'a mut [f32]; 3],
}

impl<'a> TensorWriter<'a> {
    /// Prepares to write rows of `channels` to `out`, three planes of one length.
    pub(crate) fn new(mean: [f32; 3], std: [f32; 3], channels: Channels, out: &'a mut [f32]) -> Self {
        // The operations and their order are torchvision's, so the bits are.
        let levels =
            |channel: usize| std::array::from_fn(|level| (level as f32 / 255.0 - mean[channel]) / std[channel]);
        let (red, rest) = out.split_at_mut(out.len() / 3);
        let (green, blue) = rest.split_at_mut(rest.len() / 2);
        Self { channels, levels: [levels(0), levels(1), levels(2)], planes: [red, green, blue] }
    }

    /// Writes row `index`; every row has the same length.
    pub(crate) fn write(&mut self, index: usize, samples: &[u8]) {
        let columns = samples.len() / self.channels.count();
        let [red, green, blue] = self.planes.each_mut().map(|plane| &mut plane[index * columns..][..columns]);
        let values = red.iter_mut().zip(green).zip(blue);
        let [reds, greens, blues] = &self.levels;
        match self.channels {
            Channels::Gray => {
                for (((red, green), blue), &gray) in values.zip(samples) {
                    let level = usize::from(gray);
                    (*red, *green, *blue) = (reds[level], greens[level], blues[level]);
                }
            }
            Channels::Rgb => {
                for (((red, green), blue), &[r, g, b]) in values.zip(samples.as_chunks().0) {
                    *red = reds[usize::from(r)];
                    *green = greens[usize::from(g)];
                    *blue = blues[usize::from(b)];
                }
            }
        }
    }
}
