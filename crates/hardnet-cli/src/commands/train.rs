//! `hardnet train`.

mod data;
mod recipe;
mod settings;
mod show;

use std::path::{Path, PathBuf};

use clap::Args;
use hardnet_model::{Config, Metadata, Variant, WeightsFile};
use hardnet_train::{Ending, Error, Event, Flow, Job, Progress, RunFile, RunFolder, Trainer, Validation, Weights};
use hardnet_weights::WeightsSource;

use crate::commands::convert::read_labels;
use crate::device::DeviceChoice;
use crate::failure::{Exit, Failure, Hinted, Result};
use crate::format::at_least_one;
use crate::interrupt::Interrupt;
use crate::model::name_of;
use crate::pipeline::{PipelineArgs, to_value};
use crate::printer::Printer;
use crate::weights::{FetchArgs, locate};
use data::{Data, DataArgs};
use recipe::RecipeArgs;
use settings::{Origin, Settings};
use show::Show;

/// Train a network on labelled images.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  hardnet train -o run --model hardnet39ds --data-dir train-images-idx3-ubyte.gz --hold-out 5000 --img-size 64 --crop-pct 1
  hardnet train -o run --weights hardnet68.safetensors --data-dir flowers/train --val-dir flowers/val --epochs 30 --lr 0.005
  hardnet train -o run --recipe notebook --weights hardnet68.pdparams --data-dir train --train-list train_list.txt
  hardnet train --resume run")]
pub(crate) struct TrainArgs {
    /// Folder of the run: weights, state, metrics and curves
    #[arg(short, long, value_name = "FOLDER", required_unless_present = "resume")]
    output: Option<PathBuf>,
    /// Go on with the run in this folder, to the last bit as if it had not stopped
    #[arg(
        long, value_name = "FOLDER",
        // A group of arguments that has another in it is empty, so these are named.
        conflicts_with_all = [
            "output", "force", "keep_epochs", "model", "weights", "labels", "freeze_until", "seed",
            "FetchArgs", "DataArgs", "RecipeArgs", "PipelineArgs",
        ]
    )]
    resume: Option<PathBuf>,
    /// Replace the run that is in the folder
    #[arg(long)]
    force: bool,
    /// Stop after this many epochs of the run; --resume goes on
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    stop_after: Option<usize>,
    /// Save the state every N steps too, not after each epoch alone
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    checkpoint_every: Option<usize>,
    /// Keep the weights of every epoch, as epoch-0001.safetensors
    #[arg(long)]
    keep_epochs: bool,
    /// Threads that read images; by default one for each processor
    #[arg(short = 'j', long, value_name = "N")]
    workers: Option<usize>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
    /// Device to compute on: auto, cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "auto", env = crate::knobs::DEVICE)]
    device: DeviceChoice,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    data: DataArgs,
    #[command(flatten)]
    recipe: RecipeArgs,
    #[command(flatten)]
    pipeline: PipelineArgs,
}

const WEIGHTS_HELP: &str =
    "Weights to begin with: a file, a tag, or hf://owner/name[@revision][/file]; by default random ones";

/// What a run begins with.
#[derive(Args, Debug)]
#[command(next_help_heading = "Model")]
pub(crate) struct SourceArgs {
    /// Network to train from random weights, or that the weights must be of: hardnet39ds, hardnet68ds, hardnet68 or hardnet85
    #[arg(short, long, value_name = "NAME", required_unless_present_any = ["weights", "resume"])]
    model: Option<Variant>,
    #[arg(help = WEIGHTS_HELP, long, visible_alias = "checkpoint", value_name = "FILE")]
    weights: Option<WeightsSource>,
    #[command(flatten)]
    fetch: FetchArgs,
    /// Names of the classes, one on each line, to be kept with the weights; by default those of class folders
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Leave the weights of the first N entries of `base` as they are; hardnet info lists them
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true)]
    freeze_until: usize,
    /// Number that decides all that is random
    #[arg(long, value_name = "NUMBER", default_value = "0")]
    seed: u64,
}

