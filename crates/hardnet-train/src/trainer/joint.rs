//! Training by several ranks: rank 0 starts or resumes the run and writes its files, the others follow.

use std::ops::ControlFlow;
use std::sync::Arc;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::Trainer;
use super::source::Told;
use crate::communicator::{CommunicationError, Communicator};
use crate::error::{Error, Result};
use crate::event::{Event, Outcome};
use crate::image_list::ImageDigests;
use crate::job::Job;
use crate::ranks::{ROOT, Ranks};
use crate::state::RunState;
use crate::weights::{Weights, values_of};

/// A rank of a run whose files another rank writes.
///
/// It computes its share of each step and each validation, with the weights of rank 0, and reads the images of its
/// share only.
#[derive(Debug)]
pub struct Follower(Trainer);

impl Follower {
    /// Joins the run of rank 0, which calls [`Trainer::over`]. The job must be that of rank 0, except for threads and
    /// workers.
    ///
    /// # Errors
    ///
    /// [`Error::OtherRun`] if the job is another one, [`Error::Communication`], and errors of an invalid job.
    pub fn join(job: Job, communicator: Arc<dyn Communicator>) -> Result<Self> {
        let ranks = Ranks::new(communicator);
        let joined = Self::joined(job, ranks.clone());
        ranks.end_all(joined)
    }

    fn joined(job: Job, ranks: Ranks) -> Result<Self> {
        let weights = Weights::random(&job.metadata.config, job.seed, &job.device)?;
        let mut trainer = Trainer::new(job, weights, None)?;
        trainer.ranks = ranks;
        trainer.meet()?;
        Ok(Self(trainer))
    }

    /// Trains with the other ranks until the run ends. The events are those of all ranks, but images that could not be
    /// read are this rank's. If `observe` returns `Break`, the run stops after the next step.
    ///
    /// # Errors
    ///
    /// As [`Trainer::run`].
    pub fn run(&mut self, observe: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<Outcome> {
        self.0.run(observe)
    }

    /// Progress of the run.
    pub fn state(&self) -> &RunState {
        self.0.state()
    }

    /// The weights so far, which are those of rank 0.
    pub fn result(&self) -> &Weights {
        self.0.result()
    }
}

/// What must be the same on all ranks.
#[derive(Clone, Serialize, Deserialize)]
struct Plan {
    version: String,
    network: serde_json::Value,
    recipe: serde_json::Value,
    seed: u64,
    frozen: (usize, bool),
    preprocessing: serde_json::Value,
    images: ImageDigests,
    instructions: String,
}

/// What the ranks agree on after a step or an epoch.
#[derive(Serialize, Deserialize)]
struct Agreed {
    stop: bool,
    errors: usize,
}

/// The images that a rank read for a step.
#[derive(Serialize, Deserialize)]
struct StepReport {
    told: Told,
    /// Whether the rank asks to stop.
    stop: bool,
}

impl Trainer {
    /// Trains together with other ranks, each of which calls [`Follower::join`]. This is rank 0.
    ///
    /// The virtual shards of a step are divided among the ranks. The result is that of one process with the same
    /// [`virtual_shards`](field@crate::Recipe::virtual_shards), bit for bit.
    ///
    /// # Errors
    ///
    /// [`Error::Recipe`] if there are fewer virtual shards than ranks, [`Error::Communication`].
    pub fn over(mut self, communicator: Arc<dyn Communicator>) -> Result<Self> {
        self.ranks = Ranks::new(communicator);
        let met = self.meet();
        self.ranks.clone().end_all(met)?;
        Ok(self)
    }

