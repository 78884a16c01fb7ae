//! Which shard a process is, by the environment variables of what started it.

use std::fmt;
use std::str::FromStr;

use super::{Shard, ShardError};

/// A program that starts several processes and tells each its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Launcher {
    /// An array of Slurm jobs, `sbatch --array`.
    SlurmArray,
    /// The tasks of a Slurm job step, `srun`.
    Slurm,
    /// The pods of a Kubernetes Job with `completionMode: Indexed`.
    Kubernetes,
    /// `torchrun`, and PyTorchJob of Kubeflow.
    Torchrun,
    /// Open MPI's `mpirun`.
    OpenMpi,
    /// MPICH's and Intel MPI's `mpiexec`.
    Mpich,
}

/// The environment variables that [`Launcher::detect`] asks for, with their meanings.
pub const LAUNCHER_VARIABLES: &[(&str, &str)] = &[
    ("SLURM_ARRAY_TASK_ID", "number of this job in an array of Slurm jobs"),
    ("SLURM_ARRAY_TASK_MIN", "smallest number in the array"),
    ("SLURM_ARRAY_TASK_MAX", "largest number in the array"),
    ("SLURM_ARRAY_TASK_STEP", "step between numbers of the array"),
    ("SLURM_ARRAY_TASK_COUNT", "number of jobs in the array"),
    ("SLURM_PROCID", "number of this task of `srun`"),
    ("SLURM_NTASKS", "number of tasks of `srun`"),
    ("SLURM_STEP_ID", "set in the tasks of `srun`, and not in a batch script"),
    ("JOB_COMPLETION_INDEX", "number of this pod of an Indexed Job of Kubernetes"),
    ("RANK", "number of this process of `torchrun`"),
    ("WORLD_SIZE", "number of processes of `torchrun`"),
    ("OMPI_COMM_WORLD_RANK", "number of this process of Open MPI"),
    ("OMPI_COMM_WORLD_SIZE", "number of processes of Open MPI"),
    ("PMI_RANK", "number of this process of MPICH"),
    ("PMI_SIZE", "number of processes of MPICH"),
];

/// Slurm's variable that a step has, and a batch script has not.
const STEP: &str = "SLURM_STEP_ID";

/// Error of [`Launcher::detect`]. The variables are named by it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LauncherError {
    /// No variable of a launcher is set.
    #[error("no launcher has set its variables: {expected}")]
    NoLauncher {
        /// The variables that were looked for.
        expected: String,
    },
    /// A variable is missing next to another one.
    #[error("`{present}` is set, but `{missing}` is not")]
    Incomplete {
        /// A variable that is set.
        present: &'static str,
        /// The variable that should be.
        missing: &'static str,
    },
    /// A variable is not a number from 0.
    #[error("`{variable}` is `{value}`, expected a number from 0")]
    NotANumber {
        /// The variable.
        variable: &'static str,
        /// Its value, shortened to 80 characters.
        value: String,
    },
    /// The launcher does not say how many processes there are.
    #[error("`{variable}` does not come with the number of shards")]
    NoSize {
        /// The variable.
        variable: &'static str,
    },
    /// The number of processes differs from the one that was asked for.
    #[error("`{variable}` is {found}, which contradicts the {expected} shards that were asked for")]
    Size {
        /// The variable.
        variable: &'static str,
        /// Its value.
        found: usize,
        /// The number of shards.
        expected: usize,
    },
    /// The process is not one of the shards.
    #[error("`{variable}`: {source}")]
    Index {
        /// The variable of the number.
        variable: &'static str,
        /// Why.
        source: ShardError,
    },
    /// The numbers of an array have gaps.
    #[error(
        "the numbers of the array have gaps: `SLURM_ARRAY_TASK_COUNT` is {count}, but `SLURM_ARRAY_TASK_MIN` {min}, \
         `SLURM_ARRAY_TASK_MAX` {max} and `SLURM_ARRAY_TASK_STEP` {step} make {}", (.max.saturating_sub(*.min)) / (*.step).max(1) + 1
    )]
    Gaps {
        /// The number of jobs.
        count: usize,
        /// The smallest number.
        min: usize,
        /// The largest number.
        max: usize,
        /// The step.
        step: usize,
    },
    /// The number of a job is not one of its array.
    #[error(
        "`SLURM_ARRAY_TASK_ID` is {id}, which is not a number of an array from `SLURM_ARRAY_TASK_MIN` {min} in steps of \
         `SLURM_ARRAY_TASK_STEP` {step}"
    )]
    NotInArray {
        /// The number.
        id: usize,
        /// The smallest number.
        min: usize,
        /// The step.
        step: usize,
    },
    /// An array of one job whose number is not 0 is a job that is run again.
    #[error("`SLURM_ARRAY_TASK_ID` is {id} in an array of one job, so that the number of shards is not known")]
    OneJob {
        /// The number.
        id: usize,
    },
    /// Two launchers disagree.
    #[error("`{first}` says shard {first_shard}, `{second}` says shard {second_shard}")]
    Contradiction {
        /// A variable of one launcher.
        first: &'static str,
        /// The shard by it.
        first_shard: Shard,
        /// A variable of the other launcher.
        second: &'static str,
        /// The shard by it.
        second_shard: Shard,
    },
}

