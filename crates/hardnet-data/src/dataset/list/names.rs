//! From the names in a list to paths below the folder of its images.

use std::fs;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// The folder that the images of a list lie in, and the absolute names it has.
pub(in crate::dataset) struct FolderNames {
    pub(in crate::dataset) path: Arc<Path>,
    /// The prefixes that absolute names in the list may have: the folder's path as given and with its links resolved.
    absolute: Vec<PathBuf>,
}

/// A name that is absolute and not below the folder, or goes up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outside;

impl FolderNames {
    pub(in crate::dataset) fn new(path: &Path) -> Self {
        let found = [std::path::absolute(path), fs::canonicalize(path)];
        let mut absolute: Vec<PathBuf> = found.into_iter().flatten().map(|path| path.components().collect()).collect();
        absolute.dedup();
        Self { path: path.into(), absolute }
    }

    /// `name` as a path below the folder, without `.` components and repeated separators, with `/` for each
    /// backslash; `None` if it has none of them.
    pub(super) fn below(&self, name: &str) -> Result<Option<String>, Outside> {
        if name.contains('\\') {
            let slashes = name.replace('\\', "/");
            return Ok(Some(self.below(&slashes)?.unwrap_or(slashes)));
        }
        let path = Path::new(name);
        if path.is_absolute() {
            let rest = self.absolute.iter().find_map(|folder| path.strip_prefix(folder).ok());
            return match rest.map(normal_parts) {
                Some(Ok((parts, _))) if !parts.is_empty() => Ok(Some(joined(parts))),
                _ => Err(Outside),
            };
        }
        let (parts, length) = normal_parts(path)?;
        // With one separator between each, and nothing else, they are the whole name.
        let is_whole = !parts.is_empty() && length + parts.len() - 1 == name.len();
        Ok((!is_whole).then(|| joined(parts)))
    }
}

/// The components of a path that does not go up, and the sum of their lengths.
fn normal_parts(path: &Path) -> Result<(Vec<&std::ffi::OsStr>, usize), Outside> {
    let (mut parts, mut length) = (Vec::new(), 0);
    for component in path.components() {
        match component {
            Component::Normal(part) => {
                parts.push(part);
                length += part.len();
            }
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(Outside),
        }
    }
    Ok((parts, length))
}

fn joined(parts: Vec<&std::ffi::OsStr>) -> String {
    parts.into_iter().collect::<PathBuf>().to_string_lossy().into_owned()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn names_are_below_the_folder_however_they_are_written() {
        let folder = FolderNames { path: Path::new("val").into(), absolute: vec!["/data/val".into(), "/mnt/v".into()] };
        let table: &[(&str, Result<Option<&str>, Outside>)] = &[
            ("a.jpg", Ok(None)),
            ("c/a.jpg", Ok(None)),
            ("./c//a.jpg", Ok(Some("c/a.jpg"))),
            ("c\\a.jpg", Ok(Some("c/a.jpg"))),
            (".\\c\\\\a.jpg", Ok(Some("c/a.jpg"))),
            ("c\\d/a.jpg", Ok(Some("c/d/a.jpg"))),
            ("/data/val/c/a.jpg", Ok(Some("c/a.jpg"))),
            ("/data//val/./a.jpg", Ok(Some("a.jpg"))),
            ("/mnt/v/a.jpg", Ok(Some("a.jpg"))),
            ("\\mnt\\v\\a.jpg", Ok(Some("a.jpg"))),
            ("/data/val", Err(Outside)),
            ("/data/value/a.jpg", Err(Outside)),
            ("/data/val/../a.jpg", Err(Outside)),
            ("/etc/passwd", Err(Outside)),
            ("../a.jpg", Err(Outside)),
            ("..\\a.jpg", Err(Outside)),
            ("c/../../a.jpg", Err(Outside)),
        ];
        for (name, expected) in table {
            let found = folder.below(name);
            assert_eq!(found.as_ref().map(|path| path.as_deref()), expected.as_ref().map(|path| *path), "{name}");
        }
    }
}
