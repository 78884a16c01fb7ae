//! Settings in which two runs differ.

use hardnet_eval::RunRecord;
use serde::Serialize;
use serde_json::Value;

/// A setting with its values in two runs. Field names are API.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Setting {
    /// Its place in the run, such as `pipeline.interpolation`.
    pub(super) name: String,
    pub(super) reference: Value,
    pub(super) other: Value,
}

/// The settings that differ, in the order of the runs' fields.
pub(super) fn differing(reference: &RunRecord, other: &RunRecord) -> Vec<Setting> {
    let values = |run: &RunRecord| serde_json::to_value(run).expect("a run is a JSON document");
    let mut settings = Vec::new();
    collect("", &values(reference), &values(other), &mut settings);
    settings
}

fn collect(name: &str, reference: &Value, other: &Value, settings: &mut Vec<Setting>) {
    match (reference, other) {
        _ if reference == other => {}
        (Value::Object(first), Value::Object(second)) => {
            let only_second = second.keys().filter(|key| !first.contains_key(*key));
            for key in first.keys().chain(only_second) {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                let value = |object: &serde_json::Map<String, Value>| object.get(key).cloned().unwrap_or_default();
                collect(&name, &value(first), &value(second), settings);
            }
        }
        _ => settings.push(Setting { name: name.into(), reference: reference.clone(), other: other.clone() }),
    }
}

/// A value as text without quotes.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use hardnet_data::Pipeline;
    use hardnet_eval::{DataRecord, ToolRecord, WeightsRecord};

    use super::*;

    #[test]
    fn settings_that_differ_have_the_names_of_their_fields() {
        let run = |pipeline: &Pipeline, images: usize| {
            let weights = WeightsRecord::new("w.safetensors", "5d684880");
            RunRecord::new(ToolRecord::new("0.2.0", "c0ffee0"), "custom", weights, pipeline, DataRecord::new(images))
        };
        let (pil, paddle) = (Pipeline::pil_bilinear(), Pipeline::paddleclas());
        assert_eq!(differing(&run(&pil, 3), &run(&pil, 3)), []);
        let found = differing(&run(&pil, 3), &run(&paddle, 4));
        let named =
            |name: &str| found.iter().find(|setting| setting.name == name).unwrap_or_else(|| panic!("{found:?}"));
        let interpolation = named("pipeline.interpolation");
        assert_eq!([&interpolation.reference, &interpolation.other].map(text), ["bilinear", "cv2-linear"]);
        assert_eq!([&named("data.images").reference, &named("data.images").other].map(text), ["3", "4"]);
        assert_eq!(named("pipeline.convention").other, "paddleclas");
        assert!(found.iter().all(|setting| !setting.name.starts_with("weights")));
    }
}
