//! The opcodes of protocols 0 and 1 that hold their values as lines of text.

use std::ops::Range;

use super::Machine;
use crate::error::Error;
use crate::pickle::opcode as op;
use crate::pickle::value::{Payload, Value};

impl Machine<'_, '_> {
    /// Runs an opcode of text. All that are not known are refused.
    pub(super) fn text_step(&mut self, opcode: u8) -> Result<(), Error> {
        match opcode {
            op::INT | op::LONG => self.integer(),
            op::FLOAT => {
                let line = self.cursor.line("pickle float")?;
                match self.ascii(&line).map(str::parse::<f64>) {
                    Some(Ok(_)) => self.push_new(Value::Ignored),
                    _ => Err(self.unexpected("pickle float", "decimal digits")),
                }
            }
            op::STRING => self.string(),
            op::UNICODE => {
                let line = self.cursor.long_line("pickle string")?;
                let plain = self.ascii(&line).is_some_and(|text| !text.contains('\\'));
                self.push_new(if plain { Value::Text(line) } else { Value::Ignored })
            }
            op::GET => {
                let index = self.memo_index()?;
                self.get_memo(index)
            }
            op::PUT => {
                let index = self.memo_index()?;
                self.put_memo(index)
            }
            op::LIST => {
                let items = self.pop_mark()?;
                self.push_new(Value::List(items))
            }
            op::DICT => {
                let items = self.pop_mark()?;
                self.push_new(Value::Dict(Vec::new()))?;
                self.set(&items)
            }
            _ => Err(Error::RefusedOpcode { offset: self.offset, opcode }),
        }
    }

    /// INT and LONG: decimal digits. The former writes flags as two digits, the latter ends with a letter.
    fn integer(&mut self) -> Result<(), Error> {
        let line = self.cursor.long_line("pickle integer")?;
        let text = self.ascii(&line).unwrap_or_default();
        let digits = text.strip_suffix('L').unwrap_or(text);
        let value = match (text, digits.parse()) {
            ("00", _) => Value::Bool(false),
            ("01", _) => Value::Bool(true),
            (_, Ok(int)) => Value::Int(int),
            _ => {
                let digits = digits.strip_prefix('-').unwrap_or(digits);
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(self.unexpected("pickle integer", "decimal digits"));
                }
                Value::Ignored
            }
        };
        self.push_new(value)
    }

    /// STRING: a literal of Python 2 in quotes.
    fn string(&mut self) -> Result<(), Error> {
        let line = self.cursor.long_line("pickle string")?;
        let bytes = self.arena.slice(&line);
        match bytes {
            [first @ (b'"' | b'\''), inner @ .., last] if first == last => {
                let plain = !inner.contains(&b'\\');
                let range = line.start + 1..line.end - 1;
                self.push_new(if plain { Value::Bytes(Payload::Raw(range)) } else { Value::Ignored })
            }
            _ => Err(self.unexpected("pickle string", "quotes around it")),
        }
    }

    fn memo_index(&mut self) -> Result<u32, Error> {
        let line = self.cursor.line("pickle memo index")?;
        let index = self.ascii(&line).and_then(|text| text.parse().ok());
        index.ok_or_else(|| self.unexpected("pickle memo index", "decimal digits"))
    }

    /// A line as text, if it is ASCII.
    fn ascii(&self, line: &Range<usize>) -> Option<&str> {
        std::str::from_utf8(self.arena.slice(line)).ok().filter(|text| text.is_ascii())
    }
}
