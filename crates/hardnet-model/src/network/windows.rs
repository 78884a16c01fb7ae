//! Depthwise convolutions, max pooling and average pooling on Candle: the reference that the kernels of
//! `hardnet-kernels` (`ops/depthwise.rs`, `ops/pool.rs`) are tested against.
//!
//! They are arithmetic on shifted views of the padded map.
//!
//! Tap `(i, j)` of all windows together is one strided view, without a copy. A depthwise convolution is then nine
//! multiply-adds and a pool nine maxima: operations that every backend has, with their gradients, where a grouped
//! convolution would be one convolution per channel and a pool whose stride is not its kernel has no gradient.

use candle_core::{Result, Tensor};
use hardnet_graph::{Padding, Pool, PoolKind, output_size};

/// The map with `padding` filled with `value`.
pub(super) fn pad(x: &Tensor, padding: Padding, value: f64) -> Result<Tensor> {
    let x = pad_dim(x, 2, padding.top, padding.bottom, value)?;
    pad_dim(&x, 3, padding.left, padding.right, value)
}

fn pad_dim(x: &Tensor, dim: usize, before: usize, after: usize, value: f64) -> Result<Tensor> {
    let fill = |size: usize| {
        let mut shape = x.dims().to_vec();
        shape[dim] = size;
        (Tensor::zeros(shape, x.dtype(), x.device())? + value)?.contiguous()
    };
    match (before, after) {
        (0, 0) => Ok(x.clone()),
        (_, 0) => Tensor::cat(&[&fill(before)?, x], dim),
        (0, _) => Tensor::cat(&[x, &fill(after)?], dim),
        _ => Tensor::cat(&[&fill(before)?, x, &fill(after)?], dim),
    }
}

/// The taps of all windows: for each of the `kernel * kernel` positions in rows, a view `[N, C, rows, columns]`.
fn taps(x: &Tensor, kernel: usize, stride: usize, padding: Padding, value: f64) -> Result<Vec<Tensor>> {
    let (n, c, height, width) = x.dims4()?;
    // The padded map is cut or filled to whole strides, so that a phase is an index of a dimension of its own.
    let (rows, columns) = output_size((height, width), (kernel, kernel), stride, padding);
    if rows == 0 || columns == 0 {
        candle_core::bail!("a map of {height}x{width} padded by {padding:?} has no window of {kernel}x{kernel}");
    }
    let fill = |windows: usize, padded: usize| {
        let phases = windows + (kernel - 1) / stride;
        (phases, (phases * stride).saturating_sub(padded))
    };
    let (row_phases, more_rows) = fill(rows, height + padding.top + padding.bottom);
    let (column_phases, more_columns) = fill(columns, width + padding.left + padding.right);
    let padding = Padding { bottom: padding.bottom + more_rows, right: padding.right + more_columns, ..padding };
    let phased = pad(x, padding, value)?
        .narrow(2, 0, row_phases * stride)?
        .narrow(3, 0, column_phases * stride)?
        .contiguous()?
        .reshape((n, c, row_phases, stride, column_phases, stride))?;
    let mut taps = Vec::with_capacity(kernel * kernel);
    for i in 0..kernel {
        let rows = phased.narrow(2, i / stride, rows)?.narrow(3, i % stride, 1)?;
        for j in 0..kernel {
            let tap = rows.narrow(4, j / stride, columns)?.narrow(5, j % stride, 1)?;
            taps.push(tap.squeeze(5)?.squeeze(3)?);
        }
    }
    Ok(taps)
}

/// Convolves every channel of `x`, `[N, C, H, W]`, with its own kernel of `weight`, `[C, 1, k, k]`.
pub(super) fn depthwise(x: &Tensor, weight: &Tensor, stride: usize, padding: Padding) -> Result<Tensor> {
    let (channels, _, kernel, _) = weight.dims4()?;
    let weight = weight.reshape((1, channels, kernel * kernel, 1))?;
    let mut products = taps(x, kernel, stride, padding, 0.0)?
        .into_iter()
        .enumerate()
        .map(|(tap, view)| view.broadcast_mul(&weight.narrow(2, tap, 1)?));
    let first = products.next().expect("a kernel has a tap")?;
    products.try_fold(first, |sum, product| sum + product?)
}

