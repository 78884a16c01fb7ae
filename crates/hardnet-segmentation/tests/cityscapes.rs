//! The classes of Cityscapes, against the table of cityscapesScripts 2.2.4: `cityscapes/make_labels.py`.

use hardnet_segmentation::cityscapes::LABELS;

#[test]
fn labels_are_those_of_cityscapes_scripts() {
    let rows: Vec<Vec<&str>> =
        include_str!("cityscapes/labels.tsv").lines().map(|line| line.split('\t').collect()).collect();
    assert_eq!(rows.len(), LABELS.len());
    for (row, label) in rows.iter().zip(&LABELS) {
        let train_id = row[1].parse().ok().filter(|id| *id < 19);
        let color: Vec<u8> = row[2].split(',').map(|level| level.parse::<u8>().unwrap()).collect();
        assert_eq!((label.name, label.train_id, &label.color[..]), (row[0], train_id, &color[..]));
    }
}
