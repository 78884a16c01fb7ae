//! Images by the names that results give them.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use super::archive::{is_below, last_component};
use super::list::class_from_name;
use super::root::Opened;
use super::{Classes, Dataset, DatasetError, ImageRoot, Sample};
use crate::archive::Archive;
use crate::shared_str::SharedStr;

impl ImageRoot {
    /// Finds images by their names in the results of a data set that was read from here: [`Sample::name`]. The root may
    /// also be the IDX file of that data set.
    ///
    /// None is returned for a name that no image has, or several images of an archive, and for one that would leave the
    /// folder.
    ///
    /// # Errors
    ///
    /// A [`DatasetError`] if the folder, archive or file cannot be read.
    pub fn find(&self, names: &[&str]) -> Result<Vec<Option<Sample>>, DatasetError> {
        if Dataset::is_idx(self.path()) {
            return in_idx(self.path(), names);
        }
        Ok(match self.open()? {
            Opened::Folder => names.iter().map(|name| in_folder(self.path(), name)).collect(),
            Opened::Archive(archive) => in_archive(&archive, names),
        })
    }
}

fn in_idx(path: &Path, names: &[&str]) -> Result<Vec<Option<Sample>>, DatasetError> {
    let samples = Dataset::from_idx(path, Classes::of_labels())?.samples;
    let place = |name: &str| name.parse::<usize>().ok().and_then(|index| samples.get(index));
    Ok(names.iter().map(|name| place(name).filter(|sample| sample.name() == *name).cloned()).collect())
}

fn in_folder(root: &Path, name: &str) -> Option<Sample> {
    let relative = Path::new(name).strip_prefix(root).unwrap_or(Path::new(name));
    // Lists with backslashes name files with slashes, and training images may be in folders of their classes.
    let candidates = [
        Some(relative.to_path_buf()),
        Some(name.replace('\\', "/").into()),
        class_from_name(name).map(|class| Path::new(class).join(name)),
    ];
    let is_inside =
        |relative: &PathBuf| relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let paths = candidates.into_iter().flatten().filter(is_inside).map(|relative| root.join(relative));
    paths.filter(|path| path.is_file()).map(|path| Sample::new(path, None, name)).next()
}

/// As a list means entries: by the whole name, else by the one that is the same but for folders before it.
fn in_archive(archive: &Archive, names: &[&str]) -> Vec<Option<Sample>> {
    let relative: Vec<_> = names.iter().map(|name| plain(name)).collect();
    let mut by_file: HashMap<&str, Vec<usize>> = HashMap::new();
    for (number, name) in relative.iter().enumerate() {
        by_file.entry(last_component(name)).or_default().push(number);
    }
    let mut found = vec![Match::None; names.len()];
    for (position, entry) in archive.index.entries().enumerate() {
        if entry.kind.is_some() {
            continue;
        }
        for &number in by_file.get(last_component(entry.name)).into_iter().flatten() {
            found[number].add(position, entry.name, &relative[number]);
        }
    }
    let sample = |(found, name): (Match, &&str)| {
        let position = found.position()?;
        let entry = archive.index.entry(position);
        let name = SharedStr::from((*name).to_owned());
        Some(Sample::inside(archive.file(entry), archive.index.name(position), None, name))
    };
    found.into_iter().zip(names).map(sample).collect()
}

/// The name with `/` between its components and without those that mean nothing.
fn plain(name: &str) -> String {
    let parts = name.split(['/', '\\']).enumerate();
    // An absolute path begins with an empty component, which stays.
    let parts = parts.filter(|&(place, part)| part != "." && (place == 0 || !part.is_empty()));
    parts.map(|(_, part)| part).collect::<Vec<_>>().join("/")
}

/// The entries of an archive that a name may mean.
#[derive(Clone, Copy)]
enum Match {
    None,
    /// Has the name but for folders before it.
    Similar(usize),
    Ambiguous,
    Whole(usize),
}

impl Match {
    fn add(&mut self, position: usize, entry: &str, name: &str) {
        let is_similar = || is_below(entry, name) || is_below(name, entry);
        *self = match *self {
            Self::Whole(position) => Self::Whole(position),
            _ if entry == name => Self::Whole(position),
            Self::None if is_similar() => Self::Similar(position),
            Self::Similar(_) if is_similar() => Self::Ambiguous,
            other => other,
        };
    }

    fn position(self) -> Option<usize> {
        match self {
            Self::Whole(position) | Self::Similar(position) => Some(position),
            Self::None | Self::Ambiguous => None,
        }
    }
}
