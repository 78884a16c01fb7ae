//! `hardnet train`.

mod balance;
mod class_weights;
mod data;
mod images;
#[cfg(feature = "mpi")]
mod joint;
mod launched;
mod masks;
mod prepare;
mod recipe;
mod settings;
mod show;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use hardnet_model::{Config, Graph, ModuleKind};
use hardnet_train::{Communicator, Error, Event, Outcome, RunFile, RunFolder, Trainer};
use hardnet_weights::WeightsSource;

use crate::device::DeviceChoice;
use crate::failure::{Exit, Failure, Hinted, Result};
use crate::format::{at_least_one, counted};
use crate::interrupt::Interrupt;
use crate::model::name_of;
use crate::network::NetworkName;
use crate::pipeline::PipelineArgs;
use crate::printer::Printer;
use crate::weights::{FetchArgs, PartArgs};
use data::DataArgs;
use images::{Images, saved};
use masks::MaskArgs;
use prepare::prepare;
use recipe::RecipeArgs;
use show::Show;

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
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = crate::format::positive::<u64>)]
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
    /// Network, a name from `hardnet list` or a file in TOML; required without --weights
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
