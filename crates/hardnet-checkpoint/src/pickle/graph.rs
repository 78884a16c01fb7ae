//! Checks of the finished values: no cycles, bounded nesting, bounded expansion of shared values.

use super::value::{Arena, Id, Value};
use crate::error::Error;

/// Most levels of containers. A checkpoint with an optimizer has six.
const MAX_DEPTH: u32 = 64;
/// Most values in a container, counting each use of a shared value.
const MAX_VALUES: u64 = 1 << 24;

#[derive(Clone, Copy)]
enum Visit {
    New,
    Open,
    Done { depth: u32, size: u64 },
}

/// Walks all values once, with an explicit stack.
///
/// Objects that are not made end a path, as nothing is taken from them but the state of a module, whose walk has limits
/// of its own: objects of Python often refer to each other in circles. Containers in their state are values like all.
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
                    if *depth >= MAX_DEPTH {
                        return Err(Error::Limit { offset, what: "nesting", limit: u64::from(MAX_DEPTH) });
                    }
                    if *size > MAX_VALUES {
                        return Err(Error::Limit { offset, what: "shared values", limit: MAX_VALUES });
                    }
                }
                Visit::New => {
                    visits[child as usize] = Visit::Open;
                    stack.push((child, 0, 0, 1));
                    check_depth(&stack, arena)?;
                }
            }
        }
    }
    Ok(())
}

/// Bounds the stack of the walk by the allowed nesting.
fn check_depth(stack: &[(Id, usize, u32, u64)], arena: &Arena<'_>) -> Result<(), Error> {
    if stack.len() > MAX_DEPTH as usize {
        return Err(Error::Limit { offset: arena.offset(stack[0].0), what: "nesting", limit: u64::from(MAX_DEPTH) });
    }
    Ok(())
}

fn child(value: &Value, index: usize) -> Option<Id> {
    match value {
        Value::Tuple(items) | Value::List(items) | Value::Set(items) => items.get(index).copied(),
        Value::Dict(items) => items.get(index / 2).map(|&(key, value)| if index & 1 == 0 { key } else { value }),
        _ => None,
    }
}