pub(crate) fn run(args: &TrainArgs, printer: &Printer) -> Result<Exit> {
    let (device, device_choice) = args.device.open()?;
    let workers = args.workers.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let (settings, data, folder, weights) = match &args.resume {
        Some(path) => {
            let folder = RunFolder::open(path).map_err(explained)?;
            let settings = Settings::parse(Progress::read(&folder)?.settings)?;
            let data = data::load(&settings.data, settings.metadata.config.classes(), printer)?;
            (settings, data, folder, None)
        }
        None => {
            let (settings, data, weights) = prepare(args, &device, printer)?;
            let output = args.output.as_deref().expect("clap asks for a folder");
            let folder = RunFolder::create(output, args.force).map_err(explained)?;
            (settings, data, folder, Some(weights))
        }
    };
    let resumes = weights.is_none();
    printer.note(format_args!(
        "hardnet {} ({}), {} with {} classes on {device_choice}, {} threads, {workers} readers",
        env!("CARGO_PKG_VERSION"),
        env!("HARDNET_COMMIT"),
        name_of(&settings.metadata.config),
        settings.metadata.config.classes(),
        crate::knobs::threads(),
    ));
    settings.lines(data.training.len(), data.validation.as_ref().map(|samples| samples.len())).iter().for_each(
        |line| {
            printer.note(line);
        },
    );
    if !resumes {
        settings.save(&folder)?;
    }

    let Data { training, validation, .. } = data;
    let mut job = Job::new(settings.metadata.clone(), settings.recipe.clone(), training, settings.pipeline.clone());
    (job.seed, job.freeze_until) = (settings.seed, settings.freeze_until);
    (job.workers, job.threads, job.device) = (workers, crate::knobs::threads(), device);
    job.isa = crate::knobs::isa()?;
    (job.checkpoint_every, job.keep_epochs) = (args.checkpoint_every, settings.keep_epochs);
    job.settings = settings.to_value()?;
    job.validation = match validation {
        Some(samples) => {
            let validation = Validation::new(samples, settings.pipeline.clone());
            Some(validation.workers(workers).threads(crate::knobs::threads()).isa(crate::knobs::isa()?))
        }
        None => None,
    };
    let mut trainer = match weights {
        Some(weights) => Trainer::start(job, weights, folder).map_err(explained)?,
        None => Trainer::resume(job, folder).map_err(explained)?,
    };
    train(args, &mut trainer, settings.recipe.epochs, resumes, printer)
}

/// Runs what is left, tells how it goes, and prints what came out.
fn train(args: &TrainArgs, trainer: &mut Trainer, epochs: u32, resumes: bool, printer: &Printer) -> Result<Exit> {
    let interrupt = Interrupt::watch()?;
    let mut show = Show::new(*printer, args.json, epochs);
    if resumes {
        show.resumed(trainer.progress());
    }
    let mut failed = None;
    let mut asked = false;
    let ending = trainer.run(&mut |event| {
        let last = matches!(event, Event::Epoch(metrics) if args.stop_after.is_some_and(|most| metrics.epoch as usize >= most));
        if let Err(failure) = show.event(event) {
            failed.get_or_insert(failure);
        }
        asked |= interrupt.asked();
        if asked || last || failed.is_some() { Flow::Stop } else { Flow::Continue }
    });
    show.finish();
    if let Some(failure) = failed {
        return Err(failure);
    }
    let ending = ending.map_err(explained)?;
    let folder = trainer.folder();
    if args.json {
        printer.json(&show::report(trainer, ending))?;
    } else {
        let result = [RunFile::Best, RunFile::Last].into_iter().find(|file| folder.has(*file));
        if let Some(file) = result {
            printer.line(folder.path(file).display())?;
        }
    }
    if ending == Ending::Stopped {
        let path = folder.as_path().display();
        printer.note(format_args!("stopped and saved; hardnet train --resume {path} goes on"));
    }
    Ok(if asked && ending == Ending::Stopped { Exit::Interrupted } else { Exit::Success })
}

