//! Progress of a download: a bar on a terminal, a line now and then elsewhere.

use std::time::Instant;

use hardnet_weights::Event;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::LINE_EVERY;
use crate::format::megabytes;
use crate::printer::Printer;

/// Shows the events of a download.
pub(crate) struct DownloadProgress {
    printer: Printer,
    bar: Option<ProgressBar>,
    size: Option<u64>,
    last_line: Instant,
}

impl DownloadProgress {
    pub(crate) fn new(printer: Printer) -> Self {
        Self { printer, bar: None, size: None, last_line: Instant::now() }
    }

    /// Shows an event.
    pub(crate) fn show(&mut self, event: &Event) {
        if let Event::Received(bytes) = event {
            return self.advance(*bytes);
        }
        self.clear();
        match event {
            Event::Requesting { wanted, address, size, note } => {
                let size = size.map_or(String::new(), |size| format!(" (about {})", megabytes(size)));
                self.printer.note(format_args!("fetching {wanted}{size} from {address}"));
                if let Some(note) = note {
                    self.printer.warn(note);
                }
            }
            Event::Started { size, resumed_from } => self.start(*size, *resumed_from),
            Event::Retrying { why, pause } => {
                self.printer.warn(format_args!("{why}; retrying in {:.1} s", pause.as_secs_f64()));
            }
            Event::WaitingForLock(path) => {
                self.printer.note(format_args!("waiting for another process, which holds `{}`", path.display()));
            }
            Event::SourceFailed(error) => self.printer.warn(error),
            Event::Converting => self.printer.note("converting to safetensors"),
            _ => {}
        }
    }

    /// Removes the bar.
    pub(crate) fn finish(mut self) {
        self.clear();
    }

    fn start(&mut self, size: Option<u64>, resumed_from: u64) {
        let length = size.map_or("a file of unknown length".into(), megabytes);
        let resumed =
            if resumed_from > 0 { format!(", resuming after {}", megabytes(resumed_from)) } else { String::new() };
        self.printer.note(format_args!("downloading {length}{resumed}"));
        self.size = size;
        self.bar = size.filter(|_| self.printer.shows_download_bars()).map(|size| {
            let bar = ProgressBar::with_draw_target(Some(size), ProgressDrawTarget::stderr());
            let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes}  {bytes_per_sec} (eta {eta})");
            bar.with_style(style.expect("the template is valid"))
        });
    }

    fn advance(&mut self, bytes: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(bytes);
        } else if self.printer.shows_progress() && self.last_line.elapsed() >= LINE_EVERY {
            self.last_line = Instant::now();
            let total = self.size.map_or(String::new(), |size| format!(" of {}", megabytes(size)));
            self.printer.note(format_args!("{}{total}", megabytes(bytes)));
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
