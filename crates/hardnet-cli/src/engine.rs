//! `--engine`: what computes a network.

use std::sync::{Mutex, PoisonError};

use candle_core::Device;
use clap::ValueEnum;
use hardnet_model::{Config, HarDNet, Plan, PlanOptions, WeightsFile};
use hardnet_simd::Isa;

use crate::failure::{Failure, Result};

/// Images that a plan computes at once: more need memory for their maps and gain little.
pub(crate) const MAX_BATCH: usize = 8;

/// What computes the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EngineChoice {
    /// Kernels of our own, on the CPU
    Plan,
    /// The network on Candle, on any device
    Candle,
}

/// A network ready to run, or ready to be planned for the first images that come.
#[derive(Debug)]
pub(crate) enum Engine {
    Plan { config: Config, state: Mutex<State> },
    Candle { network: Box<HarDNet>, device: Device },
}

/// A plan needs the size of its images, and nothing of the file once it is made.
#[derive(Debug)]
pub(crate) enum State {
    File(Box<WeightsFile>),
    Planned(Box<Plan>),
    /// The file did not make a plan.
    Failed,
}

impl Engine {
    /// The engine of `choice`, by default the plan on the CPU, for the network of `file`.
    pub(crate) fn new(choice: Option<EngineChoice>, file: WeightsFile, device: &Device) -> Result<Self> {
        match choice {
            Some(EngineChoice::Plan) if !device.is_cpu() => {
                Err(Failure::message("the plan computes on the CPU only").hint("pass --device cpu or --engine candle"))
            }
            None if !device.is_cpu() => Self::candle(&file, device),
            Some(EngineChoice::Candle) => Self::candle(&file, device),
            Some(EngineChoice::Plan) | None => {
                let config = file.config().clone();
                Ok(Self::Plan { config, state: Mutex::new(State::File(Box::new(file))) })
            }
        }
    }

    fn candle(file: &WeightsFile, device: &Device) -> Result<Self> {
        let network = HarDNet::from_file(&file, device)?;
        Ok(Self::Candle { network: Box::new(network), device: device.clone() })
    }

    /// What the network is.
    pub(crate) fn config(&self) -> &Config {
        match self {
            Self::Plan { config, .. } => config,
            Self::Candle { network, .. } => network.config(),
        }
    }

    /// `plan` or `candle`.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Plan { .. } => "plan",
            Self::Candle { .. } => "candle",
        }
    }

    /// Logits of each of the images, each `[3, side, side]`. All calls are for one side.
    pub(crate) fn logits(&self, images: &[impl AsRef<[f32]>], side: usize) -> Result<Vec<Vec<f32>>> {
        match self {
            Self::Plan { state, .. } => {
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                if matches!(*state, State::File(_)) {
                    let mut options = options()?;
                    (options.height, options.width, options.batch) = (side, side, images.len().min(MAX_BATCH));
                    if let State::File(file) = std::mem::replace(&mut *state, State::Failed) {
                        *state = State::Planned(Box::new(Plan::from_file(*file, &options)?));
                    }
                }
                let State::Planned(plan) = &mut *state else { return Err(Failure::message("the network has no plan")) };
                let logits = plan.run(images)?;
                Ok(logits.chunks(plan.output_len()).map(<[f32]>::to_vec).collect())
            }
            Self::Candle { network, device } => {
                let pixels = images.iter().map(AsRef::as_ref).collect::<Vec<_>>().concat();
                let images = candle_core::Tensor::from_vec(pixels, (images.len(), 3, side, side), device)?;
                Ok(network.forward(&images)?.to_vec2::<f32>()?)
            }
        }
    }
}

/// The options of a plan that the program's flags and variables decide.
pub(crate) fn options() -> Result<PlanOptions> {
    let mut options = PlanOptions::default();
    options.threads = crate::knobs::threads();
    options.isa = Isa::from_environment()?;
    Ok(options)
}