/// What a new run is, its images, and the weights it begins with.
fn prepare(args: &TrainArgs, device: &candle_core::Device, printer: &Printer) -> Result<(Settings, Data, Weights)> {
    let source = &args.source;
    let file = match &source.weights {
        Some(weights) => {
            let located = locate(weights, &source.fetch, printer)?;
            Some((weights.to_string(), located.open(source.model)?))
        }
        None => None,
    };
    let file_config = file.as_ref().map(|(_, file)| file.config());
    let own_config = || source.model.map(Config::from).expect("clap asks for a model where there are no weights");
    let base = file_config.cloned().unwrap_or_else(own_config);
    let data_settings = args.data.settings()?;
    let classes = match args.data.num_classes {
        Some(classes) => classes,
        None => data::count_classes(&data_settings)?.unwrap_or(base.classes()),
    };
    let data = data::load(&data_settings, classes, printer)?;
    let config = base.with_classes(classes);
    let of_file = file.as_ref().and_then(|(_, file)| file.metadata()).and_then(|metadata| metadata.pipeline.as_ref());
    let pipeline = args.pipeline.resolve(Some(&config), of_file, printer)?;
    let weights = match &file {
        Some((name, file)) => {
            say_head(name, file, classes, printer);
            Weights::from_file(file, classes, source.seed, device)?
        }
        None => Weights::random(&config, source.seed, device)?,
    };
    let mut metadata = Metadata::new(config);
    metadata.labels = match &source.labels {
        Some(path) => Some(read_labels(path)?),
        None => labels(file.as_ref().map(|(_, file)| file), data.classes.clone(), classes),
    };
    if let Some(found) = metadata.labels.as_ref().map(Vec::len).filter(|&found| found != classes) {
        return Err(Failure::message(format!("{found} class names for {classes} classes")));
    }
    metadata.pipeline = Some(to_value(&pipeline)?);
    metadata.tool = Some(concat!("hardnet ", env!("CARGO_PKG_VERSION")).into());
    let settings = Settings {
        origin: file.as_ref().map(|(name, file)| Origin { path: name.clone(), sha256: file.sha256() }),
        data: data_settings,
        recipe_name: args.recipe.name().into(),
        recipe: args.recipe.resolve()?,
        seed: source.seed,
        freeze_until: source.freeze_until,
        keep_epochs: args.keep_epochs,
        ..Settings::new(metadata, pipeline)
    };
    Ok((settings, data, weights))
}

/// Says that the head of a file does not fit.
fn say_head(name: &str, file: &WeightsFile, classes: usize, printer: &Printer) {
    let own = file.config().classes();
    if own == 0 {
        printer.note(format_args!("`{name}` has no head: one for {classes} classes is drawn at random"));
    } else if own != classes {
        printer.warn(format_args!(
            "the head of `{name}` is for {own} classes: it is replaced by one for {classes}, drawn at random"
        ));
    }
}

/// Names of the classes: those of the folders, or else those of the weights where their head is kept.
fn labels(file: Option<&WeightsFile>, of_folders: Option<Vec<String>>, classes: usize) -> Option<Vec<String>> {
    let of_file = || file?.metadata()?.labels.clone();
    of_folders.or_else(of_file).filter(|labels| labels.len() == classes)
}

/// An error with what can be done about it, where that is known.
fn explained(error: Error) -> Failure {
    let go_on = |path: &Path| {
        let folder = path.parent().unwrap_or(path).display().to_string();
        format!("what was saved before is whole: hardnet train --resume {folder} goes on")
    };
    let hint = match &error {
        Error::Diverged { .. } => {
            Some("lower --lr, warm up by --warmup-epochs, or limit gradients by --clip-norm".into())
        }
        Error::Taken { path } => {
            Some(format!("hardnet train --resume {} goes on with it, --force replaces it", path.display()))
        }
        Error::File { action: "write", path, .. } => Some(go_on(path)),
        Error::NothingReadable { .. } => Some("the errors above name the images".into()),
        _ => None,
    };
    match hint {
        Some(hint) => Err::<(), _>(error).hint(|| hint).expect_err("it is an error"),
        None => error.into(),
    }
}
