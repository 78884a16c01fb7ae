//! The stack machine of Python's `pickle`.

mod text;

use std::collections::HashMap;
use std::ops::Range;

use super::global::Global;
use super::opcode as op;
use super::reduce;
use super::value::{Arena, Id, Name, Payload, Value};
use crate::cursor::Cursor;
use crate::error::Error;

/// Most marks open at a time. Writers open two or three.
const MAX_MARKS: usize = 1024;

/// Runs the pickle at the start of `span`, a range of the file. Returns its object and the offset after its STOP.
pub(crate) fn load(arena: &mut Arena<'_>, span: Range<usize>) -> Result<(Id, usize), Error> {
    let Range { start, end } = span;
    let cursor = Cursor::of_sparse(arena.bytes(), start, end);
    Machine { cursor, arena, stack: Vec::new(), marks: Vec::new(), memo: HashMap::new(), offset: start }.run()
}

struct Machine<'a, 'b> {
    arena: &'b mut Arena<'a>,
    cursor: Cursor<'a>,
    stack: Vec<Id>,
    /// Stack heights at the open marks; items below the last mark are out of reach.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// Offset of the opcode being run.
    offset: usize,
}

impl Machine<'_, '_> {
    fn run(mut self) -> Result<(Id, usize), Error> {
        loop {
            self.offset = self.cursor.position();
            let opcode = self.cursor.u8("pickle opcode")?;
            if opcode == op::STOP {
                let root = self.pop()?;
                if !self.stack.is_empty() || !self.marks.is_empty() {
                    return Err(self.unexpected("pickle stack", "one object at the end"));
                }
                return Ok((root, self.cursor.position()));
            }
            self.step(opcode)?;
        }
    }

