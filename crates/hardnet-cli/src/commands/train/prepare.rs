//! A new run: its settings, images and initial weights.

use hardnet_model::{Config, Metadata, WeightsFile};
use hardnet_train::{Recipe, Weights};

use super::TrainArgs;
use super::data::{self, Data, DataSettings, InitialClasses};
use super::images::{Images, class_names};
use super::masks;
use super::settings::{Origin, Settings};
use crate::failure::{Failure, Result};
use crate::labels::read_names;
use crate::network::NetworkName;
use crate::pipeline::to_value;
use crate::printer::Printer;
use crate::weights::{locate, tell};

/// Settings, images and initial weights of a new run.
pub(super) fn prepare(
    args: &TrainArgs,
    device: &candle_core::Device,
    printer: &Printer,
) -> Result<(Settings, Images, Weights)> {
    let start = &args.start;
    let named = start.model.as_ref().map(NetworkName::config).transpose()?;
    let segments = named.as_ref().is_some_and(|config| config.decoder.is_some());
    let file = match &start.weights {
        Some(weights) => {
            let located = locate(weights, &start.fetch, printer)?;
            let file = match located.open(start.model.as_ref(), &start.part) {
                // The encoder of a segmentation network may be that of another network.
                Err(failure) if segments => located.open(None, &start.part).map_err(|_| failure)?,
                file => file?,
            };
            tell(&file, printer);
            Some((weights.to_string(), file))
        }
        None => None,
    };
    let base = match (&file, &named) {
        (_, Some(named)) if segments => named.clone(),
        // A backbone gets the head of the network that was named.
        (Some((_, file)), Some(named)) if file.config().head.is_none() => {
            let mut config = file.config().clone();
            config.head.clone_from(&named.head);
            config
        }
        (Some((_, file)), _) => file.config().clone(),
        (None, named) => named.clone().expect("clap requires a model without weights"),
    };
    if base.decoder.is_some() {
        return prepare_segmentation(args, base, file, device, printer);
    }
    args.masks.refuse()?;
    let mut data_settings = args.data.settings(&args.masks)?;
    let names = file.as_ref().and_then(|(_, file)| file.metadata()?.labels.as_deref());
    let initial = InitialClasses { count: base.classes(), names };
    let data = data::load_new(&data_settings, args.data.num_classes, initial, printer)?;
    let classes = data.class_count;
    let config = base.with_classes(classes);
    let of_file = file.as_ref().and_then(|(_, file)| file.metadata()).and_then(|metadata| metadata.pipeline.as_ref());
    let pipeline = args.pipeline.resolve(Some(&config), of_file, printer)?;
    let weights = match &file {
        Some((name, file)) => {
            report_head(name, file, &data, printer);
            Weights::from_file(file, classes, start.seed, device)?
        }
        None => Weights::random(&config, start.seed, device)?,
    };
    let mut metadata = Metadata::new(config);
    metadata.labels = match &start.labels {
        Some(path) => Some(read_names(path)?),
        None => data.classes.clone(),
    };
    expect_names(metadata.labels.as_deref(), classes)?;
    if data.classes.is_some() && data.classes != metadata.labels {
        data_settings.class_names.clone_from(&data.classes);
    }
    metadata.pipeline = Some(to_value(&pipeline)?);
    let recipe = args.recipe.resolve(classes, metadata.labels.as_deref(), None)?;
    let settings =
        Settings { pipeline: Some(pipeline.clone()), ..args.settings(metadata, data_settings, recipe, &file)? };
    Ok((settings, Images::Labeled(data, pipeline), weights))
}

