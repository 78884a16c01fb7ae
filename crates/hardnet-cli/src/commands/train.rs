//! `hardnet train`.

mod balance;
mod class_weights;
mod data;
#[cfg(feature = "mpi")]
mod joint;
mod launched;
mod masks;
mod recipe;
mod settings;
mod show;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use hardnet_data::Pipeline;
use hardnet_model::{Config, Graph, Metadata, ModuleKind, WeightsFile};
use hardnet_segmentation::ClassNames;
use hardnet_train::{
    Communicator, Error, Event, Job, Outcome, Recipe, RunFile, RunFolder, RunState, SegmentationData, Trainer,
    Validation, Weights,
};
use hardnet_weights::WeightsSource;

use crate::device::DeviceChoice;
use crate::failure::{Exit, Failure, Hinted, Result};
use crate::format::{at_least_one, counted};
use crate::interrupt::Interrupt;
use crate::labels::read_names;
use crate::model::name_of;
use crate::network::NetworkName;
use crate::pipeline::{PipelineArgs, to_value};
use crate::printer::Printer;
use crate::weights::{FetchArgs, PartArgs, locate, tell};
use data::{Data, DataArgs, DataSettings, InitialClasses};
use masks::MaskArgs;
use recipe::RecipeArgs;
use settings::{Origin, Settings};
use show::Show;

/// Train a network on labeled images, or a segmentation network on images with masks.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hardnet train -o run --model hardnet39ds --data-dir train-images-idx3-ubyte.gz --hold-out 5000 --img-size 64 --crop-pct 1
  hardnet train -o run --weights hardnet68.safetensors --data-dir flowers/train --val-dir flowers/val --epochs 30 --lr 0.005
  hardnet train -o run --recipe notebook --weights hardnet68.pdparams --data-dir train --train-list train_list.txt
  hardnet train -o run --model net.toml --data-dir flowers/train --hold-out 500
  hardnet train -o run --weights hardnet68.safetensors --data-dir flowers/train --hold-out 200 --freeze backbone --freeze-stats
  hardnet train -o run --model fc-hardnet70 --data-dir cityscapes --epochs 100 -b 4 --crop-size 512x512
  hardnet train -o run --model fc-hardnet70 --labels names.txt --images images --masks masks --hold-out 50 -b 4
  hardnet train --resume run
  hardnet train --resume run --data-dir /mnt/flowers/train")]
pub(crate) struct TrainArgs {
    /// Output folder: weights, state, metrics and curves
    #[arg(short, long, value_name = "FOLDER", required_unless_present = "resume")]
    output: Option<PathBuf>,
    /// Resume the run in this folder (bit-exact); --data-dir and others say where its images are if they moved
    #[arg(
        long, value_name = "FOLDER",
        // clap reports a group of arguments that contains another group as empty, so these are named.
        conflicts_with_all = [
            "output", "force", "keep_epochs", "model", "weights", "prefix", "entry", "labels", "freeze", "freeze_until",
            "freeze_stats", "seed", "hold_out", "num_samples", "num_classes", "FetchArgs", "RecipeArgs", "pipeline",
            "PipelineChanges", "ignore_labels", "mask_colors", "crop_size", "random_scale", "color", "loss",
            "hard_pixels", "hard_loss", "input_size",
        ]
    )]
    resume: Option<PathBuf>,
    /// Replace an existing run in the output folder
    #[arg(long)]
    force: bool,
    /// Stop after N epochs of the run; continue with --resume
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    stop_after: Option<usize>,
    /// Save the state every N steps, in addition to the end of each epoch
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    checkpoint_every: Option<usize>,
    /// Keep the weights of every epoch as epoch-0001.safetensors, ...
    #[arg(long)]
    keep_epochs: bool,
    /// Threads that load images [default: one for each processor]
    #[arg(short = 'j', long, value_name = "N")]
    workers: Option<usize>,
    /// Seconds without a sign of life after which a rank of MPI ends the run
    #[cfg(feature = "mpi")]
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = clap::value_parser!(u64).range(1..))]
    rank_timeout: u64,
    /// MPI: open-mpi, mpich, or the path of its library [default: that of mpirun or mpiexec; open-mpi under srun]
    #[cfg(feature = "mpi")]
    #[arg(long, value_name = "LIBRARY")]
    mpi: Option<hardnet_mpi::MpiLibrary>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Device: auto, cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "auto", env = crate::knobs::DEVICE)]
    device: DeviceChoice,
    #[command(flatten)]
    start: StartArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    masks: MaskArgs,
    #[command(flatten)]
    recipe: RecipeArgs,
    #[command(flatten)]
    pipeline: PipelineArgs,
}

