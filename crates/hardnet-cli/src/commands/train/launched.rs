//! Training that a launcher has started several times.

use hardnet_data::{Launcher, Shard};

use crate::failure::Failure;

/// The launchers whose processes work together. Jobs of an array may well be trainings of their own.
const TOGETHER: [Launcher; 4] = [Launcher::OpenMpi, Launcher::Mpich, Launcher::Torchrun, Launcher::Slurm];

/// One of several processes that were started together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Launched {
    pub(super) launcher: Launcher,
    pub(super) shard: Shard,
}

/// Which of several processes this is, if a launcher has started several.
pub(super) fn together(variable: impl Fn(&str) -> Option<String>) -> Option<Launched> {
    // Variables that are incomplete are not those of a launcher.
    let shard = |launcher: Launcher| launcher.shard(&variable, None).ok().filter(|shard| shard.count() > 1);
    TOGETHER.into_iter().find_map(|launcher| Some(Launched { launcher, shard: shard(launcher)? }))
}

impl Launched {
    /// Why this process cannot train: it would train the same network on all images as each of the others.
    pub(super) fn refusal(self) -> Failure {
        let Self { launcher, shard } = self;
        let message = format!(
            "training runs in one process, and this is process {} of {} that were started together ({})",
            shard.index(),
            shard.count(),
            launcher.name()
        );
        let hint = if cfg!(feature = "mpi") {
            "start the ranks with mpirun, mpiexec or srun, or `hardnet train` once"
        } else {
            "start `hardnet train` once, where --threads sets the cores that it uses; or build with --features mpi, with \
             which mpirun, mpiexec or srun start ranks that train together"
        };
        Failure::message(message).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &str) -> Option<String> {
        let lookup = |name: &str| {
            let mut pairs = variables.split_whitespace().filter_map(|pair| pair.split_once('='));
            pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
        };
        together(lookup).map(|launched| launched.refusal().error.to_string())
    }

    #[test]
    fn one_of_several_processes_is_refused() {
        for (variables, name) in [
            ("OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=4", "open-mpi"),
            ("PMI_RANK=1 PMI_SIZE=4", "mpich"),
            ("RANK=1 WORLD_SIZE=4", "torchrun"),
            ("SLURM_STEP_ID=0 SLURM_PROCID=1 SLURM_NTASKS=4", "slurm"),
            ("SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=1 OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=4", "open-mpi"),
        ] {
            let expected = "training runs in one process, and this is process 1 of 4 that were started together";
            assert_eq!(check(variables), Some(format!("{expected} ({name})")), "{variables}");
        }
    }

    #[test]
    fn a_single_process_trains() {
        for variables in [
            "",
            "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1",
            "SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=1",
            // A batch script is one process, and so is a job of an array.
            "SLURM_PROCID=0 SLURM_NTASKS=4",
            "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_MIN=0 SLURM_ARRAY_TASK_MAX=9 SLURM_ARRAY_TASK_STEP=1 SLURM_ARRAY_TASK_COUNT=10",
            "JOB_COMPLETION_INDEX=3",
            "RANK=5",
        ] {
            assert_eq!(check(variables), None, "{variables}");
        }
    }
}
