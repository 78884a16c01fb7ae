//! `hardnet info --measure`: measured time and memory traffic of each layer, next to the computed costs.

use std::fmt::Write;
use std::time::Duration;

use hardnet_complexity::{Figures, Totals, rank_correlation};
use hardnet_eval::ToolRecord;
use hardnet_model::{Config, Plan, Variant};
use hardnet_params::synthetic;
use serde::Serialize;

use super::Format;
use super::subject::Subject;
use crate::failure::Result;
use crate::model::plan_options;
use crate::report;
use crate::size::ImageSize;

/// Warm-up runs.
const WARM_UP: usize = 3;

/// A network measured on this machine, one image at a time. Field names are API.
#[derive(Debug, Serialize)]
pub(super) struct Measurement {
    pub(super) isa: String,
    pub(super) threads: usize,
    iters: usize,
    /// Median time of all layers together.
    pub(super) ms: f64,
    /// Bytes of feature maps that the steps read and write.
    map_bytes: u64,
    /// Bytes of packed weights that they read.
    weight_bytes: u64,
    /// Bytes of the arena that holds the feature maps.
    arena_bytes: usize,
    steps: Vec<Step>,
}

/// One step of the plan.
#[derive(Debug, Serialize)]
struct Step {
    name: String,
    #[serde(flatten)]
    measured: LayerMeasurement,
}

/// Measurement of one layer.
#[derive(Debug, Serialize)]
pub(super) struct LayerMeasurement {
    pub(super) kernel: &'static str,
    /// The later step whose time is this layer's too.
    #[serde(skip)]
    fused_into: Option<usize>,
    /// Median time.
    pub(super) ms: f64,
    pub(super) map_bytes: u64,
    pub(super) weight_bytes: u64,
}

impl Measurement {
    /// Runs the plan of `config`, with values that are synthetic, `iters` times.
    pub(super) fn take(config: &Config, size: ImageSize, iters: usize) -> Result<Self> {
        let options = plan_options()?.size(size.height, size.width);
        let mut plan = Plan::new(config, &synthetic::Synthetic, &options)?;
        let image = synthetic::values("x", &[1, config.in_channels, size.height, size.width]);
        let steps = plan.steps();
        let mut runs = vec![Vec::with_capacity(iters); steps.len()];
        let mut wholes = Vec::with_capacity(iters);
        for run in 0..WARM_UP + iters {
            let mut times = vec![Duration::ZERO; steps.len()];
            std::hint::black_box(plan.profile(&[&image], &mut times)?);
            if run < WARM_UP {
                continue;
            }
            wholes.push(times.iter().sum());
            runs.iter_mut().zip(times).for_each(|(runs, time)| runs.push(time));
        }
        let steps: Vec<Step> = steps
            .into_iter()
            .zip(runs)
            .map(|(step, runs)| Step {
                name: step.name,
                measured: LayerMeasurement {
                    kernel: step.kernel,
                    fused_into: step.fused_into,
                    ms: median_ms(runs),
                    map_bytes: step.map_bytes,
                    weight_bytes: step.weight_bytes,
                },
            })
            .collect();
        Ok(Self {
            isa: options.isa.to_string(),
            threads: options.threads,
            iters,
            ms: median_ms(wholes),
            map_bytes: steps.iter().map(|step| step.measured.map_bytes).sum(),
            weight_bytes: steps.iter().map(|step| step.measured.weight_bytes).sum(),
            arena_bytes: plan.memory().arena,
            steps,
        })
    }

    /// The measurement of a layer, if the plan has a step for it.
    pub(super) fn layer(&self, name: &str) -> Option<&LayerMeasurement> {
        self.steps.iter().find(|step| step.name == name).map(|step| &step.measured)
    }

    /// Appends the totals.
    pub(super) fn print(&self, text: &mut String, totals: &Totals) -> Result<()> {
        let kib = |bytes: u64| bytes / 1024;
        writeln!(
            text,
            "\ntime    {:.2} ms, median of {} runs on this machine ({}, {} threads)",
            self.ms, self.iters, self.isa, self.threads
        )?;
        writeln!(
            text,
            "traffic {} KiB of feature maps (CIO {} KiB), {} KiB of weights",
            kib(self.map_bytes),
            kib(4 * totals.cio()),
            kib(self.weight_bytes)
        )?;
        writeln!(
            text,
            "arena   {} KiB for feature maps (live memory at peak {} KiB)",
            kib(self.arena_bytes as u64),
            kib(totals.peak_live_bytes)
        )?;
        Ok(())
    }
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    let middle = |at: usize| times.get(at).copied().unwrap_or_default();
    500.0 * (middle(times.len().saturating_sub(1) / 2) + middle(times.len() / 2)).as_secs_f64()
}

