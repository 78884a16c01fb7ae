//! Results of the calls that are known, the states that objects accept, and persistent ids.
//!
//! The result of an unknown call is an opaque value, and so is that of a known call that has one among its arguments.

use super::global::{Global, rebuilds_some_tensor};
use super::value::{Arena, Array, Element, Id, Name, NumpyDtype, Opaque, Payload, Storage, Tensor, Value};
use crate::dtype::Dtype;
use crate::error::Error;

/// REDUCE: the value of `callable(*arguments)`.
pub(crate) fn call(arena: &mut Arena<'_>, callable: Id, arguments: Id, offset: usize) -> Result<Id, Error> {
    let invalid = |expected| Err(Error::Unexpected { offset, what: "pickle call", expected });
    let known = match *arena.get(callable) {
        Value::Global(Name { known, .. }) => known,
        Value::Opaque(_) => None,
        _ => return invalid("a global to call"),
    };
    let Value::Tuple(items) = arena.get(arguments) else { return invalid("a tuple of arguments") };
    let Some(global) = known else {
        let named = match *arena.get(callable) {
            Value::Global(Name { module, name, .. }) => arena.text(module).zip(arena.text(name)),
            _ => None,
        };
        let tensor = named.is_some_and(|(module, name)| rebuilds_some_tensor(module, name));
        return opaque(arena, callable, tensor, offset);
    };
    // Known calls have few arguments; a longer tuple is not one of them.
    if items.len() > 8 {
        return invalid("a tuple of at most 8 arguments");
    }
    let list = items.clone();
    let value = match (global, list.as_slice()) {
        (Global::OrderedDict | Global::DefaultDict, []) | (Global::DefaultDict, [_]) => Some(Value::Dict(Vec::new())),
        (Global::OrderedDict, &[pairs]) => ordered_dict(arena, pairs, offset)?,
        (Global::RebuildTensor, &[storage, start, shape, strides])
        | (
            Global::RebuildTensorV2,
            &[storage, start, shape, strides, _, _] | &[storage, start, shape, strides, _, _, _],
        ) => tensor(arena, storage, start, shape, strides, None),
        (
            Global::RebuildTensorV3,
            &[storage, start, shape, strides, _, _, dtype] | &[storage, start, shape, strides, _, _, dtype, _],
        ) => match known_global(arena, dtype) {
            Some(Global::TorchDtype(dtype)) => tensor(arena, storage, start, shape, strides, Some(dtype)),
            _ => None,
        },
        (Global::RebuildParameter, &[tensor, _, _]) | (Global::RebuildParameterWithState, &[tensor, _, _, _]) => {
            match arena.get(tensor) {
                Value::Tensor(_) => return Ok(tensor),
                _ => None,
            }
        }
        // Attributes of Python do not change the elements of a plain tensor; those of a subclass may.
        (Global::RebuildFromType, &[function, class, inner, _]) => {
            let plain = known_global(arena, class) == Some(Global::TensorClass);
            match known_global(arena, function) {
                Some(Global::RebuildFromType) | None => None,
                Some(rebuild) if plain && rebuild.rebuilds() => return call(arena, function, inner, offset),
                Some(_) => None,
            }
        }
        (Global::Encode, &[text, encoding]) => match arena.text(encoding) {
            Some("latin1" | "latin-1") => latin1(arena, text, offset)?,
            _ => None,
        },
        (Global::Bytes, []) => Some(Value::Bytes(Payload::Raw(0..0))),
        (Global::Tuple, &[items]) => match arena.get(items) {
            Value::Tuple(_) => return Ok(items),
            _ => None,
        },
        (Global::Set, []) => Some(Value::Set(Vec::new())),
        (Global::Set, &[items]) => match arena.get(items) {
            Value::List(items) => {
                let count = items.len();
                arena.charge(count, size_of::<Id>(), offset)?;
                let Value::List(items) = arena.get(list[0]) else { return invalid("a list of items") };
                Some(Value::Set(items.clone()))
            }
            _ => None,
        },
        (Global::Reconstruct, &[class, shape, _]) => {
            let class = known_global(arena, class) == Some(Global::Ndarray);
            let empty = arena.extents(shape).is_some_and(|shape| shape == [0]);
            (class && empty).then_some(Value::Array(None))
        }
        (Global::NumpyDtype, &[code, align, copy]) => {
            let flags = [align, copy].iter().all(|&flag| matches!(arena.get(flag), Value::Bool(_) | Value::Int(_)));
            match arena.text(code) {
                Some(code) if flags => match Dtype::from_numpy(code) {
                    Some(dtype) => Some(Value::NumpyDtype(NumpyDtype { dtype, big_endian: false })),
                    // Text, dates, objects and records.
                    None => return opaque(arena, callable, false, offset),
                },
                _ => None,
            }
        }
        (Global::Scalar, &[dtype, value]) => {
            let typed = matches!(arena.get(dtype), Value::NumpyDtype(_) | Value::Opaque(_));
            let filled = matches!(arena.get(value), Value::Bytes(_)) || matches!(arena.get(dtype), Value::Opaque(_));
            (typed && filled).then_some(Value::Ignored)
        }
        (Global::Reconstructor, &[class, _, _]) if matches!(arena.get(class), Value::Global(_)) => {
            return opaque(arena, class, false, offset);
        }
        _ => None,
    };
    match value {
        Some(value) => arena.add(value, offset),
        None => match list.iter().find_map(|&argument| unknown(arena, argument)) {
            Some(class) => opaque(arena, class, global.rebuilds(), offset),
            None => invalid("the arguments that PyTorch, Paddle or NumPy write for this global"),
        },
    }
}

