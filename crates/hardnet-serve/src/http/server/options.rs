//! Options of a server.

use std::fmt;
#[cfg(feature = "grpc")]
use std::net::SocketAddr;
use std::time::Duration;

#[cfg(feature = "tls")]
use crate::tls::TlsIdentity;

/// The longest time that is told from forever.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// Options of a [`Server`](super::Server). Times longer than a year are a year.
///
/// ```
/// use std::time::Duration;
///
/// use hardnet_serve::ServerOptions;
///
/// let options = ServerOptions::default().max_body(1 << 20).timeout(Duration::from_secs(2));
/// assert_eq!((options.max_body, options.max_connections), (1 << 20, 4096));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Bytes of a request's body, at most; by default 16 MiB.
    pub max_body: usize,
    /// Bytes of all bodies in memory, at most, with answers of gRPC that are not sent yet; by default 256 MiB.
    pub max_body_memory: usize,
    /// Open connections, at most; by default 4096. Another takes the place of that which has been silent longest, of
    /// those that wait for no answer, and waits where all do.
    pub max_connections: usize,
    /// Time for the headers of a request, and of silence between requests; by default 30 s.
    pub header_timeout: Duration,
    /// Time for the body of a request; by default 30 s.
    pub body_timeout: Duration,
    /// Time until a request's deadline, at most; by default 10 s. Requests may ask for less.
    pub timeout: Duration,
    /// Time after the order to stop during which requests are still accepted, since load balancers and connections that
    /// are open do not know yet; by default half a second.
    pub grace: Duration,
    /// Time after that for requests to end, by default 30 s.
    pub drain_timeout: Duration,
    /// The key that requests must bring as `Authorization: Bearer KEY`, but for those of health.
    pub api_key: Option<ApiKey>,
    /// Threads that read requests and write answers, by default 2.
    pub threads: usize,
    /// The address on which calls of gRPC are answered, if any.
    #[cfg(feature = "grpc")]
    pub grpc: Option<SocketAddr>,
    /// The identity with which connections are encrypted, over HTTP and gRPC; by default they are not.
    #[cfg(feature = "tls")]
    pub tls: Option<TlsIdentity>,
}

/// A key that requests must bring. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

impl ApiKey {
    /// Returns the bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey(..)")
    }
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_body: 16 << 20,
            max_body_memory: 256 << 20,
            max_connections: 4096,
            header_timeout: Duration::from_secs(30),
            body_timeout: Duration::from_secs(30),
            timeout: Duration::from_secs(10),
            grace: Duration::from_millis(500),
            drain_timeout: Duration::from_secs(30),
            api_key: None,
            threads: 2,
            #[cfg(feature = "grpc")]
            grpc: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

impl ServerOptions {
    /// The same, within what times can be added to and semaphores count.
    pub(super) fn bounded(&self) -> Self {
        let time = |time: Duration| time.min(LONGEST);
        Self {
            max_connections: self.max_connections.clamp(1, u32::MAX as usize >> 3),
            header_timeout: time(self.header_timeout),
            body_timeout: time(self.body_timeout),
            timeout: time(self.timeout),
            grace: time(self.grace),
            drain_timeout: time(self.drain_timeout),
            threads: self.threads.max(1),
            ..self.clone()
        }
    }

    /// Sets [`max_body`](Self::max_body).
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// Sets [`max_body_memory`](Self::max_body_memory), at least that of one body.
    pub fn max_body_memory(mut self, bytes: usize) -> Self {
        self.max_body_memory = bytes;
        self
    }

    /// Sets [`max_connections`](Self::max_connections), at least 1.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Sets [`header_timeout`](Self::header_timeout).
    pub fn header_timeout(mut self, time: Duration) -> Self {
        self.header_timeout = time;
        self
    }

    /// Sets [`body_timeout`](Self::body_timeout).
    pub fn body_timeout(mut self, time: Duration) -> Self {
        self.body_timeout = time;
        self
    }

    /// Sets [`timeout`](Self::timeout).
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = time;
        self
    }

    /// Sets [`grace`](Self::grace).
    pub fn grace(mut self, time: Duration) -> Self {
        self.grace = time;
        self
    }

    /// Sets [`drain_timeout`](Self::drain_timeout).
    pub fn drain_timeout(mut self, time: Duration) -> Self {
        self.drain_timeout = time;
        self
    }

    /// Sets [`api_key`](Self::api_key).
    pub fn api_key(mut self, key: impl Into<String>) -> Self {
        self.api_key = Some(ApiKey(key.into()));
        self
    }

    /// Sets [`threads`](Self::threads), at least 1.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }

    /// Sets [`grpc`](Self::grpc); port 0 is any free port.
    #[cfg(feature = "grpc")]
    pub fn grpc(mut self, address: SocketAddr) -> Self {
        self.grpc = Some(address);
        self
    }

    /// Sets [`tls`](Self::tls).
    #[cfg(feature = "tls")]
    pub fn tls(mut self, identity: TlsIdentity) -> Self {
        self.tls = Some(identity);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_not_printed() {
        let options = ServerOptions::default().api_key("secret");
        assert!(!format!("{options:?}").contains("secret"));
        assert_eq!(options.api_key.unwrap().as_bytes(), b"secret");
    }
}