impl Launcher {
    /// All launchers.
    pub const ALL: [Self; 6] =
        [Self::SlurmArray, Self::Slurm, Self::Kubernetes, Self::Torchrun, Self::OpenMpi, Self::Mpich];

    /// The name: `slurm-array`, `slurm`, `kubernetes`, `torchrun`, `open-mpi` or `mpich`.
    pub fn name(self) -> &'static str {
        match self {
            Self::SlurmArray => "slurm-array",
            Self::Slurm => "slurm",
            Self::Kubernetes => "kubernetes",
            Self::Torchrun => "torchrun",
            Self::OpenMpi => "open-mpi",
            Self::Mpich => "mpich",
        }
    }

    /// The variable with the number of the process.
    fn rank_variable(self) -> &'static str {
        match self {
            Self::SlurmArray => "SLURM_ARRAY_TASK_ID",
            Self::Slurm => "SLURM_PROCID",
            Self::Kubernetes => "JOB_COMPLETION_INDEX",
            Self::Torchrun => "RANK",
            Self::OpenMpi => "OMPI_COMM_WORLD_RANK",
            Self::Mpich => "PMI_RANK",
        }
    }

    /// The variable with the number of processes, if the launcher has one.
    fn size_variable(self) -> Option<&'static str> {
        match self {
            Self::SlurmArray => Some("SLURM_ARRAY_TASK_COUNT"),
            Self::Slurm => Some("SLURM_NTASKS"),
            Self::Kubernetes => None,
            Self::Torchrun => Some("WORLD_SIZE"),
            Self::OpenMpi => Some("OMPI_COMM_WORLD_SIZE"),
            Self::Mpich => Some("PMI_SIZE"),
        }
    }

    /// Finds out which shard this process is by the variables of all launchers; `variable` returns the value of one.
    ///
    /// Several launchers may have set theirs if they agree, or if all but one have started a single process. `count` is
    /// the number of shards, if it is known otherwise; Kubernetes has no variable for it.
    ///
    /// # Errors
    ///
    /// A [`LauncherError`] that names the variables if none, not all of a launcher, or contradicting ones are set.
    pub fn detect(variable: impl Fn(&str) -> Option<String>, count: Option<usize>) -> Result<Shard, LauncherError> {
        let mut found: Option<(Self, Shard)> = None;
        for launcher in Self::ALL {
            if !launcher.is_set(&variable) {
                continue;
            }
            // A size that contradicts `count` is that of a single process inside another launcher's.
            if launcher.size(&variable)? == Some(1) && launcher.is_inner(&variable) {
                continue;
            }
            let shard = launcher.shard(&variable, count)?;
            match found {
                Some((other, first_shard)) if first_shard != shard => {
                    let [first, second] = [other, launcher].map(Self::rank_variable);
                    return Err(LauncherError::Contradiction { first, first_shard, second, second_shard: shard });
                }
                _ => found = Some((launcher, shard)),
            }
        }
        let expected = || Self::ALL.map(|launcher| format!("`{}`", launcher.rank_variable())).join(", ");
        match found {
            Some((_, shard)) => Ok(shard),
            // A batch script is one process, whatever the number of tasks it may start.
            None if value(&variable, "SLURM_PROCID").is_some() => Self::Slurm.shard(variable, count),
            None => Err(LauncherError::NoLauncher { expected: expected() }),
        }
    }

    /// The shard that this process is by the variables of this launcher alone, as [`detect`](Self::detect).
    ///
    /// # Errors
    ///
    /// As [`detect`](Self::detect).
    pub fn shard(
        self,
        variable: impl Fn(&str) -> Option<String>,
        count: Option<usize>,
    ) -> Result<Shard, LauncherError> {
        let rank = self.rank_variable();
        let Some(mut index) = number(&variable, rank)? else {
            return Err(match self.size_variable().filter(|size| value(&variable, size).is_some()) {
                Some(present) => LauncherError::Incomplete { present, missing: rank },
                None => LauncherError::NoLauncher { expected: format!("`{rank}`") },
            });
        };
        if self == Self::Slurm && value(&variable, STEP).is_none() {
            return Err(LauncherError::Incomplete { present: rank, missing: STEP });
        }
        let size = self.size(&variable)?;
        if let Some((missing, None)) = self.size_variable().map(|name| (name, size)) {
            return Err(LauncherError::Incomplete { present: rank, missing });
        }
        if self == Self::SlurmArray {
            index = place_in_array(&variable, index, size.unwrap_or_default())?;
        }
        if let Some((variable, (found, expected))) = self.size_variable().zip(size.zip(count))
            && found != expected
        {
            return Err(LauncherError::Size { variable, found, expected });
        }
        let Some(count) = size.or(count) else { return Err(LauncherError::NoSize { variable: rank }) };
        Shard::new(index, count).map_err(|source| LauncherError::Index { variable: rank, source })
    }

    /// Whether a variable of this launcher is set.
    fn is_set(self, variable: &impl Fn(&str) -> Option<String>) -> bool {
        // A batch script has the variables of `srun`, with the number 0, and not that of a step.
        if self == Self::Slurm {
            return value(variable, STEP).is_some();
        }
        let names = [Some(self.rank_variable()), self.size_variable()];
        names.into_iter().flatten().any(|name| value(variable, name).is_some())
    }

    /// Whether another launcher has started several processes.
    fn is_inner(self, variable: &impl Fn(&str) -> Option<String>) -> bool {
        let several = |other: Self| other.is_set(variable) && other.size(variable) != Ok(Some(1));
        Self::ALL.into_iter().any(|other| other != self && several(other))
    }

    fn size(self, variable: &impl Fn(&str) -> Option<String>) -> Result<Option<usize>, LauncherError> {
        self.size_variable().map_or(Ok(None), |name| number(variable, name))
    }
}