const WEIGHTS_HELP: &str = "Initial weights: a file, a tag, or hf://owner/name[@revision][/file] [default: random]";

/// Network and initial weights of a run.
#[derive(Args, Debug)]
#[command(next_help_heading = "Model")]
pub(crate) struct StartArgs {
    /// Network: hardnet39ds, hardnet68ds, hardnet68, hardnet85, fc-hardnet70, or a file in TOML; required without
    /// --weights
    #[arg(short, long, value_name = "NAME", required_unless_present_any = ["weights", "resume"])]
    model: Option<NetworkName>,
    #[arg(help = WEIGHTS_HELP, long, visible_alias = "checkpoint", value_name = "FILE")]
    weights: Option<WeightsSource>,
    #[command(flatten)]
    part: PartArgs,
    /// File of class names, one on each line [default: names of the class folders]
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Freeze the weights of the backbone: train the head alone
    #[arg(long, value_enum, value_name = "backbone", hide_possible_values = true)]
    freeze: Option<FreezeChoice>,
    /// Freeze the weights of the first N modules of `base`, as listed by hardnet info
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true, conflicts_with = "freeze")]
    freeze_until: usize,
    /// Freeze the statistics of batch normalization of the frozen modules too, and normalize by them
    #[arg(long)]
    freeze_stats: bool,
    /// Random seed
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    seed: u64,
    // The heading of this group applies to all that follows, so it comes last.
    #[command(flatten)]
    fetch: FetchArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum FreezeChoice {
    Backbone,
}

impl StartArgs {
    /// Number of frozen modules of the network of `config`.
    fn frozen(&self, config: &Config) -> Result<usize> {
        let frozen = match self.freeze {
            Some(FreezeChoice::Backbone) => {
                let graph = Graph::new(config)?;
                // The head of a segmentation network is its decoder.
                let is_head = |kind| matches!(kind, ModuleKind::Head | ModuleKind::Upsample);
                graph.modules().iter().take_while(|module| !is_head(module.kind)).count()
            }
            None => self.freeze_until,
        };
        if self.freeze_stats && frozen == 0 {
            return Err(Failure::message("--freeze-stats requires --freeze backbone or --freeze-until N"));
        }
        Ok(frozen)
    }
}

pub(crate) fn run(args: &TrainArgs, printer: &Printer) -> Result<Exit> {
    match launched::together(crate::knobs::launcher_variable) {
        None => lead(args, None, printer),
        #[cfg(feature = "mpi")]
        Some(launched) => joint::run(args, launched, printer),
        #[cfg(not(feature = "mpi"))]
        Some(launched) => Err(launched.refusal()),
    }
}

