//! Training by the ranks that a launcher of MPI has started.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use hardnet_data::Launcher;
use hardnet_mpi::{Mpi, MpiLibrary, MpiOptions};
use hardnet_train::{CommunicationError, Communicator, Error, Follower, Outcome};

use super::images::load;
use super::launched::Launched;
use super::settings::Settings;
use super::{TrainArgs, lead, with_hint};
use crate::failure::{Exit, Failure, Result};
use crate::format::counted;
use crate::interrupt::Interrupt;
use crate::printer::Printer;

/// Exit code of all ranks if one fails.
const ABORTED: i32 = 2;

/// How long another rank is waited for that should end all.
const OTHERS_TURN: Duration = Duration::from_secs(10);

/// Trains as one of several ranks.
pub(super) fn run(args: &TrainArgs, launched: Launched, printer: &Printer) -> Result<Exit> {
    let library = match (&args.mpi, launched.launcher) {
        (Some(library), _) => library.clone(),
        (None, Launcher::OpenMpi | Launcher::Slurm) => MpiLibrary::OpenMpi,
        (None, Launcher::Mpich) => MpiLibrary::Mpich,
        (None, _) => return Err(launched.refusal()),
    };
    let options = MpiOptions::new(library).timeout(Duration::from_secs(args.rank_timeout));
    let mpi =
        Mpi::start(&options).map_err(|error| Failure::from(error).hint("--mpi names the library of the launcher"))?;
    let mpi = Arc::new(mpi);
    let (found, expected) = (mpi.size(), launched.shard.count());
    let trained = if found == expected {
        train(args, &mpi, printer)
    } else {
        let message =
            format!("MPI has {}, and {} started {expected}", counted(found, "rank"), launched.launcher.name());
        Err(Failure::message(message)
            .hint("pass the launcher's MPI with --mpi; under srun, also srun --mpi=pmix or pmi2"))
    };
    let ended = trained.and_then(|exit| Ok(mpi.finish().map(|()| exit)?));
    ended.or_else(|failure| {
        end_all(&mpi, &failure, printer);
        Ok(Exit::Error)
    })
}

fn train(args: &TrainArgs, mpi: &Arc<Mpi>, printer: &Printer) -> Result<Exit> {
    let communicator: Arc<dyn Communicator> = mpi.clone();
    if mpi.rank() == 0 { lead(args, Some(communicator), printer) } else { follow(args, communicator) }
}

/// Trains as a rank whose files and progress are those of rank 0.
fn follow(args: &TrainArgs, communicator: Arc<dyn Communicator>) -> Result<Exit> {
    let settings: Settings = hardnet_train::share(Arc::clone(&communicator), None)?;
    let (device, _) = args.device.open()?;
    let images = load(&settings, &Printer::new(2))?;
    let mut follower = Follower::join(args.job(&settings, images, device)?, communicator).map_err(with_hint)?;
    let interrupt = Interrupt::watch()?;
    let outcome = follower.run(&mut |_| match interrupt.requested() {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    });
    let stopped = outcome.map_err(with_hint)? == Outcome::Stopped;
    Ok(if stopped && interrupt.requested() { Exit::Interrupted } else { Exit::Success })
}

/// Says why this rank cannot go on, and ends all. Rank 0 does both if it lives.
fn end_all(mpi: &Mpi, failure: &Failure, printer: &Printer) {
    let cause = failure.error.chain().find_map(|cause| {
        let of_run = cause.downcast_ref::<Error>().and_then(|error| match error {
            Error::Communication(error) => Some(error),
            _ => None,
        });
        of_run.or_else(|| cause.downcast_ref::<CommunicationError>())
    });
    if cause.is_none() {
        mpi.fail(&format!("{:#}", failure.error));
    }
    let rank = mpi.rank();
    if rank > 0 {
        let root_is_gone = matches!(cause, Some(CommunicationError::Silent { rank: 0, .. }));
        // One after the other, as the first that speaks ends the rest.
        std::thread::sleep(if root_is_gone { Duration::from_millis(100) * rank.min(40) as u32 } else { OTHERS_TURN });
    }
    printer.failure(failure);
    mpi.abort(ABORTED);
}
