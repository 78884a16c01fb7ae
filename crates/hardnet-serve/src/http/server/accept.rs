//! The loops that accept connections.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{sleep, timeout};
#[cfg(feature = "tls")]
use tokio_rustls::TlsAcceptor;

use super::connection::{Protocol, SETTLING, poll_once, serve};
use super::options::ServerOptions;
use super::watched::Watched;
use crate::http::router::Router;
#[cfg(feature = "tls")]
use crate::tls;

/// Pause where connections cannot be accepted, such as with too many files open.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Connections that wait to be accepted, at most; the operating system may allow fewer. A client whose connection finds
/// no room there tries again after a second.
const BACKLOG: u32 = 1024;

/// A socket that listens on `address`.
pub(super) fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A server that starts again need not wait for connections of the one before. Elsewhere, this option lets two
    // programs listen on one address.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A socket that listens, and what is spoken there.
pub(super) struct Listener {
    pub(super) socket: TcpListener,
    pub(super) protocol: Protocol,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<TlsAcceptor>,
}

impl Listener {
    pub(super) fn new(socket: TcpListener, protocol: Protocol, options: &ServerOptions) -> Self {
        #[cfg(not(feature = "tls"))]
        let _ = options;
        Self {
            socket,
            protocol,
            #[cfg(feature = "tls")]
            tls: options.tls.as_ref().map(|identity| identity.acceptor(protocol.name())),
        }
    }
}

/// What the loops share.
pub(super) struct Accepting {
    router: Arc<Router>,
    options: ServerOptions,
    /// Whether the server is asked to stop.
    stopped: watch::Receiver<bool>,
    /// Tells connections to end.
    closing: watch::Sender<bool>,
}

impl Accepting {
    pub(super) fn new(router: Arc<Router>, options: ServerOptions, stopped: watch::Receiver<bool>) -> Self {
        Self { router, options, stopped, closing: watch::channel(false).0 }
    }

    /// Accepts until the server is asked to stop and the time of grace is over, then waits for all connections.
    pub(super) async fn run(self, listeners: Vec<Listener>) {
        let accepting = Arc::new(self);
        // On this thread rather than as tasks, so that connections are served in the order in which they came.
        let mut loops: Vec<_> = listeners.into_iter().map(|listener| Box::pin(accepting.listen(listener))).collect();
        poll_fn(|context| {
            loops.retain_mut(|listening| listening.as_mut().poll(context).is_pending());
            if loops.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
        drop(loops);
        accepting.closing.send_replace(true);
        let _ = timeout(accepting.options.drain_timeout, accepting.router.connections.all_closed()).await;
    }

    async fn listen(self: &Arc<Self>, listener: Listener) {
        // A connection for which there is no room yet.
        let mut waiting = None;
        {
            let mut accept = pin!(self.accept(&listener, &mut waiting));
            let mut end = pin!(async {
                let mut stopped = self.stopped.clone();
                let _ = stopped.wait_for(|stopped| *stopped).await;
                sleep(self.options.grace).await;
            });
            poll_fn(|context| match end.as_mut().poll(context) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => accept.as_mut().poll(context).map(|never: Infallible| match never {}),
            })
            .await;
        }
        // Who is connected already is answered, also where the runtime has not noticed yet.
        sleep(SETTLING).await;
        loop {
            let stream = match waiting.take() {
                Some(stream) => stream,
                None => match poll_once(listener.socket.accept()).await {
                    Some(Ok((stream, _))) => stream,
                    Some(Err(error)) if is_of_the_connection(&error) => continue,
                    _ => return,
                },
            };
            let Some(slot) = self.router.connections.try_slot() else { return };
            self.spawn(stream, &listener, slot);
        }
    }

    async fn accept(self: &Arc<Self>, listener: &Listener, waiting: &mut Option<TcpStream>) -> Infallible {
        let connections = &self.router.connections;
        loop {
            match listener.socket.accept().await {
                Ok((stream, _)) => {
                    // Here it outlives this future, which may end while it waits.
                    *waiting = Some(stream);
                    let slot = connections.slot().await;
                    if let Some(stream) = waiting.take() {
                        self.spawn(stream, listener, slot);
                    }
                }
                // The client is gone already.
                Err(error) if is_of_the_connection(&error) => {}
                Err(error) => {
                    if has_no_more_sockets(&error) {
                        connections.make_room();
                    }
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn spawn(self: &Arc<Self>, stream: TcpStream, listener: &Listener, slot: OwnedSemaphorePermit) {
        let (accepting, protocol) = (Arc::clone(self), listener.protocol);
        #[cfg(feature = "tls")]
        let tls = listener.tls.clone();
        let open = self.router.connections.enter(slot);
        tokio::spawn(async move {
            // Answers are written whole.
            let _ = stream.set_nodelay(true);
            let (router, options) = (&accepting.router, &accepting.options);
            let time = options.header_timeout;
            let closing = accepting.closing.subscribe();
            let activity = &open.activity;
            let stream = Watched::new(stream, activity);
            let mut served = pin!(async {
                #[cfg(feature = "tls")]
                if let Some(acceptor) = tls {
                    if let Some(stream) = tls::accept(&acceptor, stream, time).await {
                        serve(TokioIo::new(stream), protocol, router, activity, time, closing).await;
                    }
                    return;
                }
                serve(TokioIo::new(stream), protocol, router, activity, time, closing).await;
            });
            let mut makes_room = pin!(activity.makes_room());
            // Longer than the silence that ends in a status: this is of clients that do not read.
            let mut stalls = pin!(activity.stalls(time + options.body_timeout));
            poll_fn(|context| {
                if makes_room.as_mut().poll(context).is_ready() {
                    router.connections.closed.add(1);
                    return Poll::Ready(());
                }
                if protocol == Protocol::Http1 && stalls.as_mut().poll(context).is_ready() {
                    return Poll::Ready(());
                }
                served.as_mut().poll(context)
            })
            .await;
        });
    }
}

/// Whether an error of accepting says nothing of the next connection.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Whether a connection cannot be accepted because the process or the system has as many files open as it may: EMFILE
/// and ENFILE.
fn has_no_more_sockets(error: &io::Error) -> bool {
    cfg!(unix) && matches!(error.raw_os_error(), Some(23 | 24))
}

#[cfg(test)]
mod tests {
    use std::net;

    use tokio::runtime::Builder;

    use super::*;

    #[test]
    fn a_burst_of_connections_waits_to_be_accepted() {
        let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn");
        if !allowed.is_ok_and(|allowed| allowed.trim().parse().is_ok_and(|allowed: u32| allowed >= BACKLOG)) {
            return;
        }
        let runtime = Builder::new_current_thread().enable_io().build().unwrap();
        let _entered = runtime.enter();
        let listener = bind(([127, 0, 0, 1], 0).into()).unwrap();
        let (address, time) = (listener.local_addr().unwrap(), Duration::from_millis(500));
        let burst: Vec<_> = (0..600).map(|_| net::TcpStream::connect_timeout(&address, time)).collect();
        assert_eq!(burst.iter().filter(|connected| connected.is_ok()).count(), burst.len());
    }
}
