//! The parts of a file: its tensors below a path of modules, such as `model.` or `student.backbone.`.
//!
//! A network that is saved inside another, or wrapped by a tool, has names that begin with the path to it. A part
//! begins wherever a scheme's first parameter does, so that no list of prefixes is needed; what is done with all parts
//! grows with the length of the file's names.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

use hardnet_graph::{Config, Graph, Variant};

use super::FileTensor;
use crate::error::Result;
use crate::scheme::Scheme;

/// Names of modules that hold another module and nothing else: parallel training, `torch.compile`, sharded training,
/// activation checkpoints, Lightning's Fabric. No scheme has modules of these names.
const WRAPPERS: [&str; 5] =
    ["module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module", "_forward_module"];

/// Tensors of a file whose names begin alike.
pub(super) struct Part<'a> {
    /// The beginning, without wrappers; empty for the whole file.
    pub(super) prefix: &'a str,
    /// The rest of each name, without wrappers, and the tensor's position, in the order of the file.
    pub(super) tensors: Vec<(&'a str, usize)>,
}

/// The names of a file's tensors, without wrappers unless two would become the same.
pub(super) struct Names<'a> {
    paths: Vec<Cow<'a, str>>,
    /// Positions in the order of the paths: tensors of one prefix stand together.
    sorted: Vec<usize>,
    /// Whether the paths are without wrappers.
    are_unwrapped: bool,
}

impl<'a> Names<'a> {
    pub(super) fn new(tensors: &'a [FileTensor]) -> Self {
        let mut paths: Vec<_> = tensors.iter().map(|tensor| unwrapped(&tensor.name)).collect();
        let mut distinct = HashSet::with_capacity(paths.len());
        let are_unwrapped = paths.iter().all(|path| distinct.insert(path.as_ref()));
        if !are_unwrapped {
            paths = tensors.iter().map(|tensor| Cow::Borrowed(tensor.name.as_str())).collect();
        }
        let mut sorted: Vec<_> = (0..paths.len()).collect();
        sorted.sort_by(|&a, &b| paths[a].cmp(&paths[b]));
        Self { paths, sorted, are_unwrapped }
    }

    /// The whole file.
    pub(super) fn whole(&self) -> Part<'_> {
        self.below("")
    }

    /// The tensors whose names begin with `prefix`.
    pub(super) fn below<'b>(&'b self, prefix: &'b str) -> Part<'b> {
        let start = self.sorted.partition_point(|&at| self.paths[at].as_ref() < prefix);
        let inside = self.sorted[start..].iter().take_while(|&&at| self.paths[at].starts_with(prefix));
        let mut tensors: Vec<_> = inside.map(|&at| (&self.paths[at][prefix.len()..], at)).collect();
        tensors.sort_by_key(|&(_, at)| at);
        Part { prefix, tensors }
    }

    /// The prefixes under which a network may be, the whole file's left out, and the schemes by which its first
    /// parameter is named there.
    ///
    /// # Errors
    ///
    /// None that a file can cause.
    pub(super) fn prefixes(&self) -> Result<BTreeMap<&str, Vec<Scheme>>> {
        let graph = Graph::new(&Config::from(Variant::HarDNet68))?;
        let first = |scheme: Scheme| Some((scheme, scheme.params(&graph).into_iter().next()?.key));
        let firsts: Vec<_> = Scheme::ALL.into_iter().filter_map(first).collect();
        let mut prefixes: BTreeMap<&str, Vec<Scheme>> = BTreeMap::new();
        for path in &self.paths {
            for (scheme, key) in &firsts {
                if let Some(prefix) = path.strip_suffix(key.as_str())
                    && prefix.ends_with('.')
                {
                    prefixes.entry(prefix).or_default().push(*scheme);
                }
            }
        }
        Ok(prefixes)
    }

    /// The beginning of the paths of names that begin with `text`, whose last period may be left out.
    pub(super) fn prefix(&self, text: &str) -> String {
        let ended = if text.is_empty() || text.ends_with('.') { text.to_owned() } else { format!("{text}.") };
        if !self.are_unwrapped {
            return ended;
        }
        // A wrapper at the end is one in the middle of a name.
        let with_leaf = format!("{ended}x");
        unwrapped(&with_leaf).strip_suffix('x').unwrap_or_default().to_owned()
    }
}

/// A name without the modules that only wrap another.
fn unwrapped(name: &str) -> Cow<'_, str> {
    if !name.split('.').any(|part| WRAPPERS.contains(&part)) {
        return Cow::Borrowed(name);
    }
    let (modules, leaf) = name.rsplit_once('.').unwrap_or(("", name));
    let kept = modules.split('.').filter(|part| !part.is_empty() && !WRAPPERS.contains(part));
    Cow::Owned(kept.chain([leaf]).collect::<Vec<_>>().join("."))
}

/// The wrappers in a name.
pub(super) fn wrappers(name: &str) -> impl Iterator<Item = &str> {
    name.split('.').filter(|part| WRAPPERS.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<FileTensor> {
        let tensor = |name: &&str| FileTensor { name: (*name).into(), shape: vec![1], unreadable: None };
        names.iter().map(tensor).collect()
    }

    #[test]
    fn wrappers_are_left_out_of_names() {
        let cases = [
            ("module._orig_mod.base.0.conv.weight", "base.0.conv.weight"),
            ("base._orig_mod.0._fsdp_wrapped_module.conv.weight", "base.0.conv.weight"),
            ("base.0.conv.weight", "base.0.conv.weight"),
            ("module", "module"),
            ("x.module", "x.module"),
            ("modules.weight", "modules.weight"),
        ];
        for (name, expected) in cases {
            assert_eq!(unwrapped(name), expected);
        }
        let one = named(&["module.a.weight"]);
        let names = Names::new(&one);
        assert_eq!(["module.student", "student.", "student"].map(|text| names.prefix(text)), ["student."; 3]);
        assert_eq!(["", "_orig_mod."].map(|text| names.prefix(text)), [""; 2]);
        let both = named(&["module.a.weight", "a.weight"]);
        let names = Names::new(&both);
        assert_eq!(names.paths, ["module.a.weight", "a.weight"]);
        assert_eq!(["module.a", "a"].map(|text| names.prefix(text)), ["module.a.", "a."]);
    }

    #[test]
    fn a_part_has_the_tensors_below_its_prefix() {
        let tensors = named(&["z.0.conv.weight", "a.base.0.conv.weight", "a.base.x", "a.z", "a-b", "n", "ab.c"]);
        let names = Names::new(&tensors);
        let prefixes = names.prefixes().unwrap();
        assert_eq!(prefixes.keys().copied().collect::<Vec<_>>(), ["a.", "a.base.", "z."]);
        assert_eq!((&prefixes["a.base."], &prefixes["z."]), (&vec![Scheme::Bare], &vec![Scheme::Bare]));
        assert_eq!(prefixes["a."], [Scheme::PyTorch, Scheme::PaddleClas]);
        assert_eq!(names.below("a.").tensors, [("base.0.conv.weight", 1), ("base.x", 2), ("z", 3)]);
        assert_eq!(names.below("b.").tensors, []);
        assert_eq!(names.whole().tensors.len(), 7);
    }
}