/// Costs and times of the steps with convolutions, of one or more networks. Fused layers are one step.
#[derive(Default)]
struct Pairs {
    cio: Vec<f64>,
    macs: Vec<f64>,
    bytes: Vec<f64>,
    ms: Vec<f64>,
}

impl Pairs {
    fn add(&mut self, figures: &Figures, measurement: &Measurement) {
        let layers = figures.graph.nodes().iter().zip(&figures.layers);
        self.extend(layers.filter_map(|(layer, figures)| {
            let measured = measurement.layer(&layer.name)?;
            Some(((figures.cio, figures.macs), measured))
        }));
    }

    /// Adds the layers of one network in order: CIO and MACs, and their measurement.
    fn extend<'a>(&mut self, layers: impl Iterator<Item = ((u64, u64), &'a LayerMeasurement)>) {
        let (mut cio, mut macs, mut bytes, mut ms) = (0, 0, 0, 0.0);
        for ((own_cio, own_macs), measured) in layers {
            cio += own_cio;
            macs += own_macs;
            bytes += measured.map_bytes + measured.weight_bytes;
            ms += measured.ms;
            if measured.fused_into.is_some() {
                continue;
            }
            if cio > 0 {
                self.cio.push(cio as f64);
                self.macs.push(macs as f64);
                self.bytes.push(bytes as f64);
                self.ms.push(ms);
            }
            (cio, macs, bytes, ms) = (0, 0, 0, 0.0);
        }
    }

    fn correlations(&self) -> Correlations {
        let with_time = |counts: &[f64]| rank_correlation(counts, &self.ms);
        Correlations {
            steps: self.ms.len(),
            cio: with_time(&self.cio),
            macs: with_time(&self.macs),
            bytes: with_time(&self.bytes),
        }
    }
}

/// Spearman's rank correlation with time, over the steps that compute convolutions.
#[derive(Serialize)]
struct Correlations {
    steps: usize,
    cio: Option<f64>,
    macs: Option<f64>,
    /// Rank correlation of the bytes of feature maps and weights.
    bytes: Option<f64>,
}

/// The summary. Field names are API.
#[derive(Serialize)]
struct Summary {
    schema_version: u32,
    tool: ToolRecord,
    isa: String,
    threads: usize,
    img_size: usize,
    iters: usize,
    networks: Vec<NetworkSummary>,
    /// Over the steps of all networks.
    all: Correlations,
}

#[derive(Serialize)]
struct NetworkSummary {
    model: &'static str,
    cio: u64,
    macs: u64,
    peak_live_bytes: u64,
    map_bytes: u64,
    weight_bytes: u64,
    arena_bytes: usize,
    ms: f64,
    rank_correlation: Correlations,
}

/// Measures every HarDNet.
pub(super) fn all(side: usize, iters: usize) -> Result<Vec<(Variant, Measurement)>> {
    Variant::ALL
        .into_iter()
        .map(|variant| Ok((variant, Measurement::take(&variant.into(), ImageSize::square(side), iters)?)))
        .collect()
}

/// Summary of all HarDNets.
pub(super) fn summary(side: usize, iters: usize, format: Format) -> Result<String> {
    let mut all_pairs = Pairs::default();
    let mut networks = Vec::new();
    let (mut isa, mut threads) = (String::new(), 0);
    for (variant, measurement) in all(side, iters)? {
        let subject = Subject::from_variant(variant);
        let figures = Figures::new(subject.graph(), side, side)?;
        let totals = figures.totals;
        let mut pairs = Pairs::default();
        pairs.add(&figures, &measurement);
        all_pairs.add(&figures, &measurement);
        networks.push(NetworkSummary {
            model: variant.name(),
            cio: totals.cio(),
            macs: totals.macs(),
            peak_live_bytes: totals.peak_live_bytes,
            map_bytes: measurement.map_bytes,
            weight_bytes: measurement.weight_bytes,
            arena_bytes: measurement.arena_bytes,
            ms: measurement.ms,
            rank_correlation: pairs.correlations(),
        });
        (isa, threads) = (measurement.isa, measurement.threads);
    }
    let all = all_pairs.correlations();
    let summary =
        Summary { schema_version: 1, tool: report::tool(), isa, threads, img_size: side, iters, networks, all };
    match format {
        Format::Json => Ok(serde_json::to_string_pretty(&summary)?),
        Format::Csv => summary.csv(),
        Format::Table => summary.table(),
    }
}

