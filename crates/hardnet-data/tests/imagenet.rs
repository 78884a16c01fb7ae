//! The embedded ImageNet table. `tools/imagenet_classes.py --check` compares it with timm's data files in full.

use std::collections::BTreeMap;

use hardnet_data::imagenet::{class_index, classes};

#[test]
fn a_thousand_ids_in_ascending_order() {
    assert_eq!(classes().len(), 1000);
    for class in classes() {
        let digits = class.wordnet_id.strip_prefix('n').expect("ids start with n");
        assert!(digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_digit()), "{class:?}");
        assert!(!class.name.is_empty() && class.name == class.name.trim(), "{class:?}");
    }
    assert!(classes().is_sorted_by(|a, b| a.wordnet_id < b.wordnet_id));
}

#[test]
fn well_known_classes_have_their_index() {
    let table = [
        (0, "n01440764", "tench, Tinca tinca"),
        (1, "n01443537", "goldfish, Carassius auratus"),
        (65, "n01751748", "sea snake"),
        (134, "n02012849", "crane"),
        (207, "n02099601", "golden retriever"),
        (281, "n02123045", "tabby, tabby cat"),
        (388, "n02510455", "giant panda, panda, panda bear, coon bear, Ailuropoda melanoleuca"),
        (517, "n03126707", "crane"),
        (638, "n03710637", "maillot"),
        (639, "n03710721", "maillot, tank suit"),
        (999, "n15075141", "toilet tissue, toilet paper, bathroom tissue"),
    ];
    for (index, id, name) in table {
        let class = classes()[index];
        assert_eq!((class.wordnet_id, class.name), (id, name), "class {index}");
    }
}

#[test]
fn class_index_inverts_the_table_and_knows_no_others() {
    for (index, class) in classes().iter().enumerate() {
        assert_eq!(class_index(class.wordnet_id), Some(index as u32));
    }
    for other in ["", "n", "n00000000", "n99999999", "N01440764", "n01440764 ", "01440764", "tench, Tinca tinca"] {
        assert_eq!(class_index(other), None, "{other:?}");
    }
}

#[test]
fn crane_and_maillot_are_the_ambiguous_names() {
    let shared = |name: fn(&'static str) -> &'static str| {
        let mut indices = BTreeMap::<_, Vec<_>>::new();
        for (index, class) in classes().iter().enumerate() {
            indices.entry(name(class.name)).or_default().push(index);
        }
        indices.into_iter().filter(|(_, indices)| indices.len() > 1).collect::<Vec<_>>()
    };
    assert_eq!(shared(|name| name), [("crane", vec![134, 517])]);
    let first_word = |name: &'static str| name.split(',').next().expect("split gives at least one part");
    assert_eq!(shared(first_word), [("crane", vec![134, 517]), ("maillot", vec![638, 639])]);
}
