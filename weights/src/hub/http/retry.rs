//! Retries with growing pauses.

use std::thread;
use std::time::{Duration, SystemTime};

use ureq::http::HeaderMap;
use ureq::http::header::RETRY_AFTER;

use super::{HttpClient, text};
use crate::error::DownloadError;
use crate::hub::event::{Event, Observer};

/// A failed attempt.
pub(super) struct Failure {
    reason: DownloadError,
    /// Whether another attempt may succeed.
    transient: bool,
    /// Pause that the host asks for.
    pause: Option<Duration>,
    /// Whether the attempt received data that the next one need not request.
    progress: bool,
}

impl Failure {
    /// A failure that another attempt cannot change.
    pub(super) fn permanent(reason: DownloadError) -> Self {
        Self { reason, transient: false, pause: None, progress: false }
    }

    /// A failure that another attempt may not have.
    pub(super) fn transient(reason: DownloadError) -> Self {
        Self { reason, transient: true, pause: None, progress: false }
    }

    /// Sets the pause that the host asks for.
    pub(super) fn after(self, pause: Option<Duration>) -> Self {
        Self { pause, ..self }
    }

    /// Sets whether the attempt received data.
    pub(super) fn with_progress(self, progress: bool) -> Self {
        Self { progress, ..self }
    }
}

impl HttpClient<'_> {
    /// Repeats `attempt` until it succeeds, fails permanently, or makes no progress [`max_attempts`] times in a row.
    ///
    /// [`max_attempts`]: field@crate::RetryPolicy::max_attempts
    pub(super) fn with_retries<T>(
        &self,
        observer: &mut Observer,
        mut attempt: impl FnMut(&mut Observer) -> Result<T, Failure>,
    ) -> Result<T, DownloadError> {
        let retry = &self.options.retry;
        let mut failures = 0;
        loop {
            let failure = match attempt(observer) {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            failures = if failure.progress { 1 } else { failures + 1 };
            if !failure.transient || failures >= retry.max_attempts {
                return Err(failure.reason);
            }
            let backoff = retry.initial_backoff.saturating_mul(1 << (failures - 1).min(16)).min(retry.max_backoff);
            let pause = failure.pause.unwrap_or(backoff);
            if pause > retry.max_backoff {
                return Err(DownloadError::RetryLater(pause));
            }
            observer(Event::Retrying { why: &failure.reason.to_string(), pause });
            thread::sleep(pause);
        }
    }
}

/// The pause that a response asks for, in seconds or until a date.
pub(super) fn requested_pause(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER.as_str())?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds_of_date(value)?);
    Some(until.duration_since(SystemTime::now()).unwrap_or_default())
}

/// The Unix time of a date as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn seconds_of_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(", ")?.1.strip_suffix(" GMT")?.split(' ');
    let number = |text: &str| text.parse::<u64>().ok();
    let day = number(words.next()?)?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let year = number(words.next()?)?;
    let mut clock = words.next()?.split(':');
    let (hour, minute, second) = (number(clock.next()?)?, number(clock.next()?)?, number(clock.next()?)?);
    if !(1970..10_000).contains(&year) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Years begin in March here, so that the leap day is the last day.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    const DAYS_TO_1970: u64 = 719_468;
    Some((days - DAYS_TO_1970) * 86_400 + hour * 3_600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_unix_times() {
        // `date -u -d TEXT +%s`
        assert_eq!(seconds_of_date("Sun, 06 Nov 1994 08:49:37 GMT"), Some(784_111_777));
        assert_eq!(seconds_of_date("Thu, 29 Feb 2024 00:00:00 GMT"), Some(1_709_164_800));
        assert_eq!(seconds_of_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
        for text in ["", "tomorrow", "Sun, 06 Nov 1894 08:49:37 GMT", "Sun, 06 Nov 1994 28:49:37 GMT"] {
            assert_eq!(seconds_of_date(text), None, "{text}");
        }
    }

    #[test]
    fn a_host_asks_for_a_pause_in_seconds_or_until_a_date() {
        let pause = |value: &str| requested_pause(&HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]));
        assert_eq!(pause("7"), Some(Duration::from_secs(7)));
        assert_eq!(pause("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert!(pause("Fri, 31 Dec 9999 23:59:59 GMT").unwrap() > Duration::from_secs(1 << 30));
        assert_eq!(pause("soon"), None);
    }
}
