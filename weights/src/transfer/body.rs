//! A body into a part file, from where it broke off.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED};
use ureq::http::{HeaderMap, Method};

use super::retry::Failure;
use super::{Conditions, Order, Transfer, text};
use crate::error::Reason;
use crate::event::{Event, Watch};

/// How much is read before it is written.
const CHUNK: usize = 1 << 18;

impl Transfer<'_> {
    /// Brings a file into its part, which is as long as it should be afterwards. Its content is not checked.
    pub(crate) fn download(&self, order: &Order, watch: &mut Watch) -> Result<(), Reason> {
        let mut announced = false;
        let mut furthest = length(order.part);
        self.patiently(watch, |watch| {
            self.attempt(order, length(order.part), &mut announced, watch).map_err(|failure| {
                let reached = length(order.part);
                let progress = reached > furthest;
                furthest = furthest.max(reached);
                failure.with_progress(progress)
            })
        })
    }

    fn attempt(&self, order: &Order, kept: u64, announced: &mut bool, watch: &mut Watch) -> Result<(), Failure> {
        let note = note(order.part);
        let validator = fs::read_to_string(&note).ok().filter(|_| !order.named_by_content);
        let may_continue = order.named_by_content || validator.is_some();
        let mut kept = if may_continue && kept <= order.length.unwrap_or(order.longest) { kept } else { 0 };
        if order.length == Some(kept) && kept > 0 {
            return Ok(());
        }
        let conditions = Conditions { from: kept, validator: validator.as_deref() };
        let (mut response, asked) = self.ask(&Method::GET, order.address, conditions)?;
        let range = text(response.headers(), CONTENT_RANGE.as_str());
        match response.status().as_u16() {
            200 => kept = 0,
            206 if range.and_then(first_byte) == Some(kept) => {}
            // The whole file was there, and the host says so.
            416 if kept > 0 && order.length.is_none() && range == Some(&format!("bytes */{kept}")) => return Ok(()),
            206 | 416 => {
                discard(order.part).map_err(|error| disk(order.part, error))?;
                return Err(Failure::transient(Reason::Network("the host has no such part of the file".into())));
            }
            _ => return Err(self.refused(&response, &asked)),
        }
        let rest = text(response.headers(), CONTENT_LENGTH.as_str()).and_then(|length| length.parse::<u64>().ok());
        let length = order.length.or_else(|| rest.and_then(|rest| rest.checked_add(kept)));
        if length.is_some_and(|length| length > order.longest) {
            return Err(Failure::final_(Reason::TooLong(order.longest)));
        }
        if kept == 0 && !order.named_by_content {
            keep_validator(response.headers(), &note).map_err(|error| disk(&note, error))?;
        }
        if !std::mem::replace(announced, true) {
            watch(Event::Started { size: length, kept });
        }
        // One byte more than is allowed, to see that there is more.
        let body = response.body_mut().as_reader().take((order.longest - kept).saturating_add(1));
        let written = write(body, order.part, kept, length, watch)?;
        if written > order.longest {
            discard(order.part).map_err(|error| disk(order.part, error))?;
            return Err(Failure::final_(Reason::TooLong(order.longest)));
        }
        match length {
            Some(expected) if written != expected => {
                Err(Failure::transient(Reason::Length { expected, found: written }))
            }
            _ => Ok(()),
        }
    }
}

/// Writes a body behind the first `kept` bytes of the part; the length afterwards.
fn write(mut body: impl Read, part: &Path, kept: u64, length: Option<u64>, watch: &mut Watch) -> Result<u64, Failure> {
    let full = |error| {
        // A full disk is left as it was found.
        if matches!(error, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            let _ = discard(part);
        }
    };
    let failed = |error: io::Error| {
        full(error.kind());
        disk(part, error)
    };
    let mut file = File::options().write(true).create(true).truncate(false).open(part).map_err(failed)?;
    file.set_len(kept).and_then(|()| file.seek(SeekFrom::Start(kept))).map_err(failed)?;
    let mut chunk = vec![0; CHUNK];
    let mut written = kept;
    loop {
        let count = match body.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Failure::transient(Reason::Network(broke_off(&error)))),
        };
        written += count as u64;
        if let Some(expected) = length.filter(|length| written > *length) {
            discard(part).map_err(failed)?;
            return Err(Failure::transient(Reason::Length { expected, found: written }));
        }
        file.write_all(&chunk[..count]).map_err(failed)?;
        watch(Event::Received(written));
    }
    // A disk may notice only now that it is full.
    file.sync_all().map_err(failed)?;
    Ok(written)
}

fn disk(path: &Path, source: io::Error) -> Failure {
    Failure::final_(Reason::Disk { path: path.into(), source })
}

fn broke_off(error: &io::Error) -> String {
    let timeout = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    match timeout {
        Some(ureq::Error::Timeout(_)) => "the host fell silent".into(),
        _ => format!("the connection broke off ({error})"),
    }
}

fn length(part: &Path) -> u64 {
    fs::metadata(part).map_or(0, |metadata| metadata.len())
}

/// The file beside a part that holds the host's word for which file it is of.
fn note(part: &Path) -> PathBuf {
    let mut name = part.as_os_str().to_owned();
    name.push(".validator");
    name.into()
}

/// Removes a part and what belongs to it.
pub(crate) fn discard(part: &Path) -> io::Result<()> {
    for path in [part, &note(part)] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Keeps what a host calls this state of its file, if it has a word that means every byte.
fn keep_validator(headers: &HeaderMap, note: &Path) -> io::Result<()> {
    let strong = text(headers, ETAG.as_str()).filter(|etag| etag.starts_with('"'));
    match strong.or_else(|| text(headers, LAST_MODIFIED.as_str())) {
        Some(validator) => fs::write(note, validator),
        None => match fs::remove_file(note) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

/// `a` of `bytes a-b/c`.
fn first_byte(range: &str) -> Option<u64> {
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}
