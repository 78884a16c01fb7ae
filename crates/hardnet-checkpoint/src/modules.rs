//! Whole modules of PyTorch, saved by `torch.save(model)`: opaque objects whose state has the tensors.
//!
//! `torch.nn.Module` keeps them in three dictionaries, from which `state_dict()` makes dotted names. The class is not
//! looked at: whatever it computes, its tensors are those in the dictionaries.

use std::collections::HashSet;

use crate::dictionaries::named;
use crate::error::Error;
use crate::pickle::{Arena, Id, Opaque, Value};

/// Most modules inside each other; published networks have six levels.
const MAX_LEVELS: usize = 64;

/// Most attributes of a module. The limit keeps the time of looking at objects proportional to the file.
const MAX_ATTRIBUTES: usize = 1024;

/// The dictionaries of a module.
struct Attributes {
    parameters: Id,
    buffers: Id,
    modules: Id,
    /// Buffers that `state_dict()` leaves out.
    transient: Option<Id>,
}

/// Whether a value is a module.
pub(crate) fn is_module(arena: &Arena<'_>, id: Id) -> bool {
    attributes(arena, id).is_some()
}

/// The parameters and buffers of a module and of the modules in it, named and ordered as by `state_dict()`.
///
/// Values that are not tensors are among them.
///
/// # Errors
///
/// [`Error::Cycle`] for a module inside itself, [`Error::Limit`] for more levels than 64, or if modules that are shared
/// give more names than the file has bytes for.
pub(crate) fn state(arena: &mut Arena<'_>, module: Id) -> Result<Vec<(String, Id)>, Error> {
    let mut walk = Walk { arena, named: Vec::new(), open: Vec::new() };
    walk.visit(module, "")?;
    Ok(walk.named)
}

struct Walk<'b, 'a> {
    arena: &'b mut Arena<'a>,
    named: Vec<(String, Id)>,
    /// The modules around the one that is visited.
    open: Vec<Id>,
}

impl<'a> Walk<'_, 'a> {
    fn visit(&mut self, module: Id, prefix: &str) -> Result<(), Error> {
        let Some(attributes) = attributes(self.arena, module) else { return Ok(()) };
        let offset = self.arena.offset(module);
        if self.open.contains(&module) {
            return Err(Error::Cycle { offset });
        }
        if self.open.len() == MAX_LEVELS {
            return Err(Error::Limit { offset, what: "nesting", limit: MAX_LEVELS as u64 });
        }
        self.open.push(module);
        let transient = self.texts(attributes.transient)?;
        let none = HashSet::new();
        for (dictionary, left_out) in [(attributes.parameters, &none), (attributes.buffers, &transient)] {
            for (name, id) in named(self.arena, dictionary)? {
                if !left_out.contains(name) && !matches!(self.arena.get(id), Value::None) {
                    self.arena.charge(1, size_of::<(String, Id)>() + prefix.len() + name.len(), offset)?;
                    self.named.push((format!("{prefix}{name}"), id));
                }
            }
        }
        for (name, id) in named(self.arena, attributes.modules)? {
            self.arena.charge(1, prefix.len() + name.len() + 1, offset)?;
            self.visit(id, &format!("{prefix}{name}."))?;
        }
        self.open.pop();
        Ok(())
    }

    /// The texts in a set.
    fn texts(&mut self, set: Option<Id>) -> Result<HashSet<&'a str>, Error> {
        let Some(set) = set else { return Ok(HashSet::new()) };
        let Value::Set(items) = self.arena.get(set) else { return Ok(HashSet::new()) };
        let count = items.len();
        self.arena.charge(count, 2 * size_of::<&str>(), self.arena.offset(set))?;
        let Value::Set(items) = self.arena.get(set) else { return Ok(HashSet::new()) };
        Ok(items.iter().filter_map(|&item| self.arena.text(item)).collect())
    }
}

fn attributes(arena: &Arena<'_>, id: Id) -> Option<Attributes> {
    let Value::Opaque(Opaque { state: Some(state), .. }) = *arena.get(id) else { return None };
    let Value::Dict(pairs) = arena.get(state) else { return None };
    if pairs.len() > MAX_ATTRIBUTES {
        return None;
    }
    let attribute = |name: &str| pairs.iter().rev().find(|(key, _)| arena.is_text(*key, name)).map(|&(_, id)| id);
    let dictionary = |name: &str| attribute(name).filter(|&id| matches!(arena.get(id), Value::Dict(_)));
    Some(Attributes {
        parameters: dictionary("_parameters")?,
        buffers: dictionary("_buffers")?,
        modules: dictionary("_modules")?,
        transient: attribute("_non_persistent_buffers_set"),
    })
}
