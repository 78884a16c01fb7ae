//! When to try again.

use std::thread;
use std::time::{Duration, SystemTime};

use ureq::http::HeaderMap;
use ureq::http::header::RETRY_AFTER;

use super::{Transfer, text};
use crate::error::Reason;
use crate::event::{Event, Watch};

/// A failed attempt.
pub(super) struct Failure {
    reason: Reason,
    /// Whether another attempt may fare better.
    transient: bool,
    /// The pause that the host asks for.
    pause: Option<Duration>,
    /// Whether the attempt brought something that the next one need not.
    progress: bool,
}

impl Failure {
    /// Trying again is of no use.
    pub(super) fn final_(reason: Reason) -> Self {
        Self { reason, transient: false, pause: None, progress: false }
    }

    /// Trying again may help.
    pub(super) fn transient(reason: Reason) -> Self {
        Self { reason, transient: true, pause: None, progress: false }
    }

    /// The same, with the pause that the host asks for.
    pub(super) fn after(self, pause: Option<Duration>) -> Self {
        Self { pause, ..self }
    }

    /// The same, where the attempt was not for nothing.
    pub(super) fn with_progress(self, progress: bool) -> Self {
        Self { progress, ..self }
    }
}

impl Transfer<'_> {
    /// Attempts until one succeeds, none can, or too many in a row brought nothing.
    pub(super) fn patiently<T>(
        &self,
        watch: &mut Watch,
        mut attempt: impl FnMut(&mut Watch) -> Result<T, Failure>,
    ) -> Result<T, Reason> {
        let patience = &self.options.patience;
        let mut in_vain = 0;
        loop {
            let failure = match attempt(watch) {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            in_vain = if failure.progress { 1 } else { in_vain + 1 };
            if !failure.transient || in_vain >= patience.attempts {
                return Err(failure.reason);
            }
            let own = patience.first_pause.saturating_mul(1 << (in_vain - 1).min(16)).min(patience.longest_pause);
            let pause = failure.pause.unwrap_or(own);
            if pause > patience.longest_pause {
                return Err(Reason::Busy(pause));
            }
            watch(Event::Waiting { why: &failure.reason.brief(), pause });
            thread::sleep(pause);
        }
    }
}

/// The pause that an answer asks for, in seconds or until a date.
pub(super) fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
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
    // The year is taken to begin in March, so that the leap day is its last.
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
        let asked = |value: &str| asked_pause(&HeaderMap::from_iter([(RETRY_AFTER, value.parse().unwrap())]));
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert!(asked("Fri, 31 Dec 9999 23:59:59 GMT").unwrap() > Duration::from_secs(1 << 30));
        assert_eq!(asked("soon"), None);
    }
}
