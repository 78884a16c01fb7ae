//! Tar files that are read from front to back.

use hardnet_data::{Sample, TarClasses, WebDataset};

use super::{CLASSES, FOLDER, refused, with_checksums};

/// Reads a tar file as webdataset writes them, once as it is and once with correct checksums: one image at a time and
/// many at a time, with classes, with optional ones and without. The images are the same, and their
/// contents are bytes of the file.
pub fn webdataset(bytes: &[u8]) -> bool {
    let summed = with_checksums(bytes);
    let accepted = tar(bytes);
    if summed == bytes { accepted } else { tar(&summed) || accepted }
}

/// The images of a tar file, its unusable keys, and whether it was read to its end.
#[derive(Debug, Default)]
struct Found {
    samples: Vec<Sample>,
    errors: Vec<String>,
    whole: bool,
}

fn tar(bytes: &[u8]) -> bool {
    FOLDER.with(|folder| {
        let path = folder.write("streamed.tar", bytes);
        let dataset = WebDataset::from_pattern(path.to_str().expect("the path is text")).expect("it has no braces");
        let mut accepted = false;
        for classes in [TarClasses::Below(CLASSES), TarClasses::Optional, TarClasses::Ignored] {
            let (single, many) = (read(&dataset, classes, 1), read(&dataset, classes, 512));
            assert_eq!(single.whole, many.whole);
            // An error takes the place of the images before it in its chunk.
            assert!(
                if many.whole { same(&single, &many) } else { starts_with(&single, &many) },
                "{single:?}, {many:?}"
            );
            for sample in &single.samples {
                let archived = sample.archived().expect("the images are those of the tar file");
                let content = archived.read().unwrap_or_else(|error| panic!("{archived:?} is readable: {error}"));
                let start = usize::try_from(archived.offset()).expect("offsets are within the file");
                assert_eq!(content, bytes[start..][..content.len()], "{archived:?}");
                assert_eq!(content.len() as u64, archived.bytes());
                match (classes, sample.label()) {
                    (TarClasses::Below(classes), label) => {
                        assert!(label.is_some_and(|label| (label as usize) < classes), "{archived:?}");
                    }
                    (TarClasses::Ignored, label) => assert_eq!(label, None, "{archived:?}"),
                    _ => {}
                }
                accepted = true;
            }
        }
        accepted
    })
}

fn read(dataset: &WebDataset, classes: TarClasses, images: usize) -> Found {
    let mut found = Found { whole: true, ..Found::default() };
    for chunk in dataset.read(0..1, classes, images) {
        match chunk {
            Ok(chunk) => {
                assert!(chunk.samples.len() <= images && chunk.errors.len() <= images + 1);
                found.samples.extend(chunk.samples);
                found.errors.extend(chunk.errors.iter().map(|error| {
                    refused(error);
                    error.to_string()
                }));
            }
            Err(error) => found.whole = refused(&error),
        }
    }
    found
}

fn names(found: &Found) -> Vec<(&str, Option<u32>)> {
    found.samples.iter().map(|sample| (sample.name(), sample.label())).collect()
}

fn same(one: &Found, other: &Found) -> bool {
    names(one) == names(other) && one.errors == other.errors
}

fn starts_with(all: &Found, first: &Found) -> bool {
    names(all).starts_with(&names(first)) && all.errors.starts_with(&first.errors)
}
