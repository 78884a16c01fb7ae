//! The server: sockets, connections, and a stop that loses no request.

mod accept;
mod connection;
#[cfg(feature = "grpc")]
mod http2;
mod options;
mod watched;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use super::body::BodyLimits;
use super::connections::Connections;
use super::log::Log;
use super::metrics::RequestMetrics;
use super::router::{Router, id_prefix};
use crate::model::Model;
use accept::{Accepting, Listener, bind};
use connection::Protocol;
pub use options::{ApiKey, ServerOptions};

/// A server that listens.
///
/// It is live at once, and ready when all its models are [added](Self::add). Dropping it stops it, as
/// [`stop`](Self::stop) does.
pub struct Server {
    router: Arc<Router>,
    address: SocketAddr,
    #[cfg(feature = "grpc")]
    grpc_address: Option<SocketAddr>,
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
        let options = options.bounded();
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
            connections: Arc::new(Connections::new(options.max_connections)),
            id_prefix: id_prefix(),
            next_id: AtomicU64::new(0),
        });
        let runtime = Builder::new_multi_thread()
            .worker_threads(options.threads)
            // Bodies are parsed and masks encoded there.
            .max_blocking_threads(2 * options.threads)
            .thread_name("http")
            .enable_all()
            .build()?;
        let entered = runtime.enter();
        let socket = bind(address)?;
        let address = socket.local_addr()?;
        #[cfg_attr(not(feature = "grpc"), expect(unused_mut, reason = "the feature adds one"))]
        let mut listeners = vec![Listener::new(socket, Protocol::Http1, &options)];
        #[cfg(feature = "grpc")]
        let grpc_address = match options.grpc {
            None => None,
            Some(address) => {
                let socket = bind(address)?;
                let address = socket.local_addr()?;
                listeners.push(Listener::new(socket, Protocol::Grpc, &options));
                Some(address)
            }
        };
        drop(entered);
        let (stop, stopped) = watch::channel(false);
        let accepting = Accepting::new(Arc::clone(&router), options, stopped);
        let run = move || {
            let runtime: Runtime = runtime;
            runtime.block_on(accepting.run(listeners));
            // Connections that outlast the time to drain are cut.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("http accept".into()).spawn(run)?;
        Ok(Self {
            router,
            address,
            #[cfg(feature = "grpc")]
            grpc_address,
            stop,
            thread: Some(thread),
        })
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address on which calls of gRPC are answered.
    #[cfg(feature = "grpc")]
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.grpc_address
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