/// Trains as the only rank, or as the one that writes the files.
fn lead(args: &TrainArgs, communicator: Option<Arc<dyn Communicator>>, printer: &Printer) -> Result<Exit> {
    let (device, device_choice) = args.device.open()?;
    let (settings, images, folder, weights) = match &args.resume {
        Some(path) => {
            let folder = RunFolder::open(path).map_err(with_hint)?;
            let (settings, images) = saved(args, path, &folder, printer)?;
            (settings, images, folder, None)
        }
        None => {
            let (mut settings, images, weights) = prepare(args, &device, printer)?;
            // Before there is a folder.
            expect_shards(communicator.as_deref(), settings.recipe.virtual_shards)?;
            let output = args.output.as_deref().expect("clap requires a folder");
            settings.output = Some(std::path::absolute(output)?);
            let folder = RunFolder::create(output, args.force).map_err(with_hint)?;
            (settings, images, folder, Some(weights))
        }
    };
    if let Some(communicator) = &communicator {
        hardnet_train::share(Arc::clone(communicator), Some(settings.clone()))?;
    }
    let resumes = weights.is_none();
    let ranks = communicator.as_ref().map_or(String::new(), |ranks| format!("{} ranks, each with ", ranks.size()));
    printer.note(format_args!(
        "hardnet {} ({}), {} with {} classes on {device_choice}, {ranks}{}, {}",
        env!("CARGO_PKG_VERSION"),
        env!("HARDNET_COMMIT"),
        name_of(&settings.metadata.config),
        settings.metadata.config.classes(),
        counted(crate::knobs::threads(), "thread"),
        counted(args.workers(), "loader thread"),
    ));
    let (training, validation) = images.counts();
    settings.lines(training, validation).iter().for_each(|line| printer.note(line));
    if !resumes {
        settings.save(&folder)?;
        if let Images::Labeled(data, _) = &images {
            balance::report(&settings, &data.training, printer);
        }
    }

    let job = args.job(&settings, images, device)?;
    let trainer = match weights {
        Some(weights) => Trainer::start(job, weights, folder).map_err(with_hint)?,
        None => {
            let trainer = Trainer::resume(job, folder).map_err(with_hint)?;
            settings.save(trainer.folder())?;
            trainer
        }
    };
    let mut trainer = match communicator {
        Some(communicator) => trainer.over(communicator).map_err(with_hint)?,
        None => trainer,
    };
    train(args, &mut trainer, settings.recipe.epochs, resumes, printer)
}

/// Checks that each rank has a virtual shard to compute.
fn expect_shards(communicator: Option<&dyn Communicator>, shards: usize) -> Result<()> {
    match communicator.map(Communicator::size) {
        Some(ranks) if ranks > shards => {
            let shards = counted(shards, "virtual shard");
            Err(Failure::message(format!("{ranks} ranks share {shards}, expected one or more for each"))
                .hint("start fewer ranks, or pass a divisor of the batch size with --virtual-shards"))
        }
        _ => Ok(()),
    }
}

impl TrainArgs {
    /// Number of threads that load images.
    fn workers(&self) -> usize {
        self.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from))
    }

    /// The job of a run on this machine.
    fn job(&self, settings: &Settings, images: Images, device: candle_core::Device) -> Result<Job> {
        let (metadata, recipe) = (settings.metadata.clone(), settings.recipe.clone());
        let (workers, isa) = (self.workers(), crate::knobs::isa()?);
        let job = match images {
            Images::Labeled(Data { training, validation, .. }, pipeline) => {
                let validation = validation.map(|samples| {
                    let validation = Validation::new(samples, pipeline.clone());
                    validation.workers(workers).threads(crate::knobs::threads()).isa(isa)
                });
                Job::new(metadata, recipe, training, pipeline).validation(validation)
            }
            Images::Masked(data) => Job::segmentation(metadata, recipe, data),
        };
        Ok(job
            .seed(settings.seed)
            .freeze_until(settings.freeze_until)
            .freeze_statistics(settings.freeze_statistics)
            .workers(workers)
            .threads(crate::knobs::threads())
            .device(device)
            .isa(isa)
            .checkpoint_every(self.checkpoint_every)
            .keep_epochs(settings.keep_epochs)
            .settings(settings.to_value()?))
    }
}

/// The images of a run: with labels and their preprocessing, or with masks.
enum Images {
    Labeled(Data, Pipeline),
    Masked(SegmentationData),
}

impl Images {
    /// Number of training images, and of validation images.
    fn counts(&self) -> (usize, Option<usize>) {
        match self {
            Self::Labeled(data, _) => (data.training.len(), data.validation.as_ref().map(|samples| samples.len())),
            Self::Masked(data) => (data.training.len(), data.validation.as_ref().map(|items| items.len())),
        }
    }
}