/// An object of `class`, which is a name or an opaque value itself, that is not made.
pub(crate) fn opaque(arena: &mut Arena<'_>, class: Id, tensor: bool, offset: usize) -> Result<Id, Error> {
    let class = match arena.get(class) {
        Value::Global(_) => class,
        Value::Opaque(opaque) => opaque.class,
        _ => return Err(Error::Unexpected { offset, what: "pickle object", expected: "a class" }),
    };
    arena.add(Value::Opaque(Opaque { class, tensor, state: None }), offset)
}

/// The unknown class or function that an argument depends on: directly, or as an item of a tuple such as a shape.
fn unknown(arena: &Arena<'_>, argument: Id) -> Option<Id> {
    match arena.get(argument) {
        Value::Tuple(items) => items.iter().take(MAX_ITEMS).find_map(|&item| arena.unknown(item)),
        _ => arena.unknown(argument),
    }
}

/// Most items of a tuple that are looked at: more than a shape or a state has.
const MAX_ITEMS: usize = 64;

fn known_global(arena: &Arena<'_>, id: Id) -> Option<Global> {
    match *arena.get(id) {
        Value::Global(Name { known, .. }) => known,
        _ => None,
    }
}

/// BUILD: `object.__setstate__(state)`.
pub(crate) fn build(arena: &mut Arena<'_>, object: Id, state: Id, offset: usize) -> Result<(), Error> {
    let built = match arena.get(object) {
        // The attribute `_metadata` of a state dictionary says nothing of its tensors.
        Value::Dict(_) => return Ok(()),
        Value::Opaque(opaque) if opaque.state.is_none() => {
            Some(Value::Opaque(Opaque { state: Some(state), ..*opaque }))
        }
        Value::NumpyDtype(dtype) => numpy_dtype(arena, *dtype, state).map(Value::NumpyDtype),
        Value::Array(None) => {
            arena.charge(1, size_of::<Array>() + 64 * size_of::<usize>(), offset)?;
            match array(arena, state) {
                Some(array) => Some(Value::Array(Some(Box::new(array)))),
                // Its type is not numeric.
                None => unknown(arena, state).map(|class| Value::Opaque(Opaque { class, tensor: false, state: None })),
            }
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
            expected: "one state for an object, that of NumPy for an array or a type",
        }),
    }
}

/// BINPERSID: a storage, or the class of a module whose source the legacy format stores next to it.
pub(crate) fn persistent(arena: &mut Arena<'_>, pid: Id, offset: usize) -> Result<Id, Error> {
    if let Value::Tuple(items) = arena.get(pid)
        && let [kind, class, _, _] = *items.as_slice()
        && arena.text(kind) == Some("module")
        && matches!(arena.get(class), Value::Global(_))
    {
        return Ok(class);
    }
    let storage = storage(arena, pid).ok_or(Error::Unexpected {
        offset,
        what: "pickle persistent id",
        expected: "`storage`, a storage class, a key, a location and a count, and no view",
    })?;
    arena.add(Value::Storage(storage), offset)
}

/// A storage, named by five (zip) or six (legacy) items.
fn storage(arena: &Arena<'_>, pid: Id) -> Option<Storage> {
    let Value::Tuple(items) = arena.get(pid) else { return None };
    let (kind, class, key, count) = match *items.as_slice() {
        [kind, class, key, _, count] => (kind, class, key, count),
        [kind, class, key, _, count, view] if matches!(arena.get(view), Value::None) => (kind, class, key, count),
        _ => return None,
    };
    let element = match arena.get(class) {
        Value::Global(Name { known: Some(Global::Storage(element)), .. }) => *element,
        Value::Global(Name { known: None, .. }) => Element::Unknown,
        _ => return None,
    };
    arena.text(key)?;
    let (Value::Text(key) | Value::Bytes(Payload::Raw(key))) = arena.get(key) else { return None };
    (arena.text(kind) == Some("storage")).then_some(())?;
    Some(Storage { element, class, key: key.clone(), count: u64::try_from(arena.int(count)?).ok()? })
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
    let dtype = match (dtype, found.element) {
        (None, Element::Typed(dtype)) | (Some(dtype), Element::Typed(_) | Element::Untyped) => dtype,
        _ => return None,
    };
    (shape.len() == strides.len()).then(|| Value::Tensor(Box::new(Tensor { storage, dtype, offset, shape, strides })))
}

/// Bytes as protocol 2 has to write them: as text, one code point up to U+00FF for each.
fn latin1(arena: &mut Arena<'_>, text: Id, offset: usize) -> Result<Option<Value>, Error> {
    let Value::Text(range) = arena.get(text) else { return Ok(None) };
    let range = range.clone();
    if let Some(length) = arena.latin1(range.start) {
        return Ok(Some(Value::Bytes(Payload::Latin1 { range, length })));
    }
    arena.charge_scan(range.len(), offset)?;
    let bytes = arena.slice(&range);
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
