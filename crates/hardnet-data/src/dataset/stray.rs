//! Folders and files that systems and programs leave among images.

/// Folders that are not classes, in lower case: of macOS, Synology and QNAP, Linux, Windows.
const FOLDERS: [&str; 8] =
    ["__macosx", "@eadir", "#recycle", "@recycle", "@tmp", "lost+found", "$recycle.bin", "system volume information"];

/// Files that Windows keeps for its view of a folder, in lower case.
const FILES: [&str; 3] = ["thumbs.db", "ehthumbs.db", "desktop.ini"];

/// Whether a folder of this name is a system's own. Hidden ones are, such as `.ipynb_checkpoints`.
pub(super) fn is_stray_folder(name: &str) -> bool {
    name.starts_with('.') || FOLDERS.iter().any(|stray| stray.eq_ignore_ascii_case(name))
}

/// Whether a file of this name is a system's own, or hidden, as `._a.jpg`, where macOS keeps what it knows of `a.jpg`.
pub(super) fn is_stray_file(name: &str) -> bool {
    name.starts_with('.') || FILES.iter().any(|stray| stray.eq_ignore_ascii_case(name))
}

/// Whether the path, with `/` between its components, is a system's own or lies below a folder that is.
pub(super) fn is_stray_path(path: &str, is_folder: bool) -> bool {
    let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
    let is_stray = if is_folder { is_stray_folder(name) } else { is_stray_file(name) };
    is_stray || !above.is_empty() && above.split('/').any(is_stray_folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_systems_are_known_in_any_case() {
        for path in [
            "__MACOSX/cat/._0.png",
            "@eaDir/cat/SYNOPHOTO_THUMB_M.jpg",
            "cat/@eaDir/0.png/thumb.jpg",
            "lost+found/1.png",
            ".ipynb_checkpoints/0.png",
            "$RECYCLE.BIN/0.png",
            "$Recycle.Bin/0.png",
            "System Volume Information/0.png",
            "cat/._0.png",
            "cat/Thumbs.db",
            "cat/desktop.ini",
        ] {
            assert!(is_stray_path(path, false), "{path}");
        }
        for path in ["cat/0.png", "lost and found/0.png", "cat.d/__MACOSX.png", "MACOSX/0.png", "eaDir/0.png"] {
            assert!(!is_stray_path(path, false), "{path}");
        }
        assert!(is_stray_path("__MACOSX", true) && is_stray_path("a/lost+found", true) && !is_stray_path("a", true));
    }
}