    /// Checks that all ranks run the same job, and takes over the state of rank 0.
    fn meet(&mut self) -> Result<()> {
        if self.ranks.is_root() != self.folder.is_some() {
            return Err(CommunicationError::Transport("rank 0 alone starts or resumes the run".into()).into());
        }
        let shards = self.job.recipe.virtual_shards;
        if shards < self.ranks.size() {
            let expected = "as many as there are ranks, or more";
            return Err(Error::Recipe { field: "virtual_shards", found: shards.to_string(), expected });
        }
        let own = self.plan()?;
        let first = self.ranks.share(self.ranks.is_root().then(|| own.clone()))?;
        let differences = [
            ("versions of the program", first.version != own.version),
            ("networks", first.network != own.network),
            ("recipes", first.recipe != own.recipe),
            ("random seeds", first.seed != own.seed),
            ("frozen modules", first.frozen != own.frozen),
            ("preprocessing", first.preprocessing != own.preprocessing),
            ("training images", first.images.training != own.images.training),
            ("validation images", first.images.validation != own.images.validation),
            ("instruction sets", first.instructions != own.instructions),
        ];
        if let Some((what, _)) = differences.into_iter().find(|(_, differ)| *differ) {
            return Err(Error::OtherRun { what });
        }
        self.share_state()
    }

    fn plan(&self) -> Result<Plan> {
        let json = |value: serde_json::Result<serde_json::Value>| value.expect("settings are plain data");
        let (training, validation) = self.image_lists()?;
        Ok(Plan {
            version: env!("CARGO_PKG_VERSION").into(),
            network: json(serde_json::to_value(&self.job.metadata.config)),
            recipe: json(serde_json::to_value(&self.job.recipe)),
            seed: self.job.seed,
            frozen: (self.job.freeze_until, self.job.freeze_statistics),
            preprocessing: json(serde_json::to_value(&self.job.pipeline)),
            images: ImageDigests { training: training.digest(), validation: validation.map(|list| list.digest()) },
            instructions: self.job.isa.to_string(),
        })
    }

    /// Gives progress, weights, momentum and averages of rank 0 to all ranks.
    fn share_state(&mut self) -> Result<()> {
        let state = self.ranks.share(self.ranks.is_root().then(|| self.state.clone()))?;
        let encoded = || -> Result<Vec<u8>> {
            let mut message = Vec::new();
            for (_, var) in self.tensors() {
                values_of(var)?.iter().for_each(|value| message.extend_from_slice(&value.to_le_bytes()));
            }
            Ok(message)
        };
        let message = self.ranks.broadcast(self.ranks.is_root().then(encoded).transpose()?)?;
        if self.ranks.is_root() {
            return Ok(());
        }
        let mut rest = &message[..];
        for (_, var) in self.tensors() {
            let split = rest.split_at_checked(4 * var.elem_count());
            let (values, left) = split.ok_or(CommunicationError::Message { rank: ROOT })?;
            let values: Vec<f32> = values.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            var.set(&Tensor::from_vec(values, var.shape(), var.device())?)?;
            rest = left;
        }
        self.state = state;
        Ok(())
    }

    /// Counts the images that all ranks read for a step, on rank 0, and reports what was wrong with those of others.
    /// Returns whether another rank asks to stop.
    pub(super) fn count_images(
        &mut self,
        told: Told,
        observe: &mut dyn FnMut(Event) -> ControlFlow<()>,
    ) -> Result<bool> {
        self.state.totals.errors += told.errors;
        let mut stop = false;
        for (_, report) in self.ranks.gather(&StepReport { told, stop: self.asks_to_stop })? {
            self.state.totals.errors += report.told.errors;
            stop |= report.stop;
            tell(&report.told, observe);
        }
        Ok(stop)
    }

    /// Whether to go on, as rank 0 decides.
    pub(super) fn agree(&mut self, flow: ControlFlow<()>) -> Result<ControlFlow<()>> {
        if self.ranks.size() == 1 {
            return Ok(flow);
        }
        self.asks_to_stop |= flow.is_break();
        let own = || Agreed { stop: flow.is_break(), errors: self.state.totals.errors };
        let Agreed { stop, errors } = self.ranks.share(self.ranks.is_root().then(own))?;
        self.state.totals.errors = errors;
        Ok(if stop { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }
}

/// Reports what another rank said of its images.
pub(super) fn tell(told: &Told, observe: &mut dyn FnMut(Event) -> ControlFlow<()>) {
    for report in &told.reports {
        let _ = observe(Event::Elsewhere(report));
    }
}
