//! Lists of images and masks, such as PaddleSeg's `train.txt`.

use std::path::Path;

use hardnet_base::{TextLines, excerpt};

use super::{LabelKind, Pair, PairsError};

/// Longest list that is read, in bytes.
const MAX_BYTES: u64 = 256 << 20;

/// The images and masks of a list: on each line an image and its mask, both below `root`, with a tab or one space
/// between them. Empty lines are skipped.
///
/// # Errors
///
/// [`PairsError::List`] for a list that cannot be read, [`PairsError::Line`] for a line of another form,
/// [`PairsError::Empty`] for a list without any.
pub fn list_pairs(root: &Path, list: &Path) -> Result<Vec<Pair>, PairsError> {
    let unreadable = |source| PairsError::List { path: list.into(), source };
    let mut lines = TextLines::open(list, MAX_BYTES).map_err(unreadable)?;
    let mut pairs = Vec::new();
    while let Some((number, line)) = lines.next_line().map_err(unreadable)? {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        let separator = if line.contains('\t') { '\t' } else { ' ' };
        let parts: Vec<&str> = line.split(separator).collect();
        let [image, mask] = parts[..] else {
            return Err(PairsError::Line { path: list.into(), number, line: excerpt(line) });
        };
        pairs.push(Pair {
            image: root.join(image),
            mask: root.join(mask),
            name: image.into(),
            labels: LabelKind::Indices,
        });
    }
    if pairs.is_empty() {
        return Err(PairsError::Empty { path: list.into() });
    }
    Ok(pairs)
}
