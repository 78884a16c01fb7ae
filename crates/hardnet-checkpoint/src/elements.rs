//! Tensors that are freed one by one.

use std::ops::Range;

use hardnet_base::excerpt;

use crate::checkpoint::Checkpoint;
use crate::error::Error;
use crate::source::Source;

/// The elements of a checkpoint's tensors, each can be taken once; made by [`Checkpoint::into_elements`].
///
/// A tensor that was taken is freed here, if the tensors are contiguous and disjoint ranges of the file. Safetensors
/// files and most files of PyTorch are like that; any other file is kept in memory until the end, unless it is on disk.
#[derive(Debug)]
pub struct Elements {
    /// Without its bytes if the tensors are disjoint ranges.
    checkpoint: Checkpoint,
    /// The elements of each tensor until they are taken; empty if the tensors are not disjoint ranges.
    parts: Vec<Option<Vec<u8>>>,
}

impl Elements {
    pub(crate) fn new(mut checkpoint: Checkpoint, ranges: Vec<(usize, Range<usize>)>) -> Self {
        let mut parts = Vec::new();
        parts.resize_with(if ranges.is_empty() { 0 } else { checkpoint.tensors().len() }, || None);
        let Source::Memory { bytes, .. } = &mut checkpoint.source else { return Self { checkpoint, parts } };
        for (index, range) in ranges.into_iter().rev() {
            let mut part = bytes.split_off(range.start);
            part.truncate(range.len());
            parts[index] = Some(part);
            // Shrinking returns memory to the system, so that the file is not in memory twice.
            bytes.shrink_to_fit();
        }
        if !parts.is_empty() {
            *bytes = Vec::new();
        }
        Self { checkpoint, parts }
    }

    /// Takes the elements of tensor `index`, as [`Checkpoint::read`] returns them.
    ///
    /// # Errors
    ///
    /// [`Error::Index`] if the tensor does not exist, [`Error::Tensor`] if it was taken before.
    pub fn take(&mut self, index: usize) -> Result<Vec<u8>, Error> {
        if self.parts.is_empty() || index >= self.parts.len() {
            return self.checkpoint.read(index).map(std::borrow::Cow::into_owned);
        }
        self.parts[index].take().ok_or_else(|| Error::Tensor {
            offset: 0,
            name: excerpt(&self.checkpoint.tensors()[index].name),
            expected: "elements that were not taken before",
        })
    }
}

#[cfg(test)]
mod tests {
    use ::safetensors::tensor::{Dtype, TensorView, serialize};

    use super::*;

    #[test]
    fn elements_are_those_of_the_file_in_any_order() {
        let tensor = |from: u8, len: usize| (0..len).map(|at| from.wrapping_add(at as u8)).collect::<Vec<u8>>();
        let data = [("a", tensor(1, 12)), ("b", tensor(50, 4)), ("c", tensor(100, 40_000)), ("empty", vec![])];
        let views = data.iter().map(|(name, bytes)| {
            (*name, TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes).expect("bytes for all elements"))
        });
        let file = serialize(views, None).expect("a file");
        for order in [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]] {
            let checkpoint = Checkpoint::from_bytes(file.clone()).expect("a file of tensors");
            let expected: Vec<_> = (0..4).map(|index| checkpoint.read(index).expect("a tensor").into_owned()).collect();
            let mut elements = checkpoint.into_elements();
            assert_eq!(elements.checkpoint.source.bytes(), Some(&[][..]));
            for index in order {
                assert_eq!(elements.take(index).expect("a tensor"), expected[index]);
                assert!(matches!(elements.take(index), Err(Error::Tensor { .. })));
            }
            assert!(matches!(elements.take(4), Err(Error::Index { index: 4, count: 4 })));
        }
    }

    #[test]
    fn tensors_that_share_bytes_are_read_as_often_as_asked() {
        let mut checkpoint = {
            let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
            let view = TensorView::new(Dtype::F32, vec![2], &bytes).expect("bytes for all elements");
            Checkpoint::from_bytes(serialize([("a", view)], None).expect("a file")).expect("a file of tensors")
        };
        checkpoint.tensors.push(checkpoint.tensors[0].clone());
        checkpoint.data.push(checkpoint.data[0].clone());
        let mut elements = checkpoint.into_elements();
        for index in [0, 1, 0] {
            assert_eq!(elements.take(index).expect("a tensor"), [1, 2, 3, 4, 5, 6, 7, 8]);
        }
    }
}
