//! Images with masks, found by their names.

use std::path::Path;

use hardnet_segmentation::{LabelKind, Pair, PairsError, Split, cityscapes_pairs, folder_pairs, is_cityscapes};

fn folder(files: &[&str]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for file in files {
        let path = folder.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, "").unwrap();
    }
    folder
}

/// The names of images, their masks below the folder, and what the masks hold.
fn told(root: &Path, pairs: &[Pair]) -> Vec<(String, String, LabelKind)> {
    let below = |path: &Path| path.strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
    pairs.iter().map(|pair| (pair.name.clone(), below(&pair.mask), pair.labels)).collect()
}

#[test]
fn cityscapes_has_its_layout() {
    let images = folder(&[
        "leftImg8bit/val/ulm/ulm_000000_000019_leftImg8bit.png",
        "leftImg8bit/val/bonn/bonn_000001_000019_leftImg8bit.png",
        "leftImg8bit/train/jena/jena_000000_000019_leftImg8bit.png",
        "gtFine/val/ulm/ulm_000000_000019_gtFine_labelIds.png",
        "gtFine/val/ulm/ulm_000000_000019_gtFine_labelTrainIds.png",
        "gtFine/val/ulm/ulm_000000_000019_gtFine_color.png",
        "gtFine/val/bonn/bonn_000001_000019_gtFine_labelTrainIds.png",
    ]);
    let root = images.path();
    assert!(is_cityscapes(root) && !is_cityscapes(&root.join("gtFine")));
    let pairs = cityscapes_pairs(root, Split::Val).unwrap();
    let expected = [
        ("bonn/bonn_000001_000019", "labelTrainIds", LabelKind::Indices),
        ("ulm/ulm_000000_000019", "labelIds", LabelKind::CityscapesIds),
    ];
    let expected = expected.map(|(base, kind, labels)| {
        (format!("{base}_leftImg8bit.png"), format!("gtFine/val/{base}_gtFine_{kind}.png"), labels)
    });
    assert_eq!(told(root, &pairs), expected);
    let error = cityscapes_pairs(root, Split::Train).unwrap_err().to_string();
    assert!(error.contains("jena_000000_000019_leftImg8bit.png` has no mask, expected"), "{error}");
    assert!(error.ends_with("gtFine_labelIds.png`"), "{error}");
    assert!(matches!(cityscapes_pairs(root, Split::Test), Err(PairsError::Dataset(_))), "there is no such folder");
    let other = folder(&["leftImg8bit/val/a/a.png", "gtFine/x"]);
    assert!(matches!(cityscapes_pairs(other.path(), Split::Val), Err(PairsError::NotCityscapes { .. })));
}

#[test]
fn images_and_masks_are_matched_by_their_names() {
    let files = folder(&[
        "images/b.jpg",
        "images/a.v2/x.png",
        "images/c.PNG",
        "masks/a.v2/x.png",
        "masks/b.png",
        "masks/c.png",
    ]);
    let (root, images, masks) = (files.path(), files.path().join("images"), files.path().join("masks"));
    let pairs = folder_pairs(&images, &masks).unwrap();
    let expected = [("a.v2/x.png", "masks/a.v2/x.png"), ("b.jpg", "masks/b.png"), ("c.PNG", "masks/c.png")];
    assert_eq!(told(root, &pairs), expected.map(|(image, mask)| (image.into(), mask.into(), LabelKind::Indices)));
}

#[test]
fn files_without_a_partner_and_two_of_one_name_are_errors() {
    let error = |files: &[&str]| {
        let files = folder(files);
        folder_pairs(&files.path().join("i"), &files.path().join("m")).unwrap_err()
    };
    let found = error(&["i/a.jpg", "i/b.jpg", "i/c.jpg", "m/b.png"]);
    assert!(matches!(&found, PairsError::NoMask { image, others: 1, .. } if image.ends_with("a.jpg")), "{found}");
    assert!(found.to_string().contains("a.jpg` (and 1 more) has no mask"), "{found}");
    let found = error(&["i/a.jpg", "m/a.png", "m/b.png"]);
    assert!(matches!(&found, PairsError::NoImage { mask, others: 0 } if mask.ends_with("b.png")), "{found}");
    let found = error(&["i/a.jpg", "i/a.png", "m/a.png"]);
    assert!(found.to_string().ends_with("have one name but for the extension"), "{found}");
    let found = error(&["i/a.jpg", "m/a.png", "m/a.bmp"]);
    assert!(matches!(found, PairsError::Doubled { .. }), "{found}");
    assert!(matches!(error(&["i/a.jpg"]), PairsError::Dataset(_)), "there is no folder of masks");
}
