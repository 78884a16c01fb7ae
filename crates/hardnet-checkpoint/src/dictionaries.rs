//! The dictionaries of tensors in an object: which there are, and which one is the network.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;

use hardnet_base::excerpt;

use crate::error::Error;
use crate::modules;
use crate::pickle::{Arena, Id, Value};
use crate::state_dict::is_tensor;

/// Keys under which training programs save their networks. Averaged weights come first, as in timm's `load_checkpoint`:
/// they are the ones that were evaluated.
const WRAPPERS: [&str; 14] = [
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema_model",
    "ema",
    "params_ema",
    "state_dict",
    "model_state",
    "model_state_dict",
    "model",
    "module",
    "network",
    "net",
    "params",
];
const MAX_LEVELS: usize = 4;
/// Path of the top level.
pub(crate) const TOP: &str = ".";

/// A dictionary of tensors in a file, or a whole module.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dictionary {
    /// The keys that lead to it, joined by periods; `.` is the top level.
    pub path: String,
    /// Number of its tensors.
    pub tensors: usize,
}

impl fmt::Display for Dictionary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let noun = if self.tensors == 1 { "tensor" } else { "tensors" };
        write!(f, "`{}` ({} {noun})", excerpt(&self.path), self.tensors)
    }
}

/// The dictionary that was chosen.
pub(crate) struct Choice {
    pub(crate) id: Id,
    pub(crate) path: String,
    /// All that could be chosen, in the order of the file.
    pub(crate) dictionaries: Vec<Dictionary>,
    /// Keys of networks that come before the chosen one, and hold an object that is not read.
    pub(crate) passed_over: Vec<(String, Id)>,
}

impl Choice {
    /// The keys that lead to the dictionary, if there are any.
    pub(crate) fn wrapper(&self) -> Option<String> {
        (self.path != TOP).then(|| self.path.clone())
    }
}

/// Chooses a dictionary of `root`: the one of the path `entry`, or the one that is the network by its key.
///
/// # Errors
///
/// [`Error::NoEntry`] if there is none of that path, [`Error::Choice`] if there are several and no key tells,
/// [`Error::RefusedGlobal`] if an object of an unknown class is all there is, otherwise [`Error::NoTensors`].
pub(crate) fn choose(arena: &mut Arena<'_>, root: Id, entry: Option<&str>) -> Result<Choice, Error> {
    let places = survey(arena, root)?;
    let mut listed = Vec::new();
    for (index, place) in places.iter().enumerate().filter(|(_, place)| place.listed()) {
        let path = path(&places, index);
        arena.charge(1, size_of::<(Id, Dictionary)>() + 2 * path.len(), arena.offset(place.id))?;
        listed.push((place.id, Dictionary { path, tensors: place.tensors }));
    }
    let mut passed_over = Vec::new();
    let (id, path) = match entry {
        Some(entry) => by_path(arena, root, entry, &listed)?,
        None => match (Keys::new(&places, true).find(&mut passed_over), listed.as_slice()) {
            (Some(found), _) => found,
            (None, [(id, only)]) => (*id, only.path.clone()),
            (None, []) => match Keys::new(&places, false).find(&mut Vec::new()) {
                Some(found) => found,
                None => return Err(nothing(arena, &places, &passed_over)),
            },
            (None, several) => {
                return Err(Error::Choice { available: several.iter().map(|(_, one)| one.clone()).collect() });
            }
        },
    };
    let mut dictionaries: Vec<Dictionary> = listed.into_iter().map(|(_, dictionary)| dictionary).collect();
    if dictionaries.iter().all(|dictionary| dictionary.path != path) {
        dictionaries.push(Dictionary { path: path.clone(), tensors: 0 });
    }
    Ok(Choice { id, path, dictionaries, passed_over })
}

/// A dictionary, module or object on the way to the tensors.
#[derive(Clone, Copy)]
struct Place<'a> {
    id: Id,
    /// The place around it; the first one has none.
    parent: usize,
    key: &'a str,
    /// The first place of the same value, which has the places inside it.
    first: usize,
    tensors: usize,
    /// Values that are not tensors.
    others: usize,
    /// The class of an object that is not a module, or of the first value of a dictionary that has nothing but objects.
    object: Option<Id>,
}

impl Place<'_> {
    /// Whether it is a dictionary of tensors, rather than one that has a tensor among other values.
    fn listed(&self) -> bool {
        self.tensors > 0 && self.tensors >= self.others
    }
}

