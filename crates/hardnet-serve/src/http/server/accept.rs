//! The loops that accept connections.

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
#[cfg(feature = "tls")]
use tokio_rustls::TlsAcceptor;

use super::connection::{Protocol, poll_once, serve};
use super::options::ServerOptions;
use crate::http::router::Router;
#[cfg(feature = "tls")]
use crate::tls;

/// Pause where the process has no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

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
    /// Connections that may be opened.
    slots: Arc<Semaphore>,
    /// Tells connections to end.
    closing: watch::Sender<bool>,
}

impl Accepting {
    pub(super) fn new(router: Arc<Router>, options: ServerOptions, stopped: watch::Receiver<bool>) -> Self {
        let slots = Arc::new(Semaphore::new(options.max_connections));
        Self { router, options, stopped, slots, closing: watch::channel(false).0 }
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
        let all = accepting.options.max_connections as u32;
        let _ = timeout(accepting.options.drain_timeout, accepting.slots.acquire_many(all)).await;
    }

    async fn listen(self: &Arc<Self>, listener: Listener) {
        {
            let mut accept = pin!(self.accept(&listener));
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
        // Who is connected already is answered.
        while let Some(Ok((stream, _))) = poll_once(listener.socket.accept()).await {
            let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else { break };
            self.spawn(stream, &listener, slot);
        }
    }

    async fn accept(self: &Arc<Self>, listener: &Listener) -> Infallible {
        loop {
            let slot = Arc::clone(&self.slots).acquire_owned().await.expect("the semaphore is never closed");
            match listener.socket.accept().await {
                Ok((stream, _)) => self.spawn(stream, listener, slot),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn spawn(self: &Arc<Self>, stream: TcpStream, listener: &Listener, slot: OwnedSemaphorePermit) {
        let (accepting, protocol) = (Arc::clone(self), listener.protocol);
        #[cfg(feature = "tls")]
        let tls = listener.tls.clone();
        tokio::spawn(async move {
            let open = Open::new(&accepting.router);
            // Answers are written whole.
            let _ = stream.set_nodelay(true);
            let time = accepting.options.header_timeout;
            let closing = accepting.closing.subscribe();
            #[cfg(feature = "tls")]
            if let Some(acceptor) = tls {
                if let Some(stream) = tls::accept(&acceptor, stream, time).await {
                    serve(TokioIo::new(stream), protocol, &accepting.router, time, closing).await;
                }
                drop((open, slot));
                return;
            }
            serve(TokioIo::new(stream), protocol, &accepting.router, time, closing).await;
            drop((open, slot));
        });
    }
}

/// Counts a connection while it is open.
struct Open(Arc<Router>);

impl Open {
    fn new(router: &Arc<Router>) -> Self {
        router.connections.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(router))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::SeqCst);
    }
}
