//! Constants of a model and of its nodes.

use std::collections::HashMap;

use hardnet_base::excerpt;

use crate::error::{Error, Result};
use crate::model::{Attribute, ElementType, Model, Node, Tensor};

/// Initializers, `Constant` nodes, and other names for them.
#[derive(Debug)]
pub(super) struct Constants<'m> {
    tensors: HashMap<&'m str, &'m Tensor<'m>>,
}

impl<'m> Constants<'m> {
    /// The initializers of `model`.
    ///
    /// # Errors
    ///
    /// [`Error::Node`] where two have one name.
    pub(super) fn new(model: &'m Model<'m>) -> Result<Self> {
        let mut tensors = HashMap::with_capacity(model.initializers.len());
        for tensor in &model.initializers {
            if tensors.insert(tensor.info.name.as_str(), tensor).is_some() {
                let reason = "two initializers have this name".into();
                return Err(Error::Node { node: excerpt(&tensor.info.name), reason });
            }
        }
        Ok(Self { tensors })
    }

    /// Whether `name` is a constant.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// The constant `name`.
    pub(super) fn get(&self, name: &str) -> Option<&'m Tensor<'m>> {
        self.tensors.get(name).copied()
    }

    /// Gives a constant a name.
    pub(super) fn insert(&mut self, name: &'m str, tensor: &'m Tensor<'m>) {
        self.tensors.insert(name, tensor);
    }

    /// Input `at` of a node, which must be a constant.
    pub(super) fn input(&self, node: &'m Node<'m>, at: usize, what: &str) -> Result<&'m Tensor<'m>> {
        let name = node.inputs.get(at).map_or("", String::as_str);
        self.get(name).ok_or_else(|| refused(node, format!("its {what} is not a constant of the model")))
    }

    /// The one number that input `at` of a node is; none if there is no such input.
    pub(super) fn number(&self, node: &Node<'_>, at: usize) -> Option<Result<f64>> {
        let name = node.inputs.get(at).filter(|name| !name.is_empty())?;
        let tensor = self.get(name).filter(|tensor| tensor.info.count() == Some(1));
        let numbers = tensor.and_then(numbers).filter(|numbers| numbers.len() == 1);
        Some(numbers.map(|numbers| numbers[0]).ok_or_else(|| refused(node, "a bound of it is not one number")))
    }
}

/// The elements of a tensor, if they are numbers with fractions or whole ones, and in memory.
pub(super) fn numbers(tensor: &Tensor<'_>) -> Option<Vec<f64>> {
    let bytes = tensor.elements()?;
    Some(match tensor.info.element {
        ElementType::F32 => bytes.as_chunks().0.iter().map(|&b| f64::from(f32::from_le_bytes(b))).collect(),
        ElementType::F64 => bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect(),
        ElementType::F16 => bytes.as_chunks().0.iter().map(|&b| half::f16::from_le_bytes(b).to_f64()).collect(),
        ElementType::Bf16 => bytes.as_chunks().0.iter().map(|&b| half::bf16::from_le_bytes(b).to_f64()).collect(),
        ElementType::I64 => bytes.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b) as f64).collect(),
        ElementType::I32 => bytes.as_chunks().0.iter().map(|&b| f64::from(i32::from_le_bytes(b))).collect(),
        ElementType::U8 | ElementType::I8 => return None,
    })
}

/// An error at a node.
pub(super) fn refused(node: &Node<'_>, reason: impl Into<String>) -> Error {
    let name = if node.name.is_empty() { node.outputs.first().map_or("", String::as_str) } else { &node.name };
    Error::Node { node: format!("{} {}", excerpt(&node.op), excerpt(name)), reason: reason.into() }
}

/// A whole number of a node, or `default`.
pub(super) fn int(node: &Node<'_>, name: &str, default: i64) -> Result<i64> {
    match node.attribute(name) {
        None => Ok(default),
        Some(Attribute::Int(number)) => Ok(*number),
        Some(_) => Err(refused(node, format!("`{name}` is not a whole number"))),
    }
}

/// A number of a node, or `default`.
pub(super) fn float(node: &Node<'_>, name: &str, default: f32) -> Result<f32> {
    match node.attribute(name) {
        None => Ok(default),
        Some(Attribute::Float(number)) => Ok(*number),
        Some(_) => Err(refused(node, format!("`{name}` is not a number"))),
    }
}

/// `N` whole numbers from 0 of a node, or `default`.
pub(super) fn ints<const N: usize>(node: &Node<'_>, name: &str, default: [usize; N]) -> Result<[usize; N]> {
    /// More than any layer has; keeps sums far from overflow.
    const MOST: i64 = 1 << 16;
    match node.attribute(name) {
        None => Ok(default),
        Some(Attribute::Ints(numbers)) if numbers.len() == N && numbers.iter().all(|n| (0..MOST).contains(n)) => {
            Ok(std::array::from_fn(|at| numbers[at] as usize))
        }
        Some(_) => Err(refused(node, format!("`{name}` is not {N} numbers from 0 to 65535"))),
    }
}