/// All places that text keys lead to, from the top down: those inside one place follow each other.
fn survey<'a>(arena: &mut Arena<'a>, root: Id) -> Result<Vec<Place<'a>>, Error> {
    let mut places: Vec<Place<'a>> = Vec::new();
    let mut seen: HashMap<Id, usize> = HashMap::new();
    let mut queue = VecDeque::from([(root, 0, "", 0)]);
    while let Some((id, parent, key, level)) = queue.pop_front() {
        let first = places.len();
        arena.charge(1, size_of::<Place<'_>>() + 2 * size_of::<(Id, usize)>(), arena.offset(id))?;
        if let Some(&first) = seen.get(&id) {
            places.push(Place { parent, key, ..places[first] });
            continue;
        }
        seen.insert(id, first);
        let mut place = Place { id, parent, key, first, tensors: 0, others: 0, object: None };
        if modules::is_module(arena, id) {
            let state = modules::state(arena, id)?;
            place.tensors = state.iter().filter(|&&(_, id)| is_tensor(arena, id)).count();
        } else if let Value::Dict(pairs) = arena.get(id) {
            place.tensors = pairs.iter().filter(|&&(_, value)| is_tensor(arena, value)).count();
            place.others = pairs.len() - place.tensors;
            let objects = pairs.iter().all(|&(_, value)| arena.unknown(value).is_some());
            place.object = pairs.first().filter(|_| objects).and_then(|&(_, value)| arena.unknown(value));
            if level < MAX_LEVELS {
                for (key, value) in inner(arena, id)? {
                    arena.charge(1, size_of::<(Id, usize, &str, usize)>(), arena.offset(value))?;
                    queue.push_back((value, first, key, level + 1));
                }
            }
        } else {
            place.object = arena.unknown(id);
        }
        places.push(place);
    }
    Ok(places)
}

/// The values of a dictionary that may lead to tensors: dictionaries and objects of unknown classes.
///
/// # Errors
///
/// [`Error::Unexpected`] if one of their keys occurs twice: Python would see the last.
fn inner<'a>(arena: &mut Arena<'a>, dictionary: Id) -> Result<Vec<(&'a str, Id)>, Error> {
    let leads = |arena: &Arena<'_>, id: Id| matches!(arena.get(id), Value::Dict(_)) || arena.unknown(id).is_some();
    let Value::Dict(pairs) = arena.get(dictionary) else { return Ok(Vec::new()) };
    let count = pairs.iter().filter(|&&(_, value)| leads(arena, value)).count();
    arena.charge(count, 3 * size_of::<(&str, Id)>(), arena.offset(dictionary))?;
    let Value::Dict(pairs) = arena.get(dictionary) else { return Ok(Vec::new()) };
    let found: Vec<(&str, Id)> = (pairs.iter())
        .filter(|&&(_, value)| leads(arena, value))
        .filter_map(|&(key, value)| Some((arena.text(key)?, value)))
        .collect();
    if found.is_empty() {
        return Ok(found);
    }
    let mut left: HashSet<&str> = found.iter().map(|&(key, _)| key).collect();
    let keys: HashSet<&str> = left.clone();
    for &(key, _) in pairs {
        if let Some(key) = arena.text(key)
            && keys.contains(key)
            && !left.remove(key)
        {
            let expected = "each key of a dictionary once";
            return Err(Error::Unexpected { offset: arena.offset(dictionary), what: "dictionary", expected });
        }
    }
    Ok(found)
}

/// The values of a dictionary under names, in the order of the file. Keys that are not text are left out.
///
/// # Errors
///
/// [`Error::DuplicateName`] for a name that occurs twice, [`Error::Unexpected`] for a tensor under a key that is not
/// text.
pub(crate) fn named<'a>(arena: &mut Arena<'a>, dictionary: Id) -> Result<Vec<(&'a str, Id)>, Error> {
    let Value::Dict(pairs) = arena.get(dictionary) else { return Ok(Vec::new()) };
    let count = pairs.len();
    arena.charge(count, 3 * size_of::<(&str, Id)>(), arena.offset(dictionary))?;
    let Value::Dict(pairs) = arena.get(dictionary) else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    let mut names = HashSet::new();
    for &(key, value) in pairs {
        match arena.text(key) {
            Some(name) if names.insert(name) => found.push((name, value)),
            Some(name) => return Err(Error::DuplicateName { name: excerpt(name) }),
            None if is_tensor(arena, value) => {
                return Err(Error::Unexpected {
                    offset: arena.offset(key),
                    what: "tensor name",
                    expected: "text of at most 1024 bytes as the key of a tensor",
                });
            }
            None => {}
        }
    }
    Ok(found)
}