/// Runs the remaining epochs, shows their progress and prints the result.
fn train(args: &TrainArgs, trainer: &mut Trainer, epochs: u32, resumes: bool, printer: &Printer) -> Result<Exit> {
    let interrupt = Interrupt::watch()?;
    let mut show = Show::new(*printer, args.json, epochs);
    if resumes {
        show.resumed(trainer.state());
    }
    let mut failed = None;
    let mut interrupted = false;
    let outcome = trainer.run(&mut |event| {
        let last = matches!(event, Event::Epoch(metrics) if args.stop_after.is_some_and(|most| metrics.epoch as usize >= most));
        if let Err(failure) = show.event(event) {
            failed.get_or_insert(failure);
        }
        interrupted |= interrupt.requested();
        if interrupted || last || failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    show.finish();
    if let Some(failure) = failed {
        return Err(failure);
    }
    let outcome = outcome.map_err(with_hint)?;
    let folder = trainer.folder();
    if args.json {
        printer.json(&show::report(trainer, outcome))?;
    } else {
        let result = [RunFile::Best, RunFile::Last].into_iter().find(|file| folder.has(*file));
        if let Some(file) = result {
            printer.line(folder.path(file).display())?;
        }
    }
    if outcome == Outcome::Stopped {
        let path = folder.as_path().display();
        printer.note(format_args!("stopped; resume with: hardnet train --resume {path}"));
    }
    Ok(if interrupted && outcome == Outcome::Stopped { Exit::Interrupted } else { Exit::Success })
}

/// Settings and images of the run in `folder`, whose path is `path`. Either may have moved.
fn saved(args: &TrainArgs, path: &Path, folder: &RunFolder, printer: &Printer) -> Result<(Settings, Images)> {
    let state = RunState::read(folder)?;
    let mut settings = Settings::from_value(state.settings)?;
    let path = std::path::absolute(path)?;
    settings.data = settings.data.relocated(&args.data, &args.masks, settings.output.as_deref(), &path)?;
    settings.output = Some(path);
    let images = load(&settings, printer)?;
    let (training, _) = images.counts();
    if state.images.is_none() && state.samples == training {
        printer.note(format_args!(
            "the run has no list of its images to compare with; their number is the same, {}",
            state.samples
        ));
    }
    Ok((settings, images))
}

/// The images that settings name.
fn load(settings: &Settings, printer: &Printer) -> Result<Images> {
    let names = settings.data.class_names.as_deref().or(settings.metadata.labels.as_deref());
    let classes = settings.metadata.config.classes();
    let loaded = match (&settings.data.masks, &settings.protocol, &settings.pipeline) {
        (Some(masks), Some(protocol), _) => {
            let names = class_names(names, classes);
            masks::load(&settings.data, masks, &names, protocol.clone(), printer).map(Images::Masked)
        }
        (_, _, Some(pipeline)) => data::load_again(&settings.data, classes, names, printer)
            .map(|data| Images::Labeled(data, pipeline.clone())),
        _ => Err(Failure::message("the settings of the run have no preprocessing")),
    };
    match loaded {
        Err(failure) if failure.hint.is_none() && !settings.data.data_dir.exists() => {
            let flag = if settings.data.masks.as_ref().is_some_and(|masks| masks.masks.is_some()) {
                "--images and that of their masks with --masks"
            } else {
                "--data-dir"
            };
            Err(failure.hint(format!("if the images moved, pass their folder with {flag}")))
        }
        loaded => loaded,
    }
}

fn class_names(names: Option<&[String]>, classes: usize) -> ClassNames {
    names.map_or_else(|| ClassNames::guess(classes), |names| ClassNames::new(names.to_vec()))
}

/// Settings, images and initial weights of a new run.
fn prepare(args: &TrainArgs, device: &candle_core::Device, printer: &Printer) -> Result<(Settings, Images, Weights)> {
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

/// Adds a hint to an error, if there is a remedy.
fn with_hint(error: Error) -> Failure {
    let resume = |path: &Path| {
        let folder = path.parent().unwrap_or(path).display().to_string();
        format!("the last saved state is intact; continue with: hardnet train --resume {folder}")
    };
    let hint = match &error {
        Error::Diverged { .. } => {
            Some("lower --lr, warm up with --warmup-epochs, or clip gradients with --clip-norm".into())
        }
        Error::RunExists { path } => {
            Some(format!("continue it with: hardnet train --resume {}; or pass --force to replace it", path.display()))
        }
        Error::Io { action: "write", path, .. } => Some(resume(path)),
        Error::OtherImages { .. } => Some(
            "pass the folder of the run's images with --data-dir, or start a new run from its weights with --weights"
                .into(),
        ),
        Error::NoReadableImages { .. } => Some("see the errors above for the images".into()),
        _ => None,
    };
    match hint {
        Some(hint) => Err::<(), _>(error).hint(|| hint).expect_err("it is an error"),
        None => error.into(),
    }
}