    fn step(&mut self, opcode: u8) -> Result<(), Error> {
        match opcode {
            op::PROTO => {
                let protocol = self.cursor.u8("pickle protocol")?;
                if protocol > op::HIGHEST_PROTOCOL {
                    return Err(self.unexpected("pickle protocol", "at most 5"));
                }
                Ok(())
            }
            // Frames are hints for buffering; a long string may lie between two of them.
            op::FRAME => {
                let length = self.cursor.u64("pickle frame")?;
                let left = self.cursor.left() as u64;
                if length > left {
                    return Err(Error::Truncated { offset: self.offset, what: "pickle frame", needed: length, left });
                }
                Ok(())
            }
            op::MARK => {
                if self.marks.len() == MAX_MARKS {
                    return Err(Error::Limit { offset: self.offset, what: "pickle marks", limit: MAX_MARKS as u64 });
                }
                self.marks.push(self.stack.len());
                Ok(())
            }
            op::POP => self.pop().map(drop),
            op::POP_MARK => self.pop_mark().map(drop),
            op::DUP => {
                let top = self.top()?;
                self.push(top)
            }
            op::NONE => self.push_new(Value::None),
            op::NEWTRUE => self.push_new(Value::Bool(true)),
            op::NEWFALSE => self.push_new(Value::Bool(false)),
            op::BININT => {
                let int = self.cursor.u32("pickle integer")?.cast_signed();
                self.push_new(Value::Int(i64::from(int)))
            }
            op::BININT1 => {
                let int = self.cursor.u8("pickle integer")?;
                self.push_new(Value::Int(i64::from(int)))
            }
            op::BININT2 => {
                let int = self.cursor.u16("pickle integer")?;
                self.push_new(Value::Int(i64::from(int)))
            }
            op::LONG1 | op::LONG4 => self.long(opcode),
            op::BINFLOAT => {
                self.cursor.take(8, "pickle float")?;
                self.push_new(Value::Ignored)
            }
            op::BINUNICODE | op::SHORT_BINUNICODE | op::BINUNICODE8 => self.text(opcode),
            op::BINBYTES | op::SHORT_BINBYTES | op::BINBYTES8 | op::BINSTRING | op::SHORT_BINSTRING => {
                let length = match opcode {
                    op::BINBYTES | op::BINSTRING => u64::from(self.cursor.u32("pickle bytes length")?),
                    op::BINBYTES8 => self.cursor.u64("pickle bytes length")?,
                    _ => u64::from(self.cursor.u8("pickle bytes length")?),
                };
                let range = self.cursor.take(length, "pickle bytes")?;
                self.push_new(Value::Bytes(Payload::Raw(range)))
            }
            op::BYTEARRAY8 => {
                let length = self.cursor.u64("pickle bytes length")?;
                self.cursor.take(length, "pickle bytes")?;
                self.push_new(Value::Ignored)
            }
            op::EMPTY_SET => self.push_new(Value::Set(Vec::new())),
            op::FROZENSET => {
                let items = self.pop_mark()?;
                self.push_new(Value::Set(items))
            }
            op::ADDITEMS => {
                let items = self.pop_mark()?;
                self.add_items(&items)
            }
            op::EMPTY_DICT => self.push_new(Value::Dict(Vec::new())),
            op::EMPTY_LIST => self.push_new(Value::List(Vec::new())),
            op::EMPTY_TUPLE => self.push_new(Value::Tuple(Vec::new())),
            op::TUPLE => {
                let items = self.pop_mark()?;
                self.push_new(Value::Tuple(items))
            }
            op::TUPLE1 | op::TUPLE2 | op::TUPLE3 => {
                let count = usize::from(opcode - op::TUPLE1) + 1;
                let items = self.pop_many(count)?;
                self.push_new(Value::Tuple(items))
            }
            op::APPEND => {
                let items = self.pop_many(1)?;
                self.append(&items)
            }
            op::APPENDS => {
                let items = self.pop_mark()?;
                self.append(&items)
            }
            op::SETITEM => {
                let items = self.pop_many(2)?;
                self.set(&items)
            }
            op::SETITEMS => {
                let items = self.pop_mark()?;
                self.set(&items)
            }
            op::BINPUT => {
                let index = u32::from(self.cursor.u8("pickle memo index")?);
                self.put_memo(index)
            }
            op::LONG_BINPUT => {
                let index = self.cursor.u32("pickle memo index")?;
                self.put_memo(index)
            }
            op::MEMOIZE => self.put_memo(self.memo.len() as u32),
            op::BINGET => {
                let index = u32::from(self.cursor.u8("pickle memo index")?);
                self.get_memo(index)
            }
            op::LONG_BINGET => {
                let index = self.cursor.u32("pickle memo index")?;
                self.get_memo(index)
            }
            op::GLOBAL => {
                let name = self.named()?;
                self.push(name)
            }
            op::STACK_GLOBAL => {
                let name = self.pop()?;
                let module = self.pop()?;
                if self.arena.text(module).is_none() || self.arena.text(name).is_none() {
                    return Err(self.unexpected("pickle global", "two strings"));
                }
                let name = self.global(module, name)?;
                self.push(name)
            }
            op::REDUCE => {
                let arguments = self.pop()?;
                let callable = self.pop()?;
                let result = reduce::call(self.arena, callable, arguments, self.offset)?;
                self.push(result)
            }
            op::NEWOBJ => {
                let arguments = self.pop()?;
                let class = self.pop()?;
                self.instance(class, &[arguments])
            }
            op::NEWOBJ_EX => {
                let named = self.pop()?;
                let arguments = self.pop()?;
                let class = self.pop()?;
                self.instance(class, &[arguments, named])
            }
            op::OBJ => match self.pop_mark()?.first() {
                Some(&class) => self.instance(class, &[]),
                None => Err(self.unexpected("pickle object", "a class above the mark")),
            },
            op::INST => {
                let class = self.named()?;
                self.pop_mark()?;
                self.instance(class, &[])
            }
            op::BUILD => {
                let state = self.pop()?;
                let object = self.top()?;
                reduce::build(self.arena, object, state, self.offset)
            }
            op::BINPERSID => {
                let pid = self.pop()?;
                let found = reduce::persistent(self.arena, pid, self.offset)?;
                self.push(found)
            }
            _ => self.text_step(opcode),
        }
    }

