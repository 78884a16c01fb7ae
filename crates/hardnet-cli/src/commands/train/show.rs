//! Progress of a run on the terminal, and its result as JSON.

use std::time::Duration;

use hardnet_train::{BatchMetrics, EpochMetrics, Event, Outcome, RunFile, RunState, Stall, Trainer};
use serde::Serialize;

use crate::failure::Result;
use crate::format::counted;
use crate::printer::Printer;
use crate::progress::Progress;
use crate::warnings::ImageWarnings;

/// Shows the events of a run.
pub(super) struct Show {
    printer: Printer,
    /// Whether stdout is reserved for the final report.
    json: bool,
    bar: Option<Progress>,
    /// Seconds of an epoch outside its steps, once known.
    overhead: f64,
    epochs: u32,
    /// Whether a loss that does not move was reported.
    stalled: bool,
    warnings: ImageWarnings,
}

/// Output of `hardnet train --json`. Field names are API.
#[derive(Debug, Serialize)]
pub(super) struct RunReport {
    schema_version: u32,
    output: String,
    finished: bool,
    best: Option<String>,
    last: Option<String>,
    epochs: Vec<EpochMetrics>,
}

pub(super) fn report(trainer: &Trainer, outcome: Outcome) -> RunReport {
    let folder = trainer.folder();
    let path = |file| folder.has(file).then(|| folder.path(file).display().to_string());
    RunReport {
        schema_version: 1,
        output: folder.as_path().display().to_string(),
        finished: outcome == Outcome::Finished,
        best: path(RunFile::Best),
        last: path(RunFile::Last),
        epochs: trainer.state().history.clone(),
    }
}

impl Show {
    pub(super) fn new(printer: Printer, json: bool, epochs: u32) -> Self {
        let warnings = ImageWarnings::default();
        Self { printer, json, bar: None, overhead: 0.0, epochs, stalled: false, warnings }
    }

    /// Shows where a saved run resumes.
    pub(super) fn resumed(&mut self, saved: &RunState) {
        let epochs = counted(saved.epochs() as usize, "epoch");
        match saved.batch {
            0 => self.printer.note(format_args!("resumed after {epochs}")),
            steps => self.printer.note(format_args!("resumed after {epochs} and {}", counted(steps, "step"))),
        }
        if let Some(last) = saved.history.last() {
            self.overhead = overhead(last);
        }
    }

    pub(super) fn event(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Batch(report) => self.batch(report),
            Event::Validated(done, total) => {
                if let Some(bar) = &mut self.bar {
                    bar.update_message(format!("validation {done}/{total}"));
                }
            }
            Event::Failure(error) => self.suspended(|printer| printer.cause(error)),
            Event::Unusable(error) => self.suspended(|printer| printer.cause(error)),
            Event::Elsewhere(report) if report.is_failure => {
                self.suspended(|printer| printer.error(&report.message));
            }
            Event::Warning(sample, warning) => self.warnings.add(sample, warning),
            Event::Epoch(metrics) => {
                self.finish();
                self.warnings.tell(&self.printer);
                self.overhead = overhead(metrics);
                if !self.json {
                    self.printer.line(self.line(metrics))?;
                }
            }
            Event::Stalled(stall) => self.stalled(stall),
            _ => {}
        }
        Ok(())
    }

    /// Says once that the loss does not move.
    fn stalled(&mut self, stall: &Stall) {
        if !std::mem::replace(&mut self.stalled, true) {
            let Stall { epoch, loss, chance, .. } = stall;
            self.printer.warn(format_args!(
                "the loss does not move: {loss:.4} in epoch {epoch}, guesses have {chance:.4}; \
                 try another --lr, freeze fewer modules, and check that the labels fit the images"
            ));
        }
    }

    fn batch(&mut self, report: &BatchMetrics) {
        let (done, total) = report.images;
        let images = (total - done) + total * (report.epoch.1 - report.epoch.0) as usize;
        let rest = f64::from(report.epoch.1 - report.epoch.0 + 1);
        let left = images as f64 / report.images_per_second + self.overhead * rest;
        let message = format!(
            "epoch {}/{}  loss {:.4}  {}  {} left",
            report.epoch.0,
            report.epoch.1,
            report.loss,
            score(report.mean_iou, report.top1),
            time(left)
        );
        let bar = self.bar.get_or_insert_with(|| Progress::new(self.printer, total));
        bar.update_at(done, report.images_per_second, message);
    }

    /// Prints with the bar hidden.
    fn suspended(&self, print: impl FnOnce(&Printer)) {
        match &self.bar {
            Some(bar) => bar.suspend(|| print(&self.printer)),
            None => print(&self.printer),
        }
    }

    /// Removes the bar.
    pub(super) fn finish(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish();
        }
    }

    fn line(&self, metrics: &EpochMetrics) -> String {
        let mut line = format!(
            "epoch {}/{}  lr {:.6}  loss {:.4}  {}",
            metrics.epoch,
            self.epochs,
            metrics.learning_rate,
            metrics.train_loss,
            score(metrics.train_mean_iou, metrics.train_top1)
        );
        if let Some(validation) = &metrics.segmentation {
            line += &format!(
                "  validation mIoU {:.2} %  pixel accuracy {:.2} %",
                validation.mean_iou, validation.pixel_accuracy
            );
        }
        if let Some(validation) = &metrics.validation {
            line += &format!("  validation loss {:.4}  top-1 {:.2} %", validation.loss, validation.top1);
        }
        if metrics.train_errors > 0 {
            line += &format!("  {}", counted(metrics.train_errors, "unreadable image"));
        }
        line += &format!("  {:.1} images/s  {}", metrics.images_per_second, time(metrics.seconds));
        if metrics.best { line + "  best" } else { line }
    }
}

/// The score on the training images: mean IoU of a segmentation network, top-1 accuracy otherwise.
fn score(mean_iou: Option<f64>, top1: f64) -> String {
    mean_iou.map_or_else(|| format!("top-1 {top1:.2} %"), |share| format!("mIoU {share:.2} %"))
}

/// Seconds of an epoch outside its steps: validation and files.
fn overhead(metrics: &EpochMetrics) -> f64 {
    let steps = metrics.train_images as f64 / metrics.images_per_second;
    if steps.is_finite() { (metrics.seconds - steps).max(0.0) } else { 0.0 }
}

/// A duration for people.
fn time(seconds: f64) -> String {
    let Ok(duration) = Duration::try_from_secs_f64(seconds) else { return "unknown".into() };
    let (hours, minutes, seconds) = (duration.as_secs() / 3600, duration.as_secs() / 60 % 60, duration.as_secs() % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, _) => format!("{minutes} min {seconds:02} s"),
        _ => format!("{hours} h {minutes:02} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_readable() {
        for (seconds, expected) in [(0.4, "0 s"), (59.9, "59 s"), (61.0, "1 min 01 s"), (7500.0, "2 h 05 min")] {
            assert_eq!(time(seconds), expected);
        }
        assert_eq!(time(f64::INFINITY), "unknown");
    }
}