/// The place of job `id` in its array of `count` jobs, from 0.
fn place_in_array(variable: &impl Fn(&str) -> Option<String>, id: usize, count: usize) -> Result<usize, LauncherError> {
    let needed = |name: &'static str| {
        let missing = || LauncherError::Incomplete { present: "SLURM_ARRAY_TASK_ID", missing: name };
        number(variable, name)?.ok_or_else(missing)
    };
    let (min, max) = (needed("SLURM_ARRAY_TASK_MIN")?, needed("SLURM_ARRAY_TASK_MAX")?);
    // Slurm sets it for ranges alone.
    let step = number(variable, "SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
    if count == 1 && id != 0 {
        return Err(LauncherError::OneJob { id });
    }
    if max < min || (max - min) / step + 1 != count {
        return Err(LauncherError::Gaps { count, min, max, step });
    }
    match id.checked_sub(min) {
        Some(behind) if behind.is_multiple_of(step) && id <= max => Ok(behind / step),
        _ => Err(LauncherError::NotInArray { id, min, step }),
    }
}

/// The value of a variable; an empty one is not set.
fn value(variable: &impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    variable(name).filter(|value| !value.is_empty())
}

fn number(variable: &impl Fn(&str) -> Option<String>, name: &'static str) -> Result<Option<usize>, LauncherError> {
    let Some(value) = value(variable, name) else { return Ok(None) };
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|_| digits);
    let not_a_number = || LauncherError::NotANumber { variable: name, value: hardnet_base::excerpt(&value) };
    number.map(Some).ok_or_else(not_a_number)
}