    /// LONG1, LONG4: a two's complement integer after its length in bytes.
    fn long(&mut self, opcode: u8) -> Result<(), Error> {
        let length = match opcode {
            op::LONG1 => u32::from(self.cursor.u8("pickle integer")?),
            _ => self.cursor.u32("pickle integer")?,
        };
        let range = self.cursor.take(u64::from(length), "pickle integer")?;
        let bytes = self.arena.slice(&range);
        let value = if range.len() <= 8 {
            let fill = if bytes.last().is_some_and(|&last| last >= 0x80) { 0xff } else { 0 };
            let mut wide = [fill; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            Value::Int(i64::from_le_bytes(wide))
        } else {
            Value::BigInt(range)
        };
        self.push_new(value)
    }

    fn text(&mut self, opcode: u8) -> Result<(), Error> {
        let length = match opcode {
            op::BINUNICODE => u64::from(self.cursor.u32("pickle string length")?),
            op::BINUNICODE8 => self.cursor.u64("pickle string length")?,
            _ => u64::from(self.cursor.u8("pickle string length")?),
        };
        let range = self.cursor.take(length, "pickle string")?;
        self.push_new(Value::Text(range))
    }

    /// Two lines: a module and a name in it.
    fn named(&mut self) -> Result<Id, Error> {
        let module = self.cursor.line("pickle module name")?;
        let name = self.cursor.line("pickle global name")?;
        let module = self.arena.add(Value::Text(module), self.offset)?;
        let name = self.arena.add(Value::Text(name), self.offset)?;
        self.global(module, name)
    }

    /// The class or function called `name` in `module`, both of them text.
    fn global(&mut self, module: Id, name: Id) -> Result<Id, Error> {
        let known = match (self.arena.text(module), self.arena.text(name)) {
            (Some(module), Some(name)) => Global::find(module, name),
            _ => None,
        };
        self.arena.add(Value::Global(Name { known, module, name }), self.offset)
    }

    /// An object of a class, which is not made. Of its arguments, the first is a tuple, the second a dictionary.
    fn instance(&mut self, class: Id, arguments: &[Id]) -> Result<(), Error> {
        let valid = arguments.iter().zip(0..).all(|(&id, at)| match self.arena.get(id) {
            Value::Tuple(_) => at == 0,
            Value::Dict(_) => at == 1,
            Value::Opaque(_) => true,
            _ => false,
        });
        if !valid {
            return Err(self.unexpected("pickle object", "a tuple of arguments and a dictionary of named ones"));
        }
        let object = reduce::opaque(self.arena, class, false, self.offset)?;
        self.push(object)
    }

    fn append(&mut self, items: &[Id]) -> Result<(), Error> {
        let target = self.top()?;
        self.arena.charge(items.len(), size_of::<Id>(), self.offset)?;
        match self.arena.get_mut(target) {
            Value::List(list) => list.extend_from_slice(items),
            Value::Opaque(_) => {}
            _ => return Err(self.unexpected("pickle append", "a list below the items")),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Result<(), Error> {
        let target = self.top()?;
        self.arena.charge(items.len(), size_of::<Id>(), self.offset)?;
        let (pairs, rest) = items.as_chunks::<2>();
        match self.arena.get_mut(target) {
            Value::Dict(dict) if rest.is_empty() => dict.extend(pairs.iter().map(|&[key, value]| (key, value))),
            Value::Opaque(_) if rest.is_empty() => {}
            _ => return Err(self.unexpected("pickle item", "a dictionary below pairs of a key and a value")),
        }
        Ok(())
    }

    fn add_items(&mut self, items: &[Id]) -> Result<(), Error> {
        let target = self.top()?;
        self.arena.charge(items.len(), size_of::<Id>(), self.offset)?;
        match self.arena.get_mut(target) {
            Value::Set(set) => set.extend_from_slice(items),
            Value::Opaque(_) => {}
            _ => return Err(self.unexpected("pickle items", "a set below the items")),
        }
        Ok(())
    }

    /// Writers number the memo from zero, and each entry takes at least one byte: an index is below the offset.
    fn put_memo(&mut self, index: u32) -> Result<(), Error> {
        let top = self.top()?;
        if index as usize >= self.offset {
            return Err(Error::Limit { offset: self.offset, what: "pickle memo index", limit: self.offset as u64 });
        }
        self.arena.charge(1, 2 * size_of::<(u32, Id)>(), self.offset)?;
        self.memo.insert(index, top);
        Ok(())
    }

    fn get_memo(&mut self, index: u32) -> Result<(), Error> {
        match self.memo.get(&index) {
            Some(&id) => self.push(id),
            None => Err(self.unexpected("pickle memo index", "a number that was put before")),
        }
    }

    fn push(&mut self, id: Id) -> Result<(), Error> {
        if self.stack.len() == self.stack.capacity() {
            self.arena.charge(self.stack.len().max(4), size_of::<Id>(), self.offset)?;
        }
        self.stack.push(id);
        Ok(())
    }

    fn push_new(&mut self, value: Value) -> Result<(), Error> {
        let id = self.arena.add(value, self.offset)?;
        self.push(id)
    }

    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, Error> {
        match self.stack.last() {
            Some(&id) if self.stack.len() > self.floor() => Ok(id),
            _ => Err(self.unexpected("pickle stack", "an object")),
        }
    }

    fn pop(&mut self) -> Result<Id, Error> {
        let id = self.top()?;
        self.stack.pop();
        Ok(id)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Id>, Error> {
        match self.stack.len().checked_sub(count) {
            Some(start) if start >= self.floor() => Ok(self.stack.split_off(start)),
            _ => Err(self.unexpected("pickle stack", "more objects")),
        }
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>, Error> {
        match self.marks.pop() {
            Some(start) => Ok(self.stack.split_off(start)),
            None => Err(self.unexpected("pickle stack", "a mark")),
        }
    }

    fn unexpected(&self, what: &'static str, expected: &'static str) -> Error {
        Error::Unexpected { offset: self.offset, what, expected }
    }
}
