//! How far a long run is: a bar on a terminal, a line now and then elsewhere.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::printer::Printer;

/// How often a line is printed where there is no bar.
const LINE_EVERY: Duration = Duration::from_secs(10);

/// Progress over a known number of images.
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
            let style = ProgressStyle::with_template("{bar:30} {pos}/{len} images  {elapsed} (eta {eta})  {msg}");
            bar.with_style(style.expect("the template is sound"))
        });
        Self { printer, bar, total: total as u64, started: Instant::now(), last_line: Instant::now() }
    }

    /// Shows that `done` images are behind us, and `message`.
    pub(crate) fn update(&mut self, done: usize, message: impl Into<String>) {
        if let Some(bar) = &self.bar {
            bar.set_message(message.into());
            bar.set_position(done as u64);
        } else if self.printer.shows_progress() && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let rate = done as f64 / self.started.elapsed().as_secs_f64();
            self.printer.note(format_args!("{done}/{} images  {rate:.1} images/s  {}", self.total, message.into()));
        }
    }

    /// Runs `print` with the bar out of the way.
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
