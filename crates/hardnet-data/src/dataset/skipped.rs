//! Files among images that are not read, counted by the endings of their names.

use std::collections::BTreeMap;
use std::path::Path;

use hardnet_base::excerpt;

/// How many endings a note names; it counts the other files.
const NAMED: usize = 5;

/// How many endings are told apart.
const MOST: usize = 1000;

/// Counts of files by the endings of their names, in lower case; empty for a name without one.
#[derive(Default)]
pub(super) struct SkippedFiles(BTreeMap<String, usize>);

impl SkippedFiles {
    pub(super) fn add(&mut self, path: &Path) {
        let ending = path.extension().map(|ending| excerpt(&ending.to_string_lossy().to_lowercase()));
        let ending = ending.unwrap_or_default();
        if self.0.len() < MOST || self.0.contains_key(&ending) {
            *self.0.entry(ending).or_default() += 1;
        }
    }

    pub(super) fn extend(&mut self, other: Self) {
        for (ending, count) in other.0 {
            *self.0.entry(ending).or_default() += count;
        }
    }

    /// Such as `skipping 12 files: 9 .heic, 3 .avif`; `None` without files.
    pub(super) fn note(&self) -> Option<String> {
        let mut counts: Vec<_> = self.0.iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
        let total: usize = counts.iter().map(|(_, count)| **count).sum();
        let named = counts.iter().take(NAMED).map(|(ending, count)| match ending.as_str() {
            "" => format!("{count} without an extension"),
            ending => format!("{count} .{ending}"),
        });
        let mut kinds: Vec<_> = named.collect();
        let others: usize = counts.iter().skip(NAMED).map(|(_, count)| **count).sum();
        if others > 0 {
            kinds.push(format!("{others} others"));
        }
        let files = if total == 1 { "file" } else { "files" };
        (total > 0).then(|| format!("skipping {total} {files}: {}", kinds.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_by_their_endings() {
        let note = |names: &[&str]| {
            let mut skipped = SkippedFiles::default();
            names.iter().for_each(|name| skipped.add(Path::new(name)));
            skipped.note()
        };
        assert_eq!(note(&[]), None);
        assert_eq!(note(&["a.heic"]).as_deref(), Some("skipping 1 file: 1 .heic"));
        assert_eq!(note(&["a.avif", "b.HEIC", "c.heic"]).as_deref(), Some("skipping 3 files: 2 .heic, 1 .avif"));
        assert_eq!(
            note(&["README", "x/Thumbs.db"]).as_deref(),
            Some("skipping 2 files: 1 without an extension, 1 .db")
        );
        let many = note(&["a.a", "a.b", "a.c", "a.d", "a.e", "a.f", "a.g"]).unwrap();
        assert!(many.starts_with("skipping 7 files: 1 .a, ") && many.ends_with("1 .e, 2 others"), "{many}");
    }
}