fn path(places: &[Place<'_>], mut index: usize) -> String {
    let mut keys = Vec::new();
    while index > 0 {
        keys.push(places[index].key);
        index = places[index].parent;
    }
    if keys.is_empty() {
        return TOP.into();
    }
    keys.reverse();
    keys.join(".")
}

/// A search for the network by the keys of [`WRAPPERS`].
struct Keys<'b, 'a> {
    places: &'b [Place<'a>],
    /// Whether a dictionary must have more tensors than other values.
    strict: bool,
    path: Vec<&'a str>,
    seen: HashSet<usize>,
}

impl<'b, 'a> Keys<'b, 'a> {
    fn new(places: &'b [Place<'a>], strict: bool) -> Self {
        Self { places, strict, path: Vec::new(), seen: HashSet::new() }
    }

    /// The network's value and path. Objects under keys that come first are added to `passed_over`.
    fn find(&mut self, passed_over: &mut Vec<(String, Id)>) -> Option<(Id, String)> {
        let index = self.inside(0, passed_over)?;
        let path = if self.path.is_empty() { TOP.into() } else { self.path.join(".") };
        Some((self.places[index].id, path))
    }

    /// The network in the place `index`: under the first key that leads to one, or the place itself.
    fn inside(&mut self, index: usize, passed_over: &mut Vec<(String, Id)>) -> Option<usize> {
        let place = self.places[index];
        // A dictionary without a network is tried once.
        if !self.seen.insert(place.first) {
            return None;
        }
        let mut children = [None; WRAPPERS.len()];
        let start = self.places.partition_point(|child| child.parent < place.first).max(1);
        let inside = |(_, child): &(usize, &Place<'_>)| child.parent == place.first;
        for (at, child) in self.places.iter().enumerate().skip(start).take_while(inside) {
            if let Some(rank) = WRAPPERS.iter().position(|key| *key == child.key) {
                children[rank] = Some(at);
            }
        }
        for child in children.into_iter().flatten() {
            let inner = self.places[child];
            self.path.push(inner.key);
            if let Some(found) = self.inside(child, passed_over) {
                return Some(found);
            }
            if let (Some(class), 0) = (inner.object, inner.others) {
                passed_over.push((self.path.join("."), class));
            }
            self.path.pop();
        }
        (place.listed() || !self.strict && place.tensors > 0).then_some(index)
    }
}

/// The dictionary or module of a path: a listed one, or any other that holds a tensor.
fn by_path(arena: &Arena<'_>, root: Id, entry: &str, listed: &[(Id, Dictionary)]) -> Result<(Id, String), Error> {
    let found = match listed.iter().find(|(_, dictionary)| dictionary.path == entry) {
        Some((id, _)) => Some(*id),
        None if entry == TOP => Some(root),
        None => follow(arena, root, entry, 0),
    };
    let holds_tensors = |id| match arena.get(id) {
        Value::Dict(pairs) => pairs.iter().any(|&(_, value)| is_tensor(arena, value)),
        _ => modules::is_module(arena, id),
    };
    match (found, found.and_then(|id| arena.unknown(id))) {
        (Some(id), _) if holds_tensors(id) => Ok((id, entry.to_owned())),
        (Some(_), Some(class)) => Err(arena.refusal(class)),
        _ => Err(Error::NoEntry {
            entry: excerpt(entry),
            available: listed.iter().map(|(_, dictionary)| dictionary.clone()).collect(),
        }),
    }
}

/// The value that keys joined by periods lead to. Keys may have periods themselves.
fn follow(arena: &Arena<'_>, dictionary: Id, path: &str, level: usize) -> Option<Id> {
    let Value::Dict(pairs) = arena.get(dictionary) else { return None };
    if let Some((_, id)) = pairs.iter().rev().find(|&&(key, _)| arena.is_text(key, path)) {
        return Some(*id);
    }
    if level == MAX_LEVELS {
        return None;
    }
    (path.match_indices('.').take(MAX_LEVELS)).find_map(|(at, _)| {
        let (_, id) = pairs.iter().rev().find(|&&(key, _)| arena.is_text(key, &path[..at]))?;
        follow(arena, *id, &path[at + 1..], level + 1)
    })
}

/// The error of an object without tensors: the class that stands where a network should be, if there is one.
fn nothing(arena: &Arena<'_>, places: &[Place<'_>], passed_over: &[(String, Id)]) -> Error {
    let network = |(index, place): &(usize, &Place<'_>)| *index == 0 || WRAPPERS.contains(&place.key);
    let instead = || places.iter().enumerate().filter(network).find_map(|(_, place)| place.object);
    match passed_over.first().map(|(_, class)| *class).or_else(instead) {
        Some(class) => arena.refusal(class),
        None => Error::NoTensors,
    }
}