impl Summary {
    fn csv(&self) -> Result<String> {
        let mut text = String::from(
            "model,ms,macs,cio,map_bytes,weight_bytes,peak_live_bytes,arena_bytes,steps,rank_cio,rank_macs,rank_bytes\n",
        );
        let number = |value: Option<f64>| value.map_or(String::new(), |value| format!("{value:.4}"));
        for line in &self.networks {
            let rank = &line.rank_correlation;
            writeln!(
                text,
                "{},{:.4},{},{},{},{},{},{},{},{},{},{}",
                line.model,
                line.ms,
                line.macs,
                line.cio,
                line.map_bytes,
                line.weight_bytes,
                line.peak_live_bytes,
                line.arena_bytes,
                rank.steps,
                number(rank.cio),
                number(rank.macs),
                number(rank.bytes)
            )?;
        }
        Ok(text)
    }

    fn table(&self) -> Result<String> {
        let mut text = String::new();
        let Self { isa, threads, img_size, iters, .. } = self;
        writeln!(
            text,
            "one image of {img_size}x{img_size} pixels on this machine ({isa}, {threads} threads), medians of {iters} runs\n"
        )?;
        let (mib, million) = (|bytes: u64| bytes as f64 / f64::from(1 << 20), |count: u64| count as f64 / 1e6);
        writeln!(
            text,
            "                                     CIO         maps   weights      live    arena   rank correlation with time"
        )?;
        writeln!(
            text,
            "model             ms    MMACs        MiB    moved MiB       MiB  peak MiB      MiB    steps    CIO   MACs   bytes"
        )?;
        let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.2}"));
        for line in &self.networks {
            let rank = &line.rank_correlation;
            writeln!(
                text,
                "{:<12} {:>7.2} {:>8.1} {:>10.2} {:>12.2} {:>9.2} {:>9.2} {:>8.2} {:>8} {:>6} {:>6} {:>7}",
                line.model,
                line.ms,
                million(line.macs),
                mib(4 * line.cio),
                mib(line.map_bytes),
                mib(line.weight_bytes),
                mib(line.peak_live_bytes),
                mib(line.arena_bytes as u64),
                rank.steps,
                number(rank.cio),
                number(rank.macs),
                number(rank.bytes)
            )?;
        }
        let Correlations { steps, cio, macs, bytes } = &self.all;
        writeln!(text, "{:<82} {:>8} {:>6} {:>6} {:>7}", "all", steps, number(*cio), number(*macs), number(*bytes))?;
        text.push_str("\nSteps are those with convolutions. Fused layers are one step, and the feature maps between them are not moved.\n\
         Times and their correlations were measured on this machine; all other numbers are computed.\n");
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fused_layers_are_one_step() {
        let measured = |kernel, ms| LayerMeasurement {
            kernel,
            fused_into: (kernel == "in the next").then_some(4),
            ms,
            map_bytes: 8,
            weight_bytes: 2,
        };
        let layers = [
            ((0, 0), measured("load", 9.0)),
            ((10, 100), measured("direct", 1.0)),
            ((20, 200), measured("in the next", 0.0)),
            ((0, 0), measured("in the next", 0.0)),
            ((40, 400), measured("chain", 3.0)),
            ((0, 0), measured("pool", 9.0)),
        ];
        let mut pairs = Pairs::default();
        pairs.extend(layers.iter().map(|(counts, measured)| (*counts, measured)));
        assert_eq!((pairs.cio, pairs.macs), (vec![10.0, 60.0], vec![100.0, 600.0]));
        assert_eq!((pairs.bytes, pairs.ms), (vec![10.0, 30.0], vec![1.0, 3.0]));
    }
}
