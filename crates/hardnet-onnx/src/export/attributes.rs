//! Constants of operations.

use hardnet_graph::{Padding, Pool, PoolKind};

use crate::error::{Error, Result};
use crate::model::Attribute;

type Named = (String, Attribute<'static>);

pub(super) fn int(name: &str, number: usize) -> Named {
    (name.into(), Attribute::Int(number as i64))
}

pub(super) fn ints(name: &str, numbers: &[usize]) -> Named {
    (name.into(), Attribute::Ints(numbers.iter().map(|&number| number as i64).collect()))
}

/// Rows and columns before the map, then those after it.
pub(super) fn pads(padding: Padding) -> Named {
    ints("pads", &[padding.top, padding.left, padding.bottom, padding.right])
}

/// The operator and the constants of the pool `layer`.
pub(super) fn pool(layer: &str, pool: &Pool) -> Result<(&'static str, Vec<Named>)> {
    let mut attributes =
        vec![ints("kernel_shape", &[pool.kernel; 2]), pads(pool.padding), ints("strides", &[pool.stride; 2])];
    if pool.ceil {
        attributes.insert(0, int("ceil_mode", 1));
    }
    match pool.kind {
        PoolKind::Max => Ok(("MaxPool", attributes)),
        PoolKind::Average if pool.ceil => {
            let reason = "programs disagree on the mean of a last window that reaches beyond the padding";
            Err(Error::Unsupported { layer: layer.into(), reason })
        }
        PoolKind::Average => {
            // Zeros of the padding count, as in PyTorch.
            attributes.insert(0, int("count_include_pad", 1));
            Ok(("AveragePool", attributes))
        }
    }
}
