//! The 1,000 classes of ImageNet ILSVRC 2012: their WordNet ids and words, in index order.
//!
//! Class index i is the i-th WordNet id in ascending order, as in timm, torchvision's `ImageFolder` over the thousand
//! folders, and every published HarDNet checkpoint. The development kit's `ILSVRC2012_ID` (1 to 1,000) is another
//! numbering. Source and license of the table: `imagenet/NOTICE`.

use std::sync::OnceLock;

/// One class of ImageNet ILSVRC 2012.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Class {
    /// The WordNet 3.0 id, `n` and eight digits: `n01440764`.
    pub wordnet_id: &'static str,
    /// WordNet's synonyms, separated by a comma and a blank: `tench, Tinca tinca`.
    ///
    /// Not a key: `crane` is both 134 (the bird) and 517 (the machine), and of `maillot` (638) and
    /// `maillot, tank suit` (639) the first word alone is the same.
    pub name: &'static str,
}

/// The 1,000 classes in index order.
pub fn classes() -> &'static [Class] {
    static CLASSES: OnceLock<Vec<Class>> = OnceLock::new();
    CLASSES.get_or_init(|| include_str!("imagenet/classes.tsv").lines().map(parse).collect())
}

/// The class index of a WordNet id, or `None` if it is not one of the thousand.
///
/// The id is taken as ImageNet spells it: a lower-case `n` and eight digits.
pub fn class_index(wordnet_id: &str) -> Option<u32> {
    classes().binary_search_by(|class| class.wordnet_id.cmp(wordnet_id)).ok().map(|index| index as u32)
}

/// Whether `name` is spelled like a WordNet noun id: `n` and eight digits.
pub(crate) fn is_wordnet_id(name: &str) -> bool {
    name.strip_prefix('n').is_some_and(|digits| digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit()))
}

fn parse(line: &'static str) -> Class {
    let (wordnet_id, name) = line.split_once('\t').expect("each line of the embedded classes.tsv holds a tab");
    Class { wordnet_id, name }
}
