//! Progress of a long run: a bar on a terminal, a line now and then elsewhere.

#[cfg(feature = "hub")]
mod download;

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printer::Printer;

#[cfg(feature = "hub")]
pub(crate) use download::DownloadProgress;

/// Time between two lines where no bar is shown.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Progress over a known number of images, or over an unknown one if it is 0.
pub(crate) struct Progress {
    printer: Printer,
    bar: Option<ProgressBar>,
    total: u64,
    started: Instant,
    last_line: Instant,
}

impl Progress {
    pub(crate) fn new(printer: Printer, total: usize) -> Self {
        let bar = printer.shows_bars().then(|| {
            let bar = ProgressBar::with_draw_target(Some(total as u64), ProgressDrawTarget::stderr());
            let style = match total {
                0 => ProgressStyle::with_template("{spinner} {pos} images  {elapsed}  {msg}"),
                _ => ProgressStyle::with_template("{bar:30} {pos}/{len} images  {elapsed} (eta {eta})  {msg}"),
            };
            bar.with_style(style.expect("the template is valid"))
        });
        Self { printer, bar, total: total as u64, started: Instant::now(), last_line: Instant::now() }
    }

    /// Shows that `done` images are complete, with a message.
    pub(crate) fn update(&mut self, done: usize, message: impl Into<String>) {
        if let Some(bar) = &self.bar {
            bar.set_message(message.into());
            bar.set_position(done as u64);
        } else {
            self.line(done, done as f64 / self.started.elapsed().as_secs_f64(), message);
        }
    }

    /// Like [`update`](Self::update), with a speed in images per second that the caller measured.
    pub(crate) fn update_at(&mut self, done: usize, speed: f64, message: impl Into<String>) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{speed:.1} images/s  {}", message.into()));
            bar.set_position(done as u64);
        } else {
            self.line(done, speed, message);
        }
    }

    /// Prints a line if the last one is old enough.
    fn line(&mut self, done: usize, speed: f64, message: impl Into<String>) {
        if self.printer.shows_progress() && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let of = if self.total > 0 { format!("/{}", self.total) } else { String::new() };
            self.printer.note(format_args!("{done}{of} images  {speed:.1} images/s  {}", message.into()));
        }
    }

    /// Replaces the message.
    pub(crate) fn update_message(&self, message: impl Into<String>) {
        if let Some(bar) = &self.bar {
            bar.set_message(message.into());
        }
    }

    /// Runs `print` with the bar hidden.
    pub(crate) fn suspend(&self, print: impl FnOnce()) {
        match &self.bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
