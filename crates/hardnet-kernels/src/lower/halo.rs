//! The halo of every map: zeros that the windows of its readers reach into.
//!
//! A layer that reads several maps reads all of them at the same steps from pixel to pixel, so their halos must be
//! alike; one of them may have another reader whose windows reach further, or other neighbors. [`fit`] widens halos
//! until all are satisfied.

use hardnet_graph::Padding;

use crate::map::{Halo, Shape};

/// A layer's demand on some maps: at least `halo` around each, and the same around all.
#[derive(Debug)]
pub(crate) struct Demand {
    pub(crate) maps: Vec<usize>,
    pub(crate) halo: Halo,
}

/// The least halos, of maps of these sizes, that satisfy all demands.
pub(crate) fn fit(sizes: impl Iterator<Item = Shape>, demands: &[Demand]) -> Vec<Halo> {
    let mut halos: Vec<Halo> =
        sizes.map(|size| Halo { down: size.height, right: size.width, ..Halo::default() }).collect();
    // Halos only grow, and few maps share readers: this ends after a few rounds.
    loop {
        let before = halos.clone();
        for Demand { maps, halo } in demands {
            let union = maps.iter().map(|&map| halos[map]).fold(*halo, Halo::union);
            maps.iter().for_each(|&map| halos[map] = union);
        }
        if halos == before {
            return halos;
        }
    }
}

/// The halo of an input whose windows make a map of `output`.
pub(crate) fn reach(output: Shape, kernel: usize, stride: usize, padding: Padding) -> Halo {
    Halo {
        top: padding.top,
        left: padding.left,
        down: ((output.height - 1) * stride + kernel).saturating_sub(padding.top),
        right: ((output.width - 1) * stride + kernel).saturating_sub(padding.left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_that_share_readers_have_one_halo() {
        let size = Shape { channels: 8, height: 4, width: 4 };
        let demand = |maps: &[usize], padding| Demand {
            maps: maps.to_vec(),
            halo: reach(size, 2 * padding + 1, 1, Padding::all(padding)),
        };
        // Maps 0 and 1 are read together, and 1 and 2 by larger windows.
        let halos = fit([size; 4].into_iter(), &[demand(&[0, 1], 1), demand(&[1, 2], 2)]);
        let wide = Halo { top: 2, left: 2, down: 6, right: 6 };
        assert_eq!(halos, [wide, wide, wide, Halo { top: 0, left: 0, down: 4, right: 4 }]);
    }
}
