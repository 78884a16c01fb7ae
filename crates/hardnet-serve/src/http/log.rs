//! Lines about requests.

use serde::Serialize;

/// Takes a record of each request, when it is answered or its client is gone.
pub trait Log: Send + Sync + 'static {
    /// Writes `record`. It is called on threads that serve requests, and must not block for long.
    fn request(&self, record: &RequestRecord<'_>);
}

/// The logged fields of a request; images and queries are never logged.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct RequestRecord<'a> {
    /// Seconds since 1970 when it came.
    pub time: f64,
    /// The client's `x-request-id`, or one of the server's.
    pub request_id: &'a str,
    /// The trace of the client's `traceparent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<&'a str>,
    /// The client's span in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// The path.
    pub path: &'a str,
    /// The status; 499 where the client was gone before the answer.
    pub status: u16,
    /// Seconds until the answer was ready to be sent.
    pub seconds: f64,
    /// Length of the answer in bytes.
    pub bytes: u64,
    /// The message of an error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
}

/// Trace and parent of a `traceparent` header, `00-TRACE-PARENT-FLAGS`; `None` if it is not valid.
pub(crate) fn trace(header: &str) -> Option<(&str, &str)> {
    let mut parts = header.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex = |text: &str, digits: usize| {
        text.len() == digits && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let zero = |text: &str| text.bytes().all(|byte| byte == b'0');
    let valid = hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
    let more = version == "00" && parts.next().is_some();
    (valid && version != "ff" && !more && !zero(trace) && !zero(parent)).then_some((trace, parent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_traceparent_is_taken() {
        let (id, parent) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
        assert_eq!(trace(&format!("00-{id}-{parent}-01")), Some((id, parent)));
        assert_eq!(trace(&format!("01-{id}-{parent}-01-more")), Some((id, parent)));
        let zero = "0".repeat(32);
        let wrong = [format!("00-{id}-{parent}-01-more"), format!("ff-{id}-{parent}-01"), format!("00-{id}-{parent}")];
        for header in wrong.iter().chain([&format!("00-{zero}-{parent}-01"), &id.to_uppercase(), &String::new()]) {
            assert_eq!(trace(header), None, "{header}");
        }
    }
}
