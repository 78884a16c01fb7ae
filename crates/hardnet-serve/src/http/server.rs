//! The server: sockets, connections, and a stop that loses no request.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::task::Poll;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};

use super::body::BodyLimits;
use super::log::Log;
use super::metrics::RequestMetrics;
use super::router::Router;
use crate::model::Model;

/// Length of a request's line and headers in bytes from which on they are refused; one read may exceed it.
const MAX_HEADER_BYTES: usize = 32 << 10;

/// Pause where the process has no more sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Options of a [`Server`].
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
    /// Bytes of all bodies in memory, at most; by default 256 MiB.
    pub max_body_memory: usize,
    /// Open connections, at most; others wait to be accepted. By default 4096.
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
    pub api_key: Option<String>,
    /// Threads that read requests and write answers, by default 2.
    pub threads: usize,
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
        }
    }
}

impl ServerOptions {
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
        self.max_connections = connections.clamp(1, u32::MAX as usize >> 3);
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
        self.api_key = Some(key.into());
        self
    }

    /// Sets [`threads`](Self::threads), at least 1.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads.max(1);
        self
    }
}

/// A server that listens.
///
/// It is live at once, and ready when all its models are [added](Self::add). Dropping it stops it, as
/// [`stop`](Self::stop) does.
pub struct Server {
    router: Arc<Router>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Listens on `address`; port 0 is any free port. `models` are the names of the models that will be added; the
    /// first answers requests that name none.
    ///
    /// # Errors
    ///
    /// The operating system's, where the address is taken or threads cannot start.
    pub fn start(
        address: SocketAddr,
        models: impl IntoIterator<Item = impl Into<String>>,
        options: &ServerOptions,
        log: Arc<dyn Log>,
    ) -> io::Result<Self> {
        let names: Vec<String> = models.into_iter().map(Into::into).collect();
        let router = Arc::new(Router {
            default_model: names.first().cloned().unwrap_or_default(),
            models: RwLock::new(names.into_iter().map(|name| (name, None)).collect::<BTreeMap<_, _>>()),
            limits: BodyLimits::new(options.max_body, options.body_timeout, options.max_body_memory),
            timeout: options.timeout,
            api_key: options.api_key.clone(),
            log,
            metrics: RequestMetrics::default(),
            stopping: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            id_prefix: Router::id_prefix(),
            next_id: AtomicU64::new(0),
        });
        let runtime = Builder::new_multi_thread()
            .worker_threads(options.threads)
            .max_blocking_threads(options.threads)
            .thread_name("http")
            .enable_all()
            .build()?;
        let listener = runtime.block_on(TcpListener::bind(address))?;
        let address = listener.local_addr()?;
        let (stop, stopped) = watch::channel(false);
        let accepting = Accepting { router: Arc::clone(&router), options: options.clone(), stopped };
        let run = move || {
            let runtime: Runtime = runtime;
            runtime.block_on(accepting.run(listener));
            // Connections that outlast the time to drain are cut.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("http accept".into()).spawn(run)?;
        Ok(Self { router, address, stop, thread: Some(thread) })
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds a model, which answers from now on.
    pub fn add(&self, model: Model) {
        let mut models = self.router.models.write().unwrap_or_else(PoisonError::into_inner);
        models.insert(model.name().to_owned(), Some(Arc::new(model)));
    }

    /// Stops: says that it is not ready, accepts requests for the time of grace, and answers what it has accepted.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.router.stopping.store(true, Ordering::SeqCst);
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.router.models.write().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server on {}", self.address)
    }
}

/// The loop that accepts connections.
struct Accepting {
    router: Arc<Router>,
    options: ServerOptions,
    stopped: watch::Receiver<bool>,
}

impl Accepting {
    async fn run(self, listener: TcpListener) {
        let slots = Arc::new(Semaphore::new(self.options.max_connections));
        let (close, closing) = watch::channel(false);
        {
            let mut accept = pin!(self.accept(&listener, &slots, &closing));
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
        while let Some(Ok((stream, _))) = poll_once(listener.accept()).await {
            let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { break };
            self.spawn(stream, slot, closing.clone());
        }
        drop(listener);
        let _ = close.send(true);
        let all = self.options.max_connections as u32;
        let _ = timeout(self.options.drain_timeout, slots.acquire_many(all)).await;
    }

    async fn accept(
        &self,
        listener: &TcpListener,
        slots: &Arc<Semaphore>,
        closing: &watch::Receiver<bool>,
    ) -> Infallible {
        loop {
            let slot = Arc::clone(slots).acquire_owned().await.expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, _)) => self.spawn(stream, slot, closing.clone()),
                Err(_) => sleep(ACCEPT_PAUSE).await,
            }
        }
    }

    fn spawn(&self, stream: TcpStream, slot: OwnedSemaphorePermit, closing: watch::Receiver<bool>) {
        let (router, header_timeout) = (Arc::clone(&self.router), self.options.header_timeout);
        tokio::spawn(async move {
            let open = Open::new(&router);
            serve(stream, &router, header_timeout, closing).await;
            drop((open, slot));
        });
    }
}

/// Answers the requests of a connection until its client ends it, or until `closing` and the request under way is
/// answered.
async fn serve(stream: TcpStream, router: &Arc<Router>, header_timeout: Duration, closing: watch::Receiver<bool>) {
    // Answers are written whole.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let router = Arc::clone(router);
        async move { Ok::<_, Infallible>(router.respond(request).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(MAX_HEADER_BYTES)
            .serve_connection(TokioIo::new(stream), service)
    );
    let mut closing = closing;
    let mut closed = pin!(async move {
        let _ = closing.wait_for(|closing| *closing).await;
    });
    let mut told = false;
    // Errors of a connection are its client's.
    let _ = poll_fn(|context| {
        if !told && closed.as_mut().poll(context).is_ready() {
            told = true;
            connection.as_mut().graceful_shutdown();
        }
        connection.as_mut().poll(context)
    })
    .await;
}

/// The output of `future`, if it is ready.
async fn poll_once<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    poll_fn(|context| {
        Poll::Ready(match future.as_mut().poll(context) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        })
    })
    .await
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