/// Pools every channel of `x`, `[N, C, H, W]`.
pub(super) fn pool(x: &Tensor, pool: &Pool) -> Result<Tensor> {
    if pool.ceil {
        candle_core::bail!("no pools whose windows reach beyond the padding on Candle");
    }
    let (padding, area) = (pool.padding, (pool.kernel * pool.kernel) as f64);
    let fill = match pool.kind {
        PoolKind::Max => f64::NEG_INFINITY,
        PoolKind::Average => 0.0,
    };
    let mut taps = taps(x, pool.kernel, pool.stride, padding, fill)?.into_iter();
    let first = taps.next().expect("a window has a tap");
    match pool.kind {
        PoolKind::Max => taps.try_fold(first, |max, tap| max.maximum(&tap)),
        PoolKind::Average => taps.try_fold(first, |sum, tap| sum + tap)? / area,
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, IndexOp};

    use super::*;

    /// `[2, 3, h, w]` of small whole numbers, exact in any order of summation.
    fn map(height: usize, width: usize) -> Tensor {
        let values: Vec<f32> = (0..6 * height * width).map(|i| (i * 37 % 101) as f32 - 50.0).collect();
        Tensor::from_vec(values, (2, 3, height, width), &Device::Cpu).unwrap()
    }

    /// Folds the taps of one window as a loop over pixels would; `None` is padding.
    fn naive(
        x: &Tensor,
        (kernel, stride, padding): (usize, usize, Padding),
        fold: impl Fn(usize, &[Option<f32>]) -> f32,
    ) -> Vec<f32> {
        let (n, c, height, width) = x.dims4().unwrap();
        let mut out = Vec::new();
        for (image, channel) in (0..n).flat_map(|image| (0..c).map(move |channel| (image, channel))) {
            let plane: Vec<Vec<f32>> = x.i((image, channel)).unwrap().to_vec2().unwrap();
            let fits = |size: usize, before: usize, after: usize| (size + before + after - kernel) / stride + 1;
            for row in 0..fits(height, padding.top, padding.bottom) {
                for column in 0..fits(width, padding.left, padding.right) {
                    let window: Vec<_> = (0..kernel * kernel)
                        .map(|tap| {
                            let y = (row * stride + tap / kernel).checked_sub(padding.top)?;
                            let x = (column * stride + tap % kernel).checked_sub(padding.left)?;
                            plane.get(y)?.get(x).copied()
                        })
                        .collect();
                    out.push(fold(channel, &window));
                }
            }
        }
        out
    }

    const WINDOWS: [(usize, usize, Padding); 6] = [
        (3, 1, Padding::all(1)),
        (3, 2, Padding::all(1)),
        (2, 2, Padding::all(0)),
        (3, 2, Padding::top_left(1)),
        (3, 3, Padding::all(0)),
        (5, 2, Padding { top: 0, bottom: 3, left: 2, right: 1 }),
    ];

    #[test]
    fn depthwise_agrees_with_loops() {
        for window @ (kernel, stride, padding) in WINDOWS {
            for (height, width) in [(5, 5), (6, 9), (13, 8)] {
                let x = map(height, width);
                let count = 3 * kernel * kernel;
                let weight: Vec<f32> = (0..count).map(|i| (i * 5 % 11) as f32 - 5.0).collect();
                let expected = naive(&x, window, |channel, taps| {
                    let weight = &weight[channel * kernel * kernel..];
                    taps.iter().zip(weight).map(|(tap, w)| tap.unwrap_or(0.0) * w).sum()
                });
                let weight = Tensor::from_vec(weight.clone(), (3, 1, kernel, kernel), &Device::Cpu).unwrap();
                let found = depthwise(&x, &weight, stride, padding).unwrap().flatten_all().unwrap();
                assert_eq!(found.to_vec1::<f32>().unwrap(), expected, "{window:?} on {height}x{width}");
            }
        }
    }

    #[test]
    fn pools_agree_with_loops() {
        for window @ (kernel, stride, padding) in WINDOWS {
            for (height, width) in [(5, 5), (6, 9), (13, 8)] {
                let x = map(height, width);
                for kind in [PoolKind::Max, PoolKind::Average] {
                    let expected = naive(&x, window, |_, taps| match kind {
                        PoolKind::Max => taps.iter().flatten().copied().fold(f32::NEG_INFINITY, f32::max),
                        PoolKind::Average => taps.iter().flatten().sum::<f32>() / (kernel * kernel) as f32,
                    });
                    let found =
                        pool(&x, &Pool::new(kind, kernel, stride).padding(padding)).unwrap().flatten_all().unwrap();
                    let found = found.to_vec1::<f32>().unwrap();
                    let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
                    assert_eq!(found.len(), expected.len());
                    assert!(worst < 1e-5, "{kind:?} {window:?} on {height}x{width}: {worst}");
                }
            }
        }
    }
}
