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
        } else {
            self.line(done, done as f64 / self.started.elapsed().as_secs_f64(), message);
        }
    }

    /// The same with the speed, in images per second, as the caller measures it.
    pub(crate) fn update_at(&mut self, done: usize, speed: f64, message: impl Into<String>) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{speed:.1} images/s  {}", message.into()));
            bar.set_position(done as u64);
        } else {
            self.line(done, speed, message);
        }
    }

    /// Prints a line if it is time for one.
    fn line(&mut self, done: usize, speed: f64, message: impl Into<String>) {
        if self.printer.shows_progress() && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            self.printer.note(format_args!("{done}/{} images  {speed:.1} images/s  {}", self.total, message.into()));
        }
    }

    /// Shows `message` beside what is done.
    pub(crate) fn update_message(&self, message: impl Into<String>) {
        if let Some(bar) = &self.bar {
            bar.set_message(message.into());
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

/// How far a download is, and what happens to it.
#[cfg(feature = "hub")]
pub(crate) struct Transfer {
    printer: Printer,
    bar: Option<ProgressBar>,
    size: Option<u64>,
    last_line: Instant,
}

#[cfg(feature = "hub")]
impl Transfer {
    pub(crate) fn new(printer: Printer) -> Self {
        Self { printer, bar: None, size: None, last_line: Instant::now() }
    }

    /// Shows an event.
    pub(crate) fn show(&mut self, event: &hardnet_weights::Event) {
        use crate::weights::megabytes;
        use hardnet_weights::Event;

        match event {
            Event::Received(bytes) => return self.advance(*bytes),
            Event::Started { size, kept } => {
                self.clear();
                let size_said = size.map_or("a file of unknown length".into(), megabytes);
                let kept_said = if *kept > 0 { format!(", {} are here", megabytes(*kept)) } else { String::new() };
                self.printer.note(format_args!("downloading {size_said}{kept_said}"));
                self.size = *size;
                self.bar = size.filter(|_| self.printer.shows_transfers()).map(|size| {
                    let bar = ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::stderr());
                    let style =
                        ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}  {bytes_per_sec} (eta {eta})");
                    bar.with_style(style.expect("the template is sound"))
                });
                return;
            }
            _ => self.clear(),
        }
        match event {
            Event::Asking { wanted, address, size, note } => {
                let size = size.map_or(String::new(), |size| format!(", about {}", megabytes(size)));
                self.printer.note(format_args!("fetching {wanted}{size}, from {address}"));
                if let Some(note) = note {
                    self.printer.warn(note);
                }
            }
            Event::Waiting { why, pause } => {
                self.printer.warn(format_args!("{why}; trying again in {:.1} s", pause.as_secs_f64()));
            }
            Event::Locked(path) => {
                self.printer.note(format_args!("waiting for another process, which holds `{}`", path.display()));
            }
            Event::Failed(error) => self.printer.warn(error),
            Event::Converting => self.printer.note("converting to safetensors"),
            _ => {}
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(mut self) {
        self.clear();
    }

    fn advance(&mut self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
        } else if self.printer.shows_progress() && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let of = self.size.map_or(String::new(), |size| format!("/{}", crate::weights::megabytes(size)));
            self.printer.note(format_args!("{}{of}", crate::weights::megabytes(bytes)));
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
