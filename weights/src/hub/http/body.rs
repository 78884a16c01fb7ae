//! A response body into a part file, resumed where it broke off.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use ureq::http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED};
use ureq::http::{HeaderMap, Method};

use super::retry::Failure;
use super::{DownloadRequest, HttpClient, Resume, text};
use crate::error::DownloadError;
use crate::hub::event::{Event, Observer};

/// Size of a read.
const CHUNK: usize = 1 << 18;

impl HttpClient<'_> {
    /// Downloads a file into its part. The length is checked, the content is not.
    pub(in crate::hub) fn download(
        &self,
        request: &DownloadRequest,
        observer: &mut Observer,
    ) -> Result<(), DownloadError> {
        let mut announced = false;
        let mut furthest = length(request.part);
        self.with_retries(observer, |observer| {
            self.attempt(request, length(request.part), &mut announced, observer).map_err(|failure| {
                let reached = length(request.part);
                let progress = reached > furthest;
                furthest = furthest.max(reached);
                failure.with_progress(progress)
            })
        })
    }

    fn attempt(
        &self,
        request: &DownloadRequest,
        kept: u64,
        announced: &mut bool,
        observer: &mut Observer,
    ) -> Result<(), Failure> {
        let validator_file = validator_file(request.part);
        let validator = fs::read_to_string(&validator_file).ok().filter(|_| !request.named_by_content);
        let may_resume = request.named_by_content || validator.is_some();
        let mut kept = if may_resume && kept <= request.length.unwrap_or(request.max_length) { kept } else { 0 };
        if request.length == Some(kept) && kept > 0 {
            return Ok(());
        }
        let resume = Resume { from: kept, validator: validator.as_deref() };
        let (mut response, origin) = self.request(&Method::GET, request.url, resume)?;
        let range = text(response.headers(), CONTENT_RANGE.as_str());
        match response.status().as_u16() {
            200 => kept = 0,
            206 if range.and_then(first_byte) == Some(kept) => {}
            // The part is complete, and the host confirms it.
            416 if kept > 0 && request.length.is_none() && range == Some(&format!("bytes */{kept}")) => return Ok(()),
            206 | 416 => {
                discard(request.part).map_err(|error| io_failure(request.part, error))?;
                return Err(Failure::transient(DownloadError::Network("the host cannot resume the file".into())));
            }
            _ => return Err(self.status_failure(&response, &origin)),
        }
        let rest = text(response.headers(), CONTENT_LENGTH.as_str()).and_then(|length| length.parse::<u64>().ok());
        let length = request.length.or_else(|| rest.and_then(|rest| rest.checked_add(kept)));
        if length.is_some_and(|length| length > request.max_length) {
            return Err(Failure::permanent(DownloadError::TooLarge(request.max_length)));
        }
        if kept == 0 && !request.named_by_content {
            store_validator(response.headers(), &validator_file).map_err(|error| io_failure(&validator_file, error))?;
        }
        if !std::mem::replace(announced, true) {
            observer(Event::Started { size: length, resumed_from: kept });
        }
        // One byte more than is allowed, to detect a longer file.
        let body = response.body_mut().as_reader().take((request.max_length - kept).saturating_add(1));
        let written = write(body, request.part, kept, length, observer)?;
        if written > request.max_length {
            discard(request.part).map_err(|error| io_failure(request.part, error))?;
            return Err(Failure::permanent(DownloadError::TooLarge(request.max_length)));
        }
        match length {
            Some(expected) if written != expected => {
                Err(Failure::transient(DownloadError::LengthMismatch { expected, found: written }))
            }
            _ => Ok(()),
        }
    }
}

/// Writes a body after the first `kept` bytes of the part. Returns the new length of the part.
fn write(
    mut body: impl Read,
    part: &Path,
    kept: u64,
    length: Option<u64>,
    observer: &mut Observer,
) -> Result<u64, Failure> {
    let full = |error| {
        // A full disk is left as it was.
        if matches!(error, io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            let _ = discard(part);
        }
    };
    let failed = |error: io::Error| {
        full(error.kind());
        io_failure(part, error)
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
            Err(error) => return Err(Failure::transient(DownloadError::Network(read_message(&error)))),
        };
        written += count as u64;
        if let Some(expected) = length.filter(|length| written > *length) {
            discard(part).map_err(failed)?;
            return Err(Failure::transient(DownloadError::LengthMismatch { expected, found: written }));
        }
        file.write_all(&chunk[..count]).map_err(failed)?;
        observer(Event::Received(written));
    }
    // A full disk may be reported only here.
    file.sync_all().map_err(failed)?;
    Ok(written)
}

fn io_failure(path: &Path, source: io::Error) -> Failure {
    Failure::permanent(DownloadError::Io { path: path.into(), source })
}

fn read_message(error: &io::Error) -> String {
    let timeout = error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    match timeout {
        Some(ureq::Error::Timeout(_)) => "the host stopped sending".into(),
        _ => format!("the connection broke off ({error})"),
    }
}

fn length(part: &Path) -> u64 {
    fs::metadata(part).map_or(0, |metadata| metadata.len())
}

/// The file next to a partial download that holds the host's validator of the file.
fn validator_file(part: &Path) -> PathBuf {
    let mut name = part.as_os_str().to_owned();
    name.push(".validator");
    name.into()
}

/// Removes a part and its validator.
pub(in crate::hub) fn discard(part: &Path) -> io::Result<()> {
    for path in [part, &validator_file(part)] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Stores a strong validator of the file: its ETag, or the time of its last modification.
fn store_validator(headers: &HeaderMap, path: &Path) -> io::Result<()> {
    let strong = text(headers, ETAG.as_str()).filter(|etag| etag.starts_with('"'));
    match strong.or_else(|| text(headers, LAST_MODIFIED.as_str())) {
        Some(validator) => fs::write(path, validator),
        None => match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
    }
}

/// `a` of `bytes a-b/c`.
fn first_byte(range: &str) -> Option<u64> {
    range.strip_prefix("bytes ")?.split_once('-')?.0.parse().ok()
}
