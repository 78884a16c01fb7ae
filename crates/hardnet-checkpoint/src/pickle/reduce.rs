//! Results of the allowlisted callables, and the states that objects accept.

use super::global::Global;
use super::value::{Arena, Array, Id, NumpyDtype, Payload, Storage, Tensor, Value};
use crate::dtype::Dtype;
use crate::error::Error;

/// REDUCE: the value of `callable(*arguments)`.
pub(crate) fn call(arena: &mut Arena<'_>, callable: Id, arguments: Id, offset: usize) -> Result<Id, Error> {
    let invalid = |what, expected| Err(Error::Unexpected { offset, what, expected });
    let Value::Global(global) = *arena.get(callable) else {
        return invalid("pickle call", "an allowed global to call");
    };
    // Calls of the allowlist have few arguments; a longer tuple is not one of them.
    let list = match arena.get(arguments) {
        Value::Tuple(items) if items.len() <= 8 => items.clone(),
        _ => return invalid("pickle call", "a tuple of at most 8 arguments"),
    };
    let value = match (global, list.as_slice()) {
        (Global::OrderedDict, []) => Some(Value::Dict(Vec::new())),
        (Global::OrderedDict, &[pairs]) => ordered_dict(arena, pairs, offset)?,
        (Global::RebuildTensor, &[storage, start, shape, strides])
        | (
            Global::RebuildTensorV2,
            &[storage, start, shape, strides, _, _] | &[storage, start, shape, strides, _, _, _],
        ) => tensor(arena, storage, start, shape, strides, None),
        (
            Global::RebuildTensorV3,
            &[storage, start, shape, strides, _, _, dtype] | &[storage, start, shape, strides, _, _, dtype, _],
        ) => match *arena.get(dtype) {
            Value::Global(Global::TorchDtype(dtype)) => tensor(arena, storage, start, shape, strides, Some(dtype)),
            _ => None,
        },
        (Global::RebuildParameter, &[tensor, _, _]) => match arena.get(tensor) {
            Value::Tensor(_) => return Ok(tensor),
            _ => None,
        },
        (Global::Encode, &[text, encoding]) => match arena.text(encoding) {
            Some("latin1" | "latin-1") => latin1(arena, text, offset)?,
            _ => None,
        },
        (Global::Bytes, []) => Some(Value::Bytes(Payload::Raw(0..0))),
        (Global::Tuple, &[items]) => match arena.get(items) {
            Value::Tuple(_) => return Ok(items),
            _ => None,
        },
        (Global::Reconstruct, &[class, shape, _]) => {
            let class = matches!(arena.get(class), Value::Global(Global::Ndarray));
            let empty = arena.extents(shape).is_some_and(|shape| shape == [0]);
            (class && empty).then_some(Value::Array(None))
        }
        (Global::NumpyDtype, &[code, align, copy]) => {
            let flags = [align, copy].iter().all(|&flag| matches!(arena.get(flag), Value::Bool(_) | Value::Int(_)));
            let dtype = arena.text(code).and_then(Dtype::from_numpy);
            dtype.filter(|_| flags).map(|dtype| Value::NumpyDtype(NumpyDtype { dtype, big_endian: false }))
        }
        (Global::Scalar, &[dtype, bytes]) => {
            let typed = matches!(arena.get(dtype), Value::NumpyDtype(_));
            let filled = matches!(arena.get(bytes), Value::Bytes(_));
            (typed && filled).then_some(Value::Opaque)
        }
        _ => None,
    };
    match value {
        Some(value) => arena.add(value, offset),
        None => invalid("pickle call", "the arguments that PyTorch, Paddle or NumPy write for this global"),
    }
}

/// BUILD: `object.__setstate__(state)`.
pub(crate) fn build(arena: &mut Arena<'_>, object: Id, state: Id, offset: usize) -> Result<(), Error> {
    let built = match arena.get(object) {
        // The attribute `_metadata` of a state dictionary says nothing of its tensors.
        Value::Dict(_) => return Ok(()),
        Value::NumpyDtype(dtype) => numpy_dtype(arena, *dtype, state).map(Value::NumpyDtype),
        Value::Array(None) => {
            arena.charge(1, size_of::<Array>() + 64 * size_of::<usize>(), offset)?;
            array(arena, state).map(|array| Value::Array(Some(Box::new(array))))
        }
        _ => None,
    };
    match built {
        Some(value) => {
            *arena.get_mut(object) = value;
            Ok(())
        }
        None => Err(Error::Unexpected {
            offset,
            what: "pickle state",
            expected: "the state that NumPy writes for a numeric array or type, or a dictionary's",
        }),
    }
}

