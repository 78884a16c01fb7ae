//! A rank of a program that a launcher of MPI has started.

use std::collections::VecDeque;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use hardnet_train::{CommunicationError, Communicator};

use crate::calls::Calls;
use crate::engine::{Command, Engine, Inbox, Received};
use crate::error::{Error, Result};
use crate::library::MpiLibrary;

/// How ranks are connected.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MpiOptions {
    /// The library, which must be that of the launcher.
    pub library: MpiLibrary,
    /// After how long without a sign of life a rank counts as silent.
    pub timeout: Duration,
}

impl MpiOptions {
    /// A time-out of 60 seconds.
    pub fn new(library: MpiLibrary) -> Self {
        Self { library, timeout: Duration::from_secs(60) }
    }

    /// Sets the time-out.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// This process as a rank. A thread sends and receives, whatever else the process does.
#[derive(Debug)]
pub struct Mpi {
    rank: usize,
    size: usize,
    timeout: Duration,
    inbox: Arc<Inbox>,
    commands: Sender<Command>,
}

impl Mpi {
    /// Opens the library and initializes MPI. A process can do so once.
    ///
    /// # Errors
    ///
    /// [`Error::NoLibrary`] and others if the library cannot be used.
    pub fn start(options: &MpiOptions) -> Result<Self> {
        let library = options.library.clone();
        Self::with(options.timeout, true, move || library.initialize())
    }

    /// Starts with what `initialize` returns in the thread that uses it; `runs` is false for tests.
    pub(crate) fn with(
        timeout: Duration,
        runs: bool,
        initialize: impl FnOnce() -> Result<Box<dyn Calls>> + Send + 'static,
    ) -> Result<Self> {
        let inbox = Arc::new(Inbox::default());
        let (commands, receiver) = channel();
        let (started, starts) = channel();
        let shared = Arc::clone(&inbox);
        let thread = std::thread::Builder::new().name("mpi".into()).spawn(move || match initialize() {
            Ok(calls) => {
                let _ = started.send(Ok((calls.rank(), calls.size())));
                if runs {
                    Engine::new(calls.as_ref(), &shared, &receiver, timeout).run();
                }
            }
            Err(error) => {
                let _ = started.send(Err(error));
            }
        });
        let failed = || Error::Call { function: "the thread of MPI", code: -1 };
        thread.map_err(|_| failed())?;
        let (rank, size) = starts.recv().map_err(|_| failed())??;
        Ok(Self { rank, size, timeout, inbox, commands })
    }

    /// Waits until all ranks have called this, and ends MPI.
    ///
    /// # Errors
    ///
    /// A [`CommunicationError`] if a rank failed instead.
    pub fn finish(&self) -> std::result::Result<(), CommunicationError> {
        self.command(Command::Finish)?;
        let wait = |received: &mut Received| !received.parted && received.failed.is_none();
        let waited = self.inbox.changed.wait_while(self.inbox.lock(), wait);
        let received = waited.unwrap_or_else(PoisonError::into_inner);
        check(&received)?;
        let wait = |received: &mut Received| !received.finished && received.failed.is_none();
        let waited = self.inbox.changed.wait_timeout_while(received, self.timeout, wait);
        let (received, _) = waited.unwrap_or_else(PoisonError::into_inner);
        check(&received)?;
        if received.finished {
            return Ok(());
        }
        Err(CommunicationError::Transport(format!("MPI did not end within {} s", self.timeout.as_secs())))
    }

    /// Ends all ranks, this one included, with an exit code. Returns only if the library does not manage that.
    pub fn abort(&self, code: i32) {
        if self.command(Command::Abort(code)).is_ok() {
            std::thread::sleep(Duration::from_secs(5));
        }
    }

    fn command(&self, command: Command) -> std::result::Result<(), CommunicationError> {
        let gone = |_| CommunicationError::Transport("MPI has ended".into());
        self.commands.send(command).map_err(gone)
    }
}

fn check(received: &Received) -> std::result::Result<(), CommunicationError> {
    received.failed.clone().map_or(Ok(()), Err)
}

impl Communicator for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn send(&self, to: usize, message: Arc<Vec<u8>>) -> std::result::Result<(), CommunicationError> {
        check(&self.inbox.lock())?;
        self.command(Command::Send { to, message })
    }

    fn receive(&self, from: usize) -> std::result::Result<Vec<u8>, CommunicationError> {
        let waits = |received: &mut Received| {
            received.failed.is_none() && received.messages.get(&from).is_none_or(VecDeque::is_empty)
        };
        let waited = self.inbox.changed.wait_while(self.inbox.lock(), waits);
        let mut received = waited.unwrap_or_else(PoisonError::into_inner);
        check(&received)?;
        let message = received.messages.get_mut(&from).and_then(VecDeque::pop_front);
        message.ok_or(CommunicationError::Message { rank: from })
    }

    fn fail(&self, reason: &str) {
        let _ = self.command(Command::Fail(reason.to_owned()));
    }
}