/// The same for the segmentation network of `base`.
fn prepare_segmentation(
    args: &TrainArgs,
    base: Config,
    file: Option<(String, WeightsFile)>,
    device: &candle_core::Device,
    printer: &Printer,
) -> Result<(Settings, Images, Weights)> {
    let start = &args.start;
    if args.data.val_dir.is_some() || args.data.class_map.is_some() {
        return Err(Failure::message("--val-dir and --class-map are for classifiers")
            .hint("pass --val-images and --val-masks, and --labels"));
    }
    let of_file = file.as_ref().and_then(|(_, file)| file.metadata()).filter(|own| own.config.decoder.is_some());
    let names = match &start.labels {
        Some(path) => Some(read_names(path)?),
        None => of_file.and_then(|metadata| metadata.labels.clone()),
    };
    let given = start.labels.as_ref().and(names.as_ref()).map(Vec::len);
    let classes = args.data.num_classes.or(given).unwrap_or(base.classes());
    let names = names.filter(|names| start.labels.is_some() || names.len() == classes);
    expect_names(names.as_deref(), classes)?;
    let config = base.with_classes(classes);
    let mut data_settings = args.data.settings(&args.masks)?;
    let masks = args.masks.settings()?;
    let protocol = args.pipeline.protocol(&config, of_file.and_then(|own| own.pipeline.as_ref()), printer)?;
    let protocol = args.masks.sized(protocol, &data_settings);
    let class_names = class_names(names.as_deref(), classes);
    let data = masks::load(&data_settings, &masks, &class_names, protocol.clone(), printer)?;
    data_settings.masks = Some(masks);
    let weights = match &file {
        Some((name, file)) if file.config().clone().with_classes(classes) == config => {
            let own = file.config().classes();
            if own != classes {
                printer.warn(format_args!(
                    "the last layer of `{name}` has {own} classes; replacing it with a random one for {classes}"
                ));
            }
            Weights::from_file(file, classes, start.seed, device)?
        }
        Some((name, file)) => {
            let (weights, shared) = Weights::from_encoder(&config, file, start.seed, device)?;
            let all = weights.entries().count();
            printer.note(format_args!("{shared} of {all} parameters are those of `{name}`, the others are random"));
            weights
        }
        None => Weights::random(&config, start.seed, device)?,
    };
    let mut metadata = Metadata::new(config);
    metadata.labels = names;
    metadata.pipeline = Some(serde_json::from_str(&serde_json::to_string(&protocol)?)?);
    let recipe = args.recipe.resolve(classes, None, Some(&args.masks))?;
    let settings = Settings { protocol: Some(protocol), ..args.settings(metadata, data_settings, recipe, &file)? };
    Ok((settings, Images::Masked(data), weights))
}

/// Checks that there are as many names as classes, if there are names.
fn expect_names(names: Option<&[String]>, classes: usize) -> Result<()> {
    match names.map(<[String]>::len).filter(|&found| found != classes) {
        Some(found) => Err(Failure::message(format!("{found} class names for a network of {classes} classes"))),
        None => Ok(()),
    }
}

impl TrainArgs {
    /// The settings of a new run, but for its preprocessing.
    fn settings(
        &self,
        mut metadata: Metadata,
        data: DataSettings,
        recipe: Recipe,
        file: &Option<(String, WeightsFile)>,
    ) -> Result<Settings> {
        metadata.tool = Some(concat!("hardnet ", env!("CARGO_PKG_VERSION")).into());
        let start = &self.start;
        let origin = match file {
            Some((name, file)) => Some(Origin { path: name.clone(), sha256: file.sha256()? }),
            None => None,
        };
        Ok(Settings {
            origin,
            data,
            recipe_name: self.recipe.name(metadata.config.decoder.is_some()).into(),
            recipe,
            seed: start.seed,
            freeze_until: start.frozen(&metadata.config)?,
            freeze_statistics: start.freeze_stats,
            keep_epochs: self.keep_epochs,
            ..Settings::new(metadata)
        })
    }
}

/// Reports what the head of the weights becomes.
fn report_head(name: &str, file: &WeightsFile, data: &Data, printer: &Printer) {
    let (own, classes) = (file.config().classes(), data.class_count);
    let names = file.metadata().and_then(|metadata| metadata.labels.as_ref());
    if own == 0 {
        printer.note(format_args!("`{name}` has no head; adding a random one for {classes} classes"));
    } else if own != classes {
        printer
            .warn(format_args!("the head of `{name}` has {own} classes; replacing it with a random one for {classes}"));
    } else if names.is_some() && data.classes.is_some() && names != data.classes.as_ref() {
        printer.note(format_args!("training starts from the head of `{name}`, whose classes have other names"));
    }
}
