//! Checks of the finished values: no container holds itself, none is deep, and sharing does not multiply.

use super::value::{Arena, Id, Value};
use crate::error::Error;

/// Levels of containers. A checkpoint with an optimiser has six.
const DEEPEST: u32 = 64;
/// Values a container may have when each use of a shared one is counted.
const LARGEST: u64 = 1 << 24;

#[derive(Clone, Copy)]
enum Visit {
    New,
    Open,
    Done { depth: u32, size: u64 },
}

/// Walks all values once, with a stack of its own.
pub(crate) fn check(arena: &mut Arena<'_>) -> Result<(), Error> {
    arena.charge(arena.len(), size_of::<Visit>() / 3 + 1, 0)?;
    let mut visits = vec![Visit::New; arena.len()];
    let mut stack: Vec<(Id, usize, u32, u64)> = Vec::new();
    for root in arena.ids() {
        if matches!(visits[root as usize], Visit::New) {
            visits[root as usize] = Visit::Open;
            stack.push((root, 0, 0, 1));
        }
        while let Some((id, next, depth, size)) = stack.last_mut() {
            let Some(child) = child(arena.get(*id), *next) else {
                let done = (*id, *depth + 1, *size);
                stack.pop();
                visits[done.0 as usize] = Visit::Done { depth: done.1, size: done.2 };
                continue;
            };
            match visits[child as usize] {
                Visit::Open => return Err(Error::Cycle { offset: arena.offset(child) }),
                Visit::Done { depth: below, size: more } => {
                    *next += 1;
                    *depth = below.max(*depth);
                    *size = size.saturating_add(more);
                    let offset = arena.offset(*id);
                    if *depth >= DEEPEST {
                        return Err(Error::Limit { offset, what: "nesting", limit: u64::from(DEEPEST) });
                    }
                    if *size > LARGEST {
                        return Err(Error::Limit { offset, what: "shared values", limit: LARGEST });
                    }
                }
                Visit::New => {
                    visits[child as usize] = Visit::Open;
                    stack.push((child, 0, 0, 1));
                    arena_depth(&stack, arena)?;
                }
            }
        }
    }
    Ok(())
}

/// Keeps the stack of the walk as short as the values may be deep; a loop is found before, or is as deep.
fn arena_depth(stack: &[(Id, usize, u32, u64)], arena: &Arena<'_>) -> Result<(), Error> {
    if stack.len() > DEEPEST as usize {
        return Err(Error::Limit { offset: arena.offset(stack[0].0), what: "nesting", limit: u64::from(DEEPEST) });
    }
    Ok(())
}

fn child(value: &Value, index: usize) -> Option<Id> {
    match value {
        Value::Tuple(items) | Value::List(items) => items.get(index).copied(),
        Value::Dict(items) => items.get(index / 2).map(|&(key, value)| if index & 1 == 0 { key } else { value }),
        _ => None,
    }
}
