//! Warnings about images, one line for each kind.

use hardnet_data::{DecodeWarning, Sample};

use crate::printer::Printer;

/// A warning about so many images, with its remedy if there is one.
pub(crate) fn with_remedy(warning: &DecodeWarning, count: usize) -> String {
    match warning {
        DecodeWarning::OrientationIgnored => {
            let images = if count == 1 { "it" } else { "them" };
            format!("{warning}, as in torchvision; pass --exif apply to turn {images} upright")
        }
        _ => warning.to_string(),
    }
}

/// Counts warnings by kind, in the order in which the kinds came up.
#[derive(Default)]
pub(crate) struct ImageWarnings(Vec<Kind>);

struct Kind {
    warning: DecodeWarning,
    count: usize,
    first: String,
    is_told: bool,
}

impl ImageWarnings {
    pub(crate) fn add(&mut self, sample: &Sample, warning: &DecodeWarning) {
        match self.0.iter_mut().find(|kind| kind.warning == *warning) {
            Some(kind) => kind.count += 1,
            None => {
                let first = sample.path().display().to_string();
                self.0.push(Kind { warning: *warning, count: 1, first, is_told: false });
            }
        }
    }

    /// Prints what has not been told, a line for each kind.
    pub(crate) fn tell(&mut self, printer: &Printer) {
        for kind in self.0.iter_mut().filter(|kind| !kind.is_told) {
            kind.is_told = true;
            printer.warn(kind.line());
        }
    }

    #[cfg(test)]
    fn lines(&self) -> Vec<String> {
        self.0.iter().map(Kind::line).collect()
    }
}

impl Kind {
    fn line(&self) -> String {
        let Self { count, first, .. } = self;
        let warning = with_remedy(&self.warning, *count);
        match count {
            1 => format!("{first}: {warning}"),
            _ => format!("{count} images: {warning}; the first is `{first}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use hardnet_data::Dataset;

    use super::*;

    #[test]
    fn each_kind_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let paths = ["a.jpg", "b.jpg", "c.jpg"].map(|name| folder.path().join(name));
        paths.iter().for_each(|path| std::fs::write(path, "").unwrap());
        let samples = Dataset::from_paths(&paths).unwrap().samples;
        let mut warnings = ImageWarnings::default();
        for sample in &samples {
            warnings.add(sample, &DecodeWarning::JpegIrregular);
        }
        warnings.add(&samples[2], &DecodeWarning::AlphaDropped);
        let lines = warnings.lines();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("3 images: the jpeg has stray bytes"), "{lines:?}");
        assert!(lines[0].ends_with("a.jpg`") && lines[1].ends_with("c.jpg: transparency was dropped"), "{lines:?}");
    }

    #[test]
    fn an_ignored_orientation_names_the_flag() {
        assert!(with_remedy(&DecodeWarning::OrientationIgnored, 1).contains("--exif apply"));
        assert!(!with_remedy(&DecodeWarning::AlphaDropped, 1).contains("--"));
    }
}