/// BINPERSID: a storage, named by five (zip) or six (legacy) items.
pub(crate) fn storage(arena: &Arena<'_>, pid: Id, offset: usize) -> Result<Storage, Error> {
    let parse = || {
        let Value::Tuple(items) = arena.get(pid) else { return None };
        let (kind, class, key, count) = match *items.as_slice() {
            [kind, class, key, _, count] => (kind, class, key, count),
            [kind, class, key, _, count, view] if matches!(arena.get(view), Value::None) => (kind, class, key, count),
            _ => return None,
        };
        let dtype = match *arena.get(class) {
            Value::Global(Global::Storage(dtype)) => Some(dtype),
            Value::Global(Global::UntypedStorage) => None,
            _ => return None,
        };
        arena.text(key)?;
        let (Value::Text(key) | Value::Bytes(Payload::Raw(key))) = arena.get(key) else { return None };
        (arena.text(kind) == Some("storage")).then_some(())?;
        Some(Storage { dtype, key: key.clone(), count: u64::try_from(arena.int(count)?).ok()? })
    };
    parse().ok_or(Error::Unexpected {
        offset,
        what: "pickle persistent id",
        expected: "`storage`, a storage class, a key, a location and a count, and no view",
    })
}

/// Python 2 gives an `OrderedDict` its items as a list of pairs.
fn ordered_dict(arena: &mut Arena<'_>, pairs: Id, offset: usize) -> Result<Option<Value>, Error> {
    let Value::List(items) = arena.get(pairs) else { return Ok(None) };
    let count = items.len();
    arena.charge(count, size_of::<(Id, Id)>(), offset)?;
    let Value::List(items) = arena.get(pairs) else { return Ok(None) };
    let pair = |&item: &Id| match arena.get(item) {
        Value::List(pair) | Value::Tuple(pair) => match *pair.as_slice() {
            [key, value] => Some((key, value)),
            _ => None,
        },
        _ => None,
    };
    Ok(items.iter().map(pair).collect::<Option<Vec<_>>>().map(Value::Dict))
}

fn tensor(arena: &Arena<'_>, storage: Id, start: Id, shape: Id, strides: Id, dtype: Option<Dtype>) -> Option<Value> {
    let Value::Storage(found) = arena.get(storage) else { return None };
    let shape = arena.extents(shape)?;
    let strides = arena.extents(strides)?;
    let offset = u64::try_from(arena.int(start)?).ok()?;
    let dtype = dtype.or(found.dtype)?;
    (shape.len() == strides.len()).then(|| Value::Tensor(Box::new(Tensor { storage, dtype, offset, shape, strides })))
}

/// Bytes as protocol 2 has to write them: as text, one code point up to U+00FF for each.
fn latin1(arena: &mut Arena<'_>, text: Id, offset: usize) -> Result<Option<Value>, Error> {
    let Value::Text(range) = arena.get(text) else { return Ok(None) };
    let range = range.clone();
    arena.charge_scan(range.len(), offset)?;
    let bytes = &arena.bytes()[range.clone()];
    let lead = |byte: u8| matches!(byte, 0xc2 | 0xc3);
    let follows = |byte: u8| byte & 0xc0 == 0x80;
    // One pass without branches: weights are random bytes, and every second one is written as two.
    let known = bytes.iter().fold(true, |known, &byte| known & (byte < 0xc0 || lead(byte)));
    let paired = bytes.windows(2).fold(true, |paired, pair| paired & (lead(pair[0]) == follows(pair[1])));
    let ends = bytes.first().is_none_or(|&first| !follows(first)) && bytes.last().is_none_or(|&last| !lead(last));
    if !(known && paired && ends) {
        return Ok(None);
    }
    let length = bytes.len() - bytes.iter().filter(|&&byte| lead(byte)).count();
    Ok(Some(Value::Bytes(Payload::Latin1 { range, length })))
}

/// `(3, byte order, subarray, names, fields, size, alignment, flags)`.
fn numpy_dtype(arena: &Arena<'_>, dtype: NumpyDtype, state: Id) -> Option<NumpyDtype> {
    let Value::Tuple(items) = arena.get(state) else { return None };
    let &[version, order, subarray, names, fields, _, _, _] = items.as_slice() else { return None };
    let plain = [subarray, names, fields].iter().all(|&part| matches!(arena.get(part), Value::None));
    let big_endian = match arena.text(order)? {
        "<" | "|" | "=" => false,
        ">" => true,
        _ => return None,
    };
    (plain && arena.int(version) == Some(3)).then_some(NumpyDtype { dtype: dtype.dtype, big_endian })
}

/// `(1, shape, type, column-major, bytes)`.
fn array(arena: &Arena<'_>, state: Id) -> Option<Array> {
    let Value::Tuple(items) = arena.get(state) else { return None };
    let &[version, shape, dtype, column_major, raw] = items.as_slice() else { return None };
    let Value::NumpyDtype(dtype) = *arena.get(dtype) else { return None };
    let shape = arena.extents(shape)?;
    let column_major = match *arena.get(column_major) {
        Value::Bool(flag) => flag,
        Value::Int(flag) => flag != 0,
        _ => return None,
    };
    let Value::Bytes(payload) = arena.get(raw) else { return None };
    let size = shape.iter().try_fold(dtype.dtype.size(), |size, &extent| size.checked_mul(extent))?;
    (arena.int(version) == Some(1) && size == payload.len()).then(|| Array {
        dtype,
        shape,
        column_major,
        payload: payload.clone(),
    })
}
