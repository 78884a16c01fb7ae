//! The values that a pickle builds, in an arena. They refer to each other by index, so that a shared value is stored
//! once and neither dropping nor walking recurses.

use std::collections::BTreeMap;
use std::ops::Range;

use hardnet_base::{SparseBytes, excerpt};

use super::global::Global;
use crate::dtype::Dtype;
use crate::error::Error;

/// Index of a value in its [`Arena`].
pub(crate) type Id = u32;

/// A value. Ranges are ranges of the file.
#[derive(Debug)]
pub(crate) enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits, little-endian.
    BigInt(Range<usize>),
    /// A value whose content is ignored: a float, a NumPy scalar, a `bytearray`, text with escapes.
    Ignored,
    /// UTF-8, which is checked where the text is used.
    Text(Range<usize>),
    Bytes(Payload),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Set(Vec<Id>),
    Global(Name),
    /// The result of a class or function that is not known.
    Opaque(Opaque),
    Storage(Storage),
    Tensor(Box<Tensor>),
    NumpyDtype(NumpyDtype),
    /// An array before (`None`) and after its state is known.
    Array(Option<Box<Array>>),
}

/// Bytes of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Payload {
    /// As they are.
    Raw(Range<usize>),
    /// `length` bytes, each written as the UTF-8 of the code point of that number.
    Latin1 { range: Range<usize>, length: usize },
}

impl Payload {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Raw(range) => range.len(),
            Self::Latin1 { length, .. } => *length,
        }
    }
}

/// The name of a class or function. Nothing is looked up by it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name {
    /// `None` if it may be anything.
    pub(crate) known: Option<Global>,
    /// Text.
    pub(crate) module: Id,
    /// Text.
    pub(crate) name: Id,
}

/// An object that is not made: its arguments and items were parsed and dropped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opaque {
    /// The unknown class or function.
    pub(crate) class: Id,
    /// Whether it stands for a tensor: a function that rebuilds tensors was called.
    pub(crate) tensor: bool,
    /// The state that BUILD gives it.
    pub(crate) state: Option<Id>,
}

/// A reference to a PyTorch storage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Storage {
    pub(crate) element: Element,
    /// The storage class.
    pub(crate) class: Id,
    pub(crate) key: Range<usize>,
    /// In elements.
    pub(crate) count: u64,
}

/// The elements of a storage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    Typed(Dtype),
    /// Bytes, whose type is that of the tensor.
    Untyped,
    /// Elements of so many bytes that are not read: complex and quantized numbers.
    Other {
        size: u8,
    },
    /// Elements of a class that is not known.
    Unknown,
}

impl Storage {
    /// Bytes, if they can be counted: `None` for elements of unknown size.
    pub(crate) fn byte_count(&self) -> Option<u64> {
        let size = match self.element {
            Element::Typed(dtype) => dtype.size() as u64,
            Element::Untyped => 1,
            Element::Other { size } => u64::from(size),
            Element::Unknown => return None,
        };
        self.count.checked_mul(size)
    }
}

/// A PyTorch tensor: a strided view of a storage. Offset and strides are in elements.
#[derive(Debug)]
pub(crate) struct Tensor {
    pub(crate) storage: Id,
    pub(crate) dtype: Dtype,
    pub(crate) offset: u64,
    pub(crate) shape: Vec<usize>,
    pub(crate) strides: Vec<usize>,
}

/// An element type of NumPy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NumpyDtype {
    pub(crate) dtype: Dtype,
    pub(crate) big_endian: bool,
}

/// A NumPy array, contiguous in one of the two orders.
#[derive(Debug)]
pub(crate) struct Array {
    pub(crate) dtype: NumpyDtype,
    pub(crate) shape: Vec<usize>,
    pub(crate) column_major: bool,
    pub(crate) payload: Payload,
}