impl fmt::Display for Launcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Error of a name that is not a launcher's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("one of slurm-array, slurm, kubernetes, torchrun, open-mpi or mpich")]
#[non_exhaustive]
pub struct UnknownLauncher;

impl FromStr for Launcher {
    type Err = UnknownLauncher;

    fn from_str(name: &str) -> Result<Self, UnknownLauncher> {
        Self::ALL.into_iter().find(|launcher| launcher.name() == name).ok_or(UnknownLauncher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(variables: &str, count: Option<usize>) -> Result<Shard, LauncherError> {
        Launcher::detect(lookup(variables), count)
    }

    fn lookup(variables: &str) -> impl Fn(&str) -> Option<String> + '_ {
        |name| {
            let pairs = variables.split_whitespace().filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
        }
    }

    fn array(id: usize, min: usize, max: usize, step: usize, count: usize) -> String {
        format!(
            "SLURM_ARRAY_TASK_ID={id} SLURM_ARRAY_TASK_MIN={min} SLURM_ARRAY_TASK_MAX={max} \
             SLURM_ARRAY_TASK_STEP={step} SLURM_ARRAY_TASK_COUNT={count}"
        )
    }

    #[test]
    fn each_launcher_gives_number_and_size() {
        let cases = [
            ("SLURM_STEP_ID=0 SLURM_PROCID=2 SLURM_NTASKS=4", None, (2, 4)),
            ("JOB_COMPLETION_INDEX=0", Some(3), (0, 3)),
            ("RANK=7 WORLD_SIZE=8 LOCAL_RANK=3", None, (7, 8)),
            ("OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=2", Some(2), (1, 2)),
            ("PMI_RANK=0 PMI_SIZE=1", None, (0, 1)),
            // A job of an array, and an array job that runs `srun` with one task.
            (&array(3, 0, 9, 1, 10), None, (3, 10)),
            (&array(5, 1, 9, 2, 5), Some(5), (2, 5)),
            (&(array(3, 0, 9, 1, 10) + " SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=1"), None, (3, 10)),
            (&array(0, 0, 0, 1, 1), None, (0, 1)),
            // The batch script of an array by Slurm 22.05, also with `-n 4`.
            (&(array(1, 0, 2, 1, 3) + " SLURM_PROCID=0"), None, (1, 3)),
            (&(array(1, 0, 2, 1, 3) + " SLURM_PROCID=0  SLURM_NTASKS=4"), None, (1, 3)),
            // `srun` of a program that uses MPICH's interface.
            ("SLURM_STEP_ID=0 SLURM_PROCID=2 SLURM_NTASKS=4 PMI_RANK=2 PMI_SIZE=4", None, (2, 4)),
            ("SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=1 RANK=5 WORLD_SIZE=6", Some(6), (5, 6)),
            ("SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=1 JOB_COMPLETION_INDEX=5", Some(6), (5, 6)),
            ("SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=1 PMI_RANK=0 PMI_SIZE=1", None, (0, 1)),
        ];
        for (variables, count, (index, of)) in cases {
            assert_eq!(detect(variables, count), Ok(Shard::new(index, of).unwrap()), "{variables}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let contradiction = "`SLURM_PROCID` says shard 0/2, `OMPI_COMM_WORLD_RANK` says shard 1/4";
        let cases = [
            ("", None, "no launcher has set its variables: `SLURM_ARRAY_TASK_ID`, `SLURM_PROCID`"),
            ("RANK= WORLD_SIZE=", None, "no launcher has set its variables: `SLURM_ARRAY_TASK_ID`"),
            ("RANK=1", None, "`RANK` is set, but `WORLD_SIZE` is not"),
            ("PMI_SIZE=4", None, "`PMI_SIZE` is set, but `PMI_RANK` is not"),
            ("RANK=x WORLD_SIZE=2", None, "`RANK` is `x`, expected a number from 0"),
            ("RANK=-1 WORLD_SIZE=2", None, "`RANK` is `-1`, expected a number from 0"),
            ("RANK=2 WORLD_SIZE=2", None, "`RANK`: shard `2/2` does not exist"),
            ("RANK=0 WORLD_SIZE=0", None, "`RANK`: the number of shards is 0"),
            ("RANK=1 WORLD_SIZE=2", Some(3), "`WORLD_SIZE` is 2, which contradicts the 3 shards"),
            ("SLURM_PROCID=0  SLURM_NTASKS=4", None, "`SLURM_PROCID` is set, but `SLURM_STEP_ID` is not"),
            ("JOB_COMPLETION_INDEX=1", None, "`JOB_COMPLETION_INDEX` does not come with the number of shards"),
            ("JOB_COMPLETION_INDEX=3", Some(3), "`JOB_COMPLETION_INDEX`: shard `3/3` does not exist"),
            (
                "SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=2 OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=4",
                None,
                contradiction,
            ),
            ("SLURM_ARRAY_TASK_ID=1 SLURM_ARRAY_TASK_COUNT=4", None, "but `SLURM_ARRAY_TASK_MIN` is not"),
            ("SLURM_ARRAY_TASK_ID=1", None, "but `SLURM_ARRAY_TASK_COUNT` is not"),
            (&array(5, 1, 7, 1, 3), None, "`SLURM_ARRAY_TASK_COUNT` is 3, but `SLURM_ARRAY_TASK_MIN` 1"),
            (&array(4, 1, 9, 2, 5), None, "`SLURM_ARRAY_TASK_ID` is 4, which is not a number of an array"),
            (&array(3, 3, 3, 1, 1), Some(10), "`SLURM_ARRAY_TASK_ID` is 3 in an array of one job"),
            (
                &(array(3, 0, 9, 1, 10) + " SLURM_STEP_ID=0 SLURM_PROCID=1 SLURM_NTASKS=2"),
                None,
                "`SLURM_PROCID` says shard 1/2",
            ),
        ];
        for (variables, count, expected) in cases {
            let message = detect(variables, count).unwrap_err().to_string();
            assert!(message.contains(expected), "{variables}: {message}");
        }
    }

    #[test]
    fn one_launcher_can_be_chosen() {
        let variables = "SLURM_STEP_ID=0 SLURM_PROCID=0 SLURM_NTASKS=2 OMPI_COMM_WORLD_RANK=1 OMPI_COMM_WORLD_SIZE=4";
        assert_eq!(Launcher::OpenMpi.shard(lookup(variables), None), Ok(Shard { index: 1, count: 4 }));
        assert_eq!(
            "slurm".parse::<Launcher>().unwrap().shard(lookup(variables), None),
            Ok(Shard { index: 0, count: 2 })
        );
        let message = Launcher::Mpich.shard(lookup(variables), None).unwrap_err().to_string();
        assert_eq!(message, "no launcher has set its variables: `PMI_RANK`");
        assert_eq!("pbs".parse::<Launcher>(), Err(UnknownLauncher));
    }

    /// The table is what users read.
    #[test]
    fn all_variables_are_listed() {
        let asked = std::cell::RefCell::new(Vec::new());
        let record = |name: &str| {
            asked.borrow_mut().push(name.to_owned());
            Some("1".to_owned())
        };
        for launcher in Launcher::ALL {
            assert_eq!(launcher.name().parse(), Ok(launcher));
            let _ = launcher.shard(record, None);
        }
        let listed: Vec<_> = LAUNCHER_VARIABLES.iter().map(|(name, _)| *name).collect();
        assert!(asked.borrow().iter().all(|name| listed.contains(&name.as_str())), "{asked:?}");
    }
}
