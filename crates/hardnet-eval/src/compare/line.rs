//! One line of predictions.

use std::borrow::Cow;

use hardnet_base::excerpt;
use hardnet_data::MAX_CLASSES;

use super::error::LineError;
use super::predictions::Choice;
use crate::lines::{PredictedClass, PredictionLine, RunRecord};

/// The most classes of a line that are kept, those that top-5 needs.
pub(super) const TOP: usize = 5;

/// A line that was read and checked.
pub(super) struct Line<'a> {
    pub(super) path: Cow<'a, str>,
    pub(super) label: Option<u32>,
    /// At least one, at most [`TOP`].
    pub(super) top: Box<[Choice]>,
    /// The names of classes.
    pub(super) names: Vec<(u32, String)>,
    pub(super) size: Option<(u32, u32)>,
    pub(super) run: Option<RunRecord>,
}

impl<'a> Line<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, LineError> {
        let PredictionLine { path, label, correct, top: hits, fields, .. } =
            serde_json::from_str(text).map_err(|error| json(&error))?;
        let label = label.map(class).transpose()?;
        let (mut top, mut names) = (Vec::with_capacity(TOP), Vec::new());
        for PredictedClass { index, name, probability } in hits {
            let class = class(index)?;
            // Rounding may take a sum of probabilities a little above 1.
            if !(0.0..=1.0 + 1e-5).contains(&probability) {
                return Err(LineError::Probability(probability));
            }
            if top.len() < TOP {
                top.push(Choice { class, probability });
            }
            names.push((class, name));
        }
        let first: &Choice = top.first().ok_or(LineError::NoClass)?;
        if let (Some(found), Some(label)) = (correct, label)
            && found != (label == first.class)
        {
            let (label, predicted) = (label as usize, first.class as usize);
            return Err(LineError::Contradiction { found, label, predicted });
        }
        let side =
            |length: Option<usize>| length.and_then(|length| u32::try_from(length).ok()).filter(|&side| side > 0);
        let size = side(fields.width).zip(side(fields.height));
        Ok(Self { path, label, top: top.into(), names, size, run: fields.run.map(Cow::into_owned) })
    }
}

fn class(index: usize) -> Result<u32, LineError> {
    let accepted = u32::try_from(index).ok().filter(|_| index < MAX_CLASSES);
    accepted.ok_or(LineError::Class { found: index, limit: MAX_CLASSES })
}

/// The parser's message without the place, which is that of a text of one line.
fn json(error: &serde_json::Error) -> LineError {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    let message = message.replace("struct PredictionLine", "an object");
    LineError::Json { column: error.column(), message: excerpt(&message) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"path":"a.jpg","label":1,"correct":true,"top":[{"index":1,"name":"b","probability":0.75},{"index":0,"name":"a","probability":0.25}],"width":40,"height":30}"#;

    #[test]
    fn fields_are_those_of_the_line() {
        let line = Line::parse(GOOD).unwrap();
        assert_eq!((&*line.path, line.label, line.size), ("a.jpg", Some(1), Some((40, 30))));
        assert_eq!(line.top[..], [(1, 0.75), (0, 0.25)].map(|(class, probability)| Choice { class, probability }));
        assert_eq!(line.names, [(1, "b".into()), (0, "a".into())]);
        let escaped = GOOD.replace("a.jpg", r"\u00e9\\.jpg");
        assert_eq!(Line::parse(&escaped).unwrap().path, "é\\.jpg");
        let unlabeled = Line::parse(r#"{"path":"a","decoder":"d","top":[{"index":3,"name":"x","probability":1}]}"#);
        assert_eq!(unlabeled.unwrap().label, None);
        let many = (0..9).map(|index| format!(r#"{{"index":{index},"name":"{index}","probability":0.1}}"#));
        let many = format!(r#"{{"path":"a","top":[{}]}}"#, many.collect::<Vec<_>>().join(","));
        let line = Line::parse(&many).unwrap();
        assert_eq!((line.top.len(), line.names.len()), (TOP, 9));
    }

    #[test]
    fn what_is_not_a_prediction_is_refused_with_the_reason() {
        let table = [
            ("{".into(), "column 1: EOF while parsing an object"),
            (GOOD[..60].to_owned(), "column 60: EOF while parsing"),
            ("[1]".into(), "invalid type: sequence, expected an object"),
            ("null".into(), "invalid type: null, expected an object"),
            (format!("{GOOD} {GOOD}"), "trailing characters"),
            (GOOD.replace("\"label\":1", "\"label\":\"cat\""), "invalid type: string \"cat\", expected usize"),
            (GOOD.replace("\"label\":1", "\"label\":-1"), "invalid value: integer `-1`, expected usize"),
            (GOOD.replace("\"label\":1", "\"label\":1048576"), "class 1048576, expected a class below 1048576"),
            (GOOD.replace("\"label\":1,", "\"label\":1,\"label\":2,"), "duplicate field `label`"),
            (GOOD.replace("path", "file"), "missing field `path`"),
            (GOOD.replace("top", "best"), "missing field `top`"),
            (r#"{"path":"a","top":[]}"#.into(), "`top` is empty"),
            (GOOD.replace("0.75", "1.5"), "probability 1.5, expected a number from 0 to 1"),
            (GOOD.replace("0.75", "-0.1"), "probability -0.1"),
            (GOOD.replace("0.75", "NaN"), "expected value"),
            (GOOD.replace("0.75", "1e999"), "number out of range"),
            (GOOD.replace("true", "false"), "`correct` is false, but the label is 1 and the most probable class is 1"),
            (format!("{{\"path\":\"a\",\"x\":{}", "[".repeat(100_000)), "recursion limit exceeded"),
        ];
        for (text, expected) in table {
            let error = Line::parse(&text).map(|line| line.path).expect_err(&text).to_string();
            assert!(error.contains(expected), "{text:.200}: {error}");
        }
    }

    #[test]
    fn a_message_is_short_whatever_the_line() {
        let text = GOOD.replace("\"label\":1", &format!("\"label\":\"{}\u{1b}[2J\"", "x".repeat(10_000)));
        let error = Line::parse(&text).map(|line| line.path).unwrap_err().to_string();
        assert!(error.chars().count() < 200 && !error.contains('\u{1b}'), "{error}");
    }
}
