//! Lines of JSON about images: the fields that all of them have, and those of predictions.
//!
//! `hardnet eval --predictions`, `predict --json` and `embed` write them with these types, and whatever compares runs
//! reads them with the same. `docs/output.md` describes the format for users. Field names are API: a field may be
//! added, none is renamed or removed. Files of earlier versions have fewer fields, so that all of those added since are
//! optional.

use std::borrow::Cow;

use hardnet_data::{Exif, ImageInfo, Orientation, Pipeline};
use serde::{Deserialize, Serialize};

/// The fields at the end of every line about an image.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LineFields<'a> {
    /// Columns of the decoded image, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub width: Option<usize>,
    /// Rows of the decoded image, in pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub height: Option<usize>,
    /// The orientation in the image file's EXIF data, 2 to 8, unless it is upright; `run.exif` says whether the image
    /// was turned by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub orientation: Option<u8>,
    /// The run that wrote the line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Cow<'a, RunRecord>>,
}

impl<'a> LineFields<'a> {
    /// The fields of an image of the run `run`.
    pub fn new(image: ImageInfo, run: &'a RunRecord) -> Self {
        let orientation = Some(image.orientation).filter(|orientation| !orientation.is_upright());
        Self {
            width: Some(image.width),
            height: Some(image.height),
            orientation: orientation.map(Orientation::number),
            run: Some(Cow::Borrowed(run)),
        }
    }
}

/// The run that wrote a line: everything that its numbers depend on, besides the image. The same in all lines of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunRecord {
    /// The program.
    pub tool: ToolRecord,
    /// The published network, or `custom`.
    pub model: String,
    /// The weights.
    pub weights: WeightsRecord,
    /// The preprocessing.
    pub pipeline: Option<PipelineRecord>,
    /// The JPEG decoder and its version.
    pub decoder: String,
    /// How orientations in EXIF data were treated.
    #[serde(default)]
    pub exif: Exif,
    /// The images.
    pub data: DataRecord,
}

/// A program.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ToolRecord {
    /// Its version.
    pub version: String,
    /// The commit that it was built from.
    pub commit: String,
}

/// Weights.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct WeightsRecord {
    /// Path, tag or address, as given.
    pub path: String,
    /// SHA-256 of the file.
    pub sha256: String,
}

/// A pipeline with its name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PipelineRecord {
    /// One of [`Pipeline::NAMES`], unless settings were changed.
    pub name: Option<String>,
    /// Its settings.
    #[serde(flatten)]
    pub pipeline: Pipeline,
}

/// The images of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DataRecord {
    /// Folder, archive or IDX file of the images; none if they were named one by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_dir: Option<String>,
    /// List of the images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list: Option<String>,
    /// Number of tar files, if the images are in those of webdataset.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tars: Option<usize>,
    /// Number of images, including unreadable ones; 0, and not written, if they are not counted before they are read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub images: usize,
}

fn is_zero(images: &usize) -> bool {
    *images == 0
}

impl RunRecord {
    /// A run of `model`, a published network or `custom`, with `weights` and `pipeline` on `data`, by this crate's JPEG
    /// decoder.
    pub fn new(
        tool: ToolRecord,
        model: impl Into<String>,
        weights: WeightsRecord,
        pipeline: &Pipeline,
        data: DataRecord,
    ) -> Self {
        let (model, exif) = (model.into(), pipeline.decode_options().exif);
        let pipeline = Some(pipeline.clone().into());
        Self { tool, model, weights, pipeline, decoder: hardnet_data::JPEG_DECODER.into(), exif, data }
    }
}

impl ToolRecord {
    /// A program of this version, built from this commit.
    pub fn new(version: impl Into<String>, commit: impl Into<String>) -> Self {
        Self { version: version.into(), commit: commit.into() }
    }
}

impl WeightsRecord {
    /// Weights by path, tag or address, and the SHA-256 of their file.
    pub fn new(path: impl Into<String>, sha256: impl Into<String>) -> Self {
        Self { path: path.into(), sha256: sha256.into() }
    }
}

impl DataRecord {
    /// So many images.
    pub fn new(images: usize) -> Self {
        Self { images, ..Self::default() }
    }

    /// Sets the folder, archive or IDX file.
    pub fn data_dir(mut self, path: Option<String>) -> Self {
        self.data_dir = path;
        self
    }

    /// Sets the number of tar files.
    pub fn tars(mut self, tars: Option<usize>) -> Self {
        self.tars = tars;
        self
    }

    /// Sets the list.
    pub fn list(mut self, path: Option<String>) -> Self {
        self.list = path;
        self
    }
}

impl From<Pipeline> for PipelineRecord {
    fn from(pipeline: Pipeline) -> Self {
        Self { name: pipeline.name().map(Into::into), pipeline }
    }
}

/// A line about the classes of an image: of `hardnet eval --predictions`, or of `hardnet predict --json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PredictionLine<'a> {
    /// Name of the image: its path, or its name in a list or archive.
    pub path: Cow<'a, str>,
    /// The image's class, of an evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<usize>,
    /// Whether the most probable class is `label`, of an evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correct: Option<bool>,
    /// The JPEG decoder and its version, of `predict`; `run` has it in all lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder: Option<Cow<'a, str>>,
    /// The most probable classes, best first.
    pub top: Vec<PredictedClass>,
    /// The logits of all classes, if they were asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logits: Option<Cow<'a, [f32]>>,
    /// Size of the image, and the run.
    #[serde(flatten)]
    pub fields: LineFields<'a>,
}

