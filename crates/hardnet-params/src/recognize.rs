//! Recognition of a network by the names and shapes of a file's tensors.

mod assumed;
mod infer;
mod part;
mod table;

use std::collections::{BTreeSet, HashMap};

use hardnet_checkpoint::{Format, TensorInfo};
use hardnet_graph::{Config, Variant};

use crate::error::{Differences, Result};
use crate::scheme::{NamedParam, Scheme};
use crate::values::FloatType;
use part::Names;
use table::{Known, Table};

/// PyTorch's name for the count of batches next to the running statistics of a normalization; inference does not read
/// it.
const COUNTER: &str = "num_batches_tracked";
/// Its name for the count of weights in an average, next to the averaged module.
const AVERAGE_COUNTER: &str = "n_averaged";

/// Name, shape and type of a tensor in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileTensor {
    /// Its name in the file.
    pub(crate) name: String,
    /// Its dimensions.
    pub(crate) shape: Vec<usize>,
    /// The name of its type if its values cannot be read as f32.
    pub(crate) unreadable: Option<String>,
}

impl FileTensor {
    /// The description of a tensor of a file of `format`.
    pub(crate) fn new(info: &TensorInfo, format: Format) -> Self {
        let unreadable = FloatType::new(info.dtype, format).is_none().then(|| info.dtype.to_string());
        Self { name: info.name.clone(), shape: info.shape.clone(), unreadable }
    }
}

/// The network that a file is read for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted<'a> {
    /// Any.
    Any,
    /// A published one, with the file's number of classes, unless the file fits another.
    Variant(Variant),
    /// This one, with the file's number of classes.
    Config(&'a Config),
    /// This one exactly, under canonical names.
    Stored(&'a Config),
}

/// A network and the names that a file has for its parameters.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Recognized {
    /// The network.
    pub config: Config,
    /// How the file names parameters.
    pub scheme: Scheme,
    /// The prefix of the file's names before those of the scheme, such as `model.`; mostly empty.
    pub prefix: String,
    /// Modules in the middle of the file's names that the scheme does not have and that only wrap others, such as
    /// `_orig_mod`.
    pub wrappers: Vec<String>,
    /// Every parameter of the network under its name in the file.
    pub params: Vec<NamedParam>,
    /// All that keeps the file from fitting; nothing if it does.
    pub differences: Differences,
    /// Tensors of the file that are not below the prefix.
    pub left_out: Vec<String>,
    /// Assumptions about a network whose shapes leave something open, in words. Nothing for published networks, and
    /// for those that metadata or the caller describe.
    pub assumed: Vec<String>,
}

/// The networks that the tensors of a file fit exactly; more than one only if they are under different prefixes. If
/// there are none, the one that comes closest, with its differences.
///
/// The whole file comes before its parts, and published networks before those that shapes tell. `prefix` restricts the
/// search to one part; the result is empty if no name begins with it. Counters of batches and averages are ignored.
///
/// # Errors
///
/// [`Error::Config`](hardnet_graph::Error::Config) where a wanted configuration does not describe a network, and none
/// that a file can cause.
pub(crate) fn recognize(tensors: &[FileTensor], wanted: Wanted<'_>, prefix: Option<&str>) -> Result<Vec<Recognized>> {
    let names = Names::new(tensors);
    if let Some(prefix) = prefix {
        let prefix = names.prefix(prefix);
        let part = names.below(&prefix);
        let found = (!part.tensors.is_empty()).then(|| Table::new(tensors, &part).closest(wanted)).transpose()?;
        return Ok(found.into_iter().collect());
    }
    let whole = Table::new(tensors, &names.whole()).closest(wanted)?;
    if whole.differences.count() == 0 {
        return Ok(vec![whole]);
    }
    let known = Known::new(wanted)?;
    let mut fits: Vec<Recognized> = Vec::new();
    // The prefix with the most tensors, for the error if nothing fits.
    let mut largest: Option<(&str, usize)> = None;
    let prefixes = names.prefixes()?;
    let mut outermost = "";
    for (&prefix, schemes) in &prefixes {
        // Prefixes are in order: those below one that fits follow it.
        if !outermost.is_empty() && prefix.starts_with(outermost) {
            continue;
        }
        let part = names.below(prefix);
        if largest.is_none_or(|(_, most)| part.tensors.len() > most) && !table::is_base(prefix) {
            largest = Some((prefix, part.tensors.len()));
        }
        if let Some(found) = Table::new(tensors, &part).fit(&known, schemes)? {
            outermost = prefix;
            fits.push(found);
        }
    }
    if !fits.is_empty() {
        let position: HashMap<&str, usize> =
            tensors.iter().zip(0..).map(|(tensor, at)| (tensor.name.as_str(), at)).collect();
        fits.sort_by_key(|found| found.params.first().and_then(|named| position.get(named.key.as_str())).copied());
        return Ok(fits);
    }
    let below = largest.map(|(prefix, _)| Table::new(tensors, &names.below(prefix)).closest(wanted)).transpose()?;
    // Weights that fit and were not taken as a part are not all of their network.
    let closer = below.filter(|below| (1..whole.differences.count()).contains(&below.differences.count()));
    Ok(vec![closer.unwrap_or(whole)])
}

/// The names of a file that are not below `prefix`; a counter of averages is not worth a word.
pub(crate) fn left_out(tensors: &[FileTensor], prefix: &str) -> Vec<String> {
    let names = Names::new(tensors);
    let prefix = names.prefix(prefix);
    let mut outside = vec![true; tensors.len()];
    for (_, at) in names.below(&prefix).tensors {
        outside[at] = false;
    }
    let outside = tensors.iter().zip(outside).filter(|(_, outside)| *outside).map(|(tensor, _)| tensor);
    let worth = outside.filter(|tensor| tensor.name.contains('.') || !is_counter(&tensor.name, tensor));
    worth.map(|tensor| tensor.name.clone()).collect()
}

/// The first parts of names that a caller can restrict a search to.
pub(crate) fn prefixes(tensors: &[FileTensor]) -> Vec<String> {
    let first = |tensor: &FileTensor| tensor.name.split_once('.').map(|(first, _)| format!("{first}."));
    tensors.iter().filter_map(first).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether a tensor counts batches or weights, by its path in a part of the file.
fn is_counter(path: &str, tensor: &FileTensor) -> bool {
    let is_one = tensor.shape.iter().all(|&extent| extent == 1);
    layer_and_leaf(path).is_some_and(|(_, leaf)| leaf == COUNTER) || path == AVERAGE_COUNTER && is_one
}

/// The layer that a name belongs to, and what it is there.
fn layer_and_leaf(name: &str) -> Option<(&str, &str)> {
    name.rsplit_once('.')
}

#[cfg(test)]
mod tests;