/// All values of a file, and the offset at which each was made.
#[derive(Debug)]
pub(crate) struct Arena<'a> {
    bytes: SparseBytes<'a>,
    /// Numbers of bytes that the encoded texts stand for that are not in memory, by where they begin.
    latin1: BTreeMap<usize, usize>,
    /// Length of the file.
    length: usize,
    values: Vec<Value>,
    offsets: Vec<usize>,
    /// The first of the values that are all alike, by [`alike`].
    alike: [Option<Id>; ALIKE],
    budget: Budget,
}

/// Remaining budget of the arena. Memory is charged as for a growing vector at its worst: the old and the new buffer.
#[derive(Debug)]
struct Budget {
    memory: usize,
    memory_limit: usize,
    scan: usize,
}

/// Memory that even a small file may take for its values.
const MIN_BUDGET: usize = 4 << 20;
const GROWTH: usize = 3;

impl<'a> Arena<'a> {
    /// An empty arena for the pickles of the file `bytes`, with as much memory as the file is long.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self::of_part(bytes, bytes.len())
    }

    /// An empty arena for the pickles of `bytes`, a part of a file of `length`. Ranges are ranges of that part.
    pub(crate) fn of_part(bytes: &'a [u8], length: usize) -> Self {
        Self::of_sparse(bytes.into(), length, BTreeMap::new())
    }

    /// An empty arena for the pickles of a file without the ranges of large texts and bytes; `latin1` are the numbers
    /// of bytes that texts stand for, by where they begin.
    pub(crate) fn of_sparse(bytes: SparseBytes<'a>, length: usize, latin1: BTreeMap<usize, usize>) -> Self {
        let memory = bytes.kept().max(MIN_BUDGET);
        let budget = Budget { memory, memory_limit: memory, scan: bytes.kept() };
        Self { bytes, latin1, length, values: Vec::new(), offsets: Vec::new(), alike: [None; ALIKE], budget }
    }

    pub(crate) fn bytes(&self) -> SparseBytes<'a> {
        self.bytes
    }

    /// A range of the file; nothing if it is not in memory, as only large texts and bytes are.
    pub(crate) fn slice(&self, range: &Range<usize>) -> &'a [u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// Number of bytes that the text at `start` stands for, if it is not in memory.
    pub(crate) fn latin1(&self, start: usize) -> Option<usize> {
        self.latin1.get(&start).copied()
    }

    /// Length of the file.
    pub(crate) fn file_length(&self) -> usize {
        self.length
    }

    pub(crate) fn len(&self) -> usize {
        self.values.len()
    }

    /// Charges the memory of `count` items of `size` bytes to the budget.
    pub(crate) fn charge(&mut self, count: usize, size: usize, offset: usize) -> Result<(), Error> {
        let limit = self.budget.memory_limit as u64;
        let cost = count.saturating_mul(size).saturating_mul(GROWTH);
        self.budget.memory =
            self.budget.memory.checked_sub(cost).ok_or(Error::Limit { offset, what: "pickle memory", limit })?;
        Ok(())
    }

    /// Charges the time of scanning `count` bytes again to the budget.
    pub(crate) fn charge_scan(&mut self, count: usize, offset: usize) -> Result<(), Error> {
        let limit = self.bytes.kept() as u64;
        self.budget.scan =
            self.budget.scan.checked_sub(count).ok_or(Error::Limit { offset, what: "encoded text", limit })?;
        Ok(())
    }

    /// Adds a value. Flags, floats and small integers, of which histories have many, are stored once.
    pub(crate) fn add(&mut self, value: Value, offset: usize) -> Result<Id, Error> {
        let place = alike(&value);
        if let Some(id) = place.and_then(|place| self.alike[place]) {
            return Ok(id);
        }
        let inner = match &value {
            Value::Tuple(items) | Value::List(items) | Value::Set(items) => items.len() * size_of::<Id>(),
            Value::Dict(pairs) => pairs.len() * size_of::<(Id, Id)>(),
            Value::Tensor(tensor) => size_of::<Tensor>() + 16 * tensor.shape.len(),
            _ => 0,
        };
        self.charge(1, size_of::<Value>() + size_of::<usize>() + inner, offset)?;
        let id = Id::try_from(self.values.len()).map_err(|_| Error::Limit {
            offset,
            what: "pickle values",
            limit: u64::from(Id::MAX),
        })?;
        self.values.push(value);
        self.offsets.push(offset);
        if let Some(place) = place {
            self.alike[place] = Some(id);
        }
        Ok(id)
    }

    pub(crate) fn get(&self, id: Id) -> &Value {
        &self.values[id as usize]
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> &mut Value {
        &mut self.values[id as usize]
    }

    /// The offset at which a value was made.
    pub(crate) fn offset(&self, id: Id) -> usize {
        self.offsets[id as usize]
    }

    /// The text of a value, if it is not longer than a name may be. Python 2 wrote text as bytes.
    pub(crate) fn text(&self, id: Id) -> Option<&'a str> {
        match self.get(id) {
            Value::Text(range) | Value::Bytes(Payload::Raw(range)) if range.len() <= MAX_NAME_LENGTH => {
                std::str::from_utf8(self.slice(range)).ok()
            }
            _ => None,
        }
    }

    /// Whether a value is this text.
    pub(crate) fn is_text(&self, id: Id, text: &str) -> bool {
        match self.get(id) {
            Value::Text(range) | Value::Bytes(Payload::Raw(range)) => self.slice(range) == text.as_bytes(),
            _ => false,
        }
    }

    /// The unknown class or function of a value that is one, comes from one, or lies in a storage of one.
    pub(crate) fn unknown(&self, id: Id) -> Option<Id> {
        match self.get(id) {
            Value::Global(Name { known: None, .. }) => Some(id),
            Value::Opaque(opaque) => Some(opaque.class),
            Value::Storage(Storage { element: Element::Other { .. } | Element::Unknown, class, .. }) => Some(*class),
            _ => None,
        }
    }

    /// The error of a value that would be needed, and is of the class or function `class`.
    pub(crate) fn refusal(&self, class: Id) -> Error {
        let Value::Global(Name { module, name, .. }) = *self.get(class) else { return Error::NoTensors };
        let text = |id| match self.get(id) {
            Value::Text(range) | Value::Bytes(Payload::Raw(range)) => {
                excerpt(&String::from_utf8_lossy(self.slice(range)))
            }
            _ => String::new(),
        };
        Error::RefusedGlobal { offset: self.offset(class), module: text(module), name: text(name) }
    }

    pub(crate) fn int(&self, id: Id) -> Option<i64> {
        match *self.get(id) {
            Value::Int(int) => Some(int),
            _ => None,
        }
    }

    /// A tuple of non-negative integers: a shape or strides.
    pub(crate) fn extents(&self, id: Id) -> Option<Vec<usize>> {
        match self.get(id) {
            Value::Tuple(items) if items.len() <= MAX_DIMENSIONS => {
                items.iter().map(|&item| usize::try_from(self.int(item)?).ok()).collect()
            }
            _ => None,
        }
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = Id> + use<> {
        0..self.values.len() as Id
    }
}

const ALIKE: usize = 4 + 256;

/// The number of a value among those that are never changed and take one of few values.
fn alike(value: &Value) -> Option<usize> {
    match *value {
        Value::None => Some(0),
        Value::Bool(flag) => Some(1 + usize::from(flag)),
        Value::Ignored => Some(3),
        Value::Int(int @ 0..=255) => Some(4 + int as usize),
        _ => None,
    }
}

/// Most bytes of a name or a key. The limit keeps the time of lookups proportional to the file.
const MAX_NAME_LENGTH: usize = 1024;
/// NumPy stops at 64 dimensions; so does PyTorch.
const MAX_DIMENSIONS: usize = 64;