/// A class with its probability.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PredictedClass {
    /// Index of the class, from 0.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Softmax over all classes, 0 to 1.
    pub probability: f32,
}

impl PredictedClass {
    /// The class `index` called `name`, of this probability.
    pub fn new(index: usize, name: impl Into<String>, probability: f32) -> Self {
        Self { index, name: name.into(), probability }
    }
}

impl<'a> PredictionLine<'a> {
    /// The line of an image called `path` with its most probable classes, best first.
    pub fn new(path: impl Into<Cow<'a, str>>, top: Vec<PredictedClass>, fields: LineFields<'a>) -> Self {
        Self { path: path.into(), top, fields, ..Self::default() }
    }

    /// Sets the image's class, and with it whether the most probable class is right.
    pub fn label(mut self, label: usize) -> Self {
        self.label = Some(label);
        self.correct = Some(self.top.first().is_some_and(|first| first.index == label));
        self
    }

    /// Sets the logits of all classes.
    pub fn logits(mut self, logits: Option<&'a [f32]>) -> Self {
        self.logits = logits.map(Cow::Borrowed);
        self
    }

    /// Sets the JPEG decoder.
    pub fn decoder(mut self, decoder: &'a str) -> Self {
        self.decoder = Some(Cow::Borrowed(decoder));
        self
    }
}

/// Appends `line` to `bytes`, with the end of the line.
///
/// # Errors
///
/// Those of its serialization; the lines of this crate have none.
pub fn append_line(bytes: &mut Vec<u8>, line: &impl Serialize) -> serde_json::Result<()> {
    serde_json::to_writer(&mut *bytes, line)?;
    bytes.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run() -> RunRecord {
        RunRecord {
            tool: ToolRecord::new("0.1.0", "0ce00eb"),
            model: "hardnet68".into(),
            weights: WeightsRecord::new("hardnet68.pth", "5d684880"),
            pipeline: Some(Pipeline::paddleclas().into()),
            decoder: "decoder 1".into(),
            exif: Exif::Apply,
            data: DataRecord::new(2).data_dir(Some("val".into())),
        }
    }

    fn image(width: usize, height: usize) -> ImageInfo {
        ImageInfo::new(width, height)
    }

    /// Names and order of the fields, which others read.
    #[test]
    fn a_line_is_written_as_documented() {
        let (run, mut text) = (run(), Vec::new());
        let top = vec![PredictedClass::new(65, "sea snake", 0.5)];
        let fields = LineFields::new(image(500, 375), &run);
        append_line(&mut text, &PredictionLine::new("a.JPEG", top, fields).label(65)).unwrap();
        let expected = concat!(
            r#"{"path":"a.JPEG","label":65,"correct":true,"top":[{"index":65,"name":"sea snake","probability":0.5}],"#,
            r#""width":500,"height":375,"run":{"tool":{"version":"0.1.0","commit":"0ce00eb"},"model":"hardnet68","#,
            r#""weights":{"path":"hardnet68.pth","sha256":"5d684880"},"pipeline":{"name":"paddleclas","resize":256,"#,
            r#""crop":224,"interpolation":"cv2-linear","mean":[0.485,0.456,0.406],"std":[0.229,0.224,0.225],"#,
            r#""convention":"paddleclas"},"decoder":"decoder 1","exif":"apply","data":{"data_dir":"val","images":2}}}"#,
            "\n"
        );
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn what_is_written_is_read() {
        let run = run();
        let fields = LineFields::new(image(3, 4).with_orientation(Orientation::Rotate90), &run);
        assert_eq!(fields.orientation, Some(6));
        let top = vec![PredictedClass::new(1, "shoe", 0.75)];
        let line = PredictionLine::new("a", top, fields).label(2).decoder("d").logits(Some(&[0.5, 2.0, -1.0]));
        let read: PredictionLine = serde_json::from_str(&serde_json::to_string(&line).unwrap()).unwrap();
        assert_eq!((&read, read.correct), (&line, Some(false)));
    }

    /// Versions until 0.1 wrote neither sizes nor runs, and later ones may write more.
    #[test]
    fn lines_of_other_versions_are_read() {
        let old = r#"{"path":"0","label":0,"correct":false,"top":[{"index":2,"name":"bag","probability":0.4}]}"#;
        let line: PredictionLine = serde_json::from_str(old).unwrap();
        assert_eq!((line.label, line.correct, &line.fields), (Some(0), Some(false), &LineFields::default()));
        let old = r#"{"path":"a.png","decoder":"d","top":[]}"#;
        let line: PredictionLine = serde_json::from_str(old).unwrap();
        assert_eq!((line.label, line.decoder.as_deref()), (None, Some("d")));
        let mut later = serde_json::to_value(PredictionLine::new("a", vec![], LineFields::new(image(1, 1), &run())));
        let object = later.as_mut().unwrap();
        object["later"] = 1.into();
        object["run"]["later"] = 2.into();
        object["run"]["pipeline"]["later"] = 3.into();
        let line: PredictionLine = serde_json::from_value(later.unwrap()).unwrap();
        assert_eq!(line.fields.run.as_deref(), Some(&run()));
    }
}
