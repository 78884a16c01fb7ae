//! Advice on uneven classes.

use hardnet_base::excerpt;
use hardnet_data::Sample;
use hardnet_train::{Sampler, class_counts, uneven};

use super::settings::Settings;
use crate::format::counted;
use crate::printer::Printer;

/// Classes named in a message.
const NAMED: usize = 5;

/// Reports classes without images, and strongly uneven classes of a run that does nothing about them.
pub(super) fn report(settings: &Settings, training: &[Sample], printer: &Printer) {
    let counts = class_counts(training, settings.metadata.config.classes());
    let name = |class: usize| match settings.metadata.labels.as_ref().and_then(|labels| labels.get(class)) {
        Some(name) => format!("`{}`", excerpt(name)),
        None => format!("class {class}"),
    };
    let empty: Vec<usize> = (0..counts.len()).filter(|&class| counts[class] == 0).collect();
    if !empty.is_empty() {
        let mut names: Vec<String> = empty.iter().take(NAMED).map(|&class| name(class)).collect();
        if empty.len() > NAMED {
            names.push("...".into());
        }
        let (number, all) = (empty.len(), counts.len());
        printer.note(format_args!("{number} of {all} classes have no training images: {}", names.join(", ")));
    }
    let recipe = &settings.recipe;
    if let Some((fewest, most)) = uneven(&counts)
        && recipe.class_weights.is_none()
        && recipe.sampler == Sampler::Shuffled
    {
        printer.note(format_args!(
            "the classes are uneven, from {} of {} to {} of {}; --class-weights balanced or --sampler balanced counts \
             all alike",
            counted(counts[fewest], "image"),
            name(fewest),
            counts[most],
            name(most)
        ));
    }
}
