//! The thread that makes all calls of MPI.
//!
//! Besides messages it carries signs of life: every other rank sends them to rank 0, and rank 0 to every other. They do
//! not depend on what the rank computes, so that a rank is silent only if its process or its network is. Rank 0 tells
//! the others which rank it misses; if rank 0 is missing, each finds out by itself.
//!
//! Nothing here waits inside MPI, whose waiting would keep a core busy and could not be given up.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hardnet_train::CommunicationError;

use crate::calls::{Calls, Request, Waiting};
use crate::error::Result;

const ROOT: usize = 0;

/// Tags of messages: content of the program or its last part, another part of it, a sign of life, the reason of a
/// failure, a rank that is silent, and the last message of a rank.
const DATA: i32 = 1;
const PART: i32 = 6;
const SIGN_OF_LIFE: i32 = 2;
const FAILED: i32 = 3;
const SILENT: i32 = 4;
const GOODBYE: i32 = 5;

/// The most bytes of a part. Each part is a sign of life, as a sign of its own would wait behind a long message. Open
/// MPI sends messages of less than 64 KiB over TCP at once, and asks the receiver before it sends longer ones:
/// where both send to each other, the question and its answer wait behind the parts that are under way.
const PART_BYTES: usize = 56 << 10;

/// The most parts that are sent at a time. Messages that were asked for first arrive first; if those to several ranks
/// shared the link, as MPI would have it, all of them would arrive as late as the last.
const PARTS_AT_A_TIME: usize = 64;

/// The longest pause between two looks for messages.
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// How long an abort waits until messages are out.
const LAST_MESSAGES: Duration = Duration::from_secs(1);

/// A request to the engine.
pub(crate) enum Command {
    Send {
        to: usize,
        message: Arc<Vec<u8>>,
    },
    Fail(String),
    /// Ends MPI when all ranks ask for it.
    Finish,
    /// Ends all ranks with an exit code.
    Abort(i32),
}

/// Messages that the engine received.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    state: Mutex<Received>,
    pub(crate) changed: Condvar,
}

#[derive(Debug, Default)]
pub(crate) struct Received {
    /// By their senders.
    pub(crate) messages: HashMap<usize, VecDeque<Vec<u8>>>,
    /// The first failure.
    pub(crate) failed: Option<CommunicationError>,
    /// Whether all ranks have said goodbye.
    pub(crate) parted: bool,
    /// Whether MPI has ended.
    pub(crate) finished: bool,
}

impl Inbox {
    /// Nothing panics while it holds the lock.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Received> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Received)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    fn fail(&self, error: CommunicationError) {
        self.change(|received| {
            received.failed.get_or_insert(error);
        });
    }
}

/// A part of a message that waits for its turn.
struct Queued {
    to: usize,
    tag: i32,
    message: Arc<Vec<u8>>,
    part: Range<usize>,
}

struct Outgoing {
    to: usize,
    tag: i32,
    /// Kept until the transfer is done.
    _message: Arc<Vec<u8>>,
    request: Request,
}

struct Incoming {
    waiting: Waiting,
    buffer: Vec<u8>,
    request: Request,
    is_done: bool,
}

pub(crate) struct Engine<'a> {
    calls: &'a dyn Calls,
    inbox: &'a Inbox,
    commands: &'a Receiver<Command>,
    timeout: Duration,
    queued: VecDeque<Queued>,
    outgoing: Vec<Outgoing>,
    /// In the order in which they were found.
    incoming: Vec<Incoming>,
    /// Parts of messages whose last part has not arrived, by rank.
    parts: Vec<Vec<u8>>,
    /// When something was last heard of each rank.
    heard: Vec<Instant>,
    /// Ranks that have said goodbye.
    left: Vec<bool>,
    /// When this rank last sent a sign of life, and when it last looked for messages.
    last_sign: Instant,
    last_turn: Instant,
    /// Whether this rank is asked to end, and whether it has said goodbye.
    finishes: bool,
    said_goodbye: bool,
    /// Whether a call of MPI has failed; no other is made then.
    is_broken: bool,
}

impl<'a> Engine<'a> {
    pub(crate) fn new(
        calls: &'a dyn Calls,
        inbox: &'a Inbox,
        commands: &'a Receiver<Command>,
        timeout: Duration,
    ) -> Self {
        let (now, size) = (Instant::now(), calls.size());
        Self {
            calls,
            inbox,
            commands,
            timeout,
            queued: VecDeque::new(),
            outgoing: Vec::new(),
            incoming: Vec::new(),
            parts: vec![Vec::new(); size],
            heard: vec![now; size],
            left: vec![false; size],
            last_sign: now,
            last_turn: now,
            finishes: false,
            said_goodbye: false,
            is_broken: false,
        }
    }

    /// Runs until MPI has ended, or nobody can ask for anything any more.
    pub(crate) fn run(mut self) {
        let mut quiet = 0_u32;
        loop {
            let active = self.guarded(Self::turn).unwrap_or(false);
            if self.has_parted() {
                self.inbox.change(|received| received.parted = true);
                let ended = self.guarded(|engine| engine.calls.finalize());
                self.inbox.change(|received| received.finished = ended.is_some());
                return;
            }
            quiet = if active { 0 } else { quiet.saturating_add(1) };
            // Transfers in progress need many looks; without any, a look costs more than it brings.
            let pause = Duration::from_micros(25) * quiet.min(40);
            let transfers = !(self.outgoing.is_empty() && self.incoming.is_empty());
            let pause = if transfers && quiet < 1000 { Duration::ZERO } else { pause.min(LONGEST_PAUSE) };
            if pause.is_zero() {
                std::thread::yield_now();
            }
            match self.commands.recv_timeout(pause) {
                Ok(command) => {
                    self.guarded(|engine| engine.obey(command));
                    while let Ok(command) = self.commands.try_recv() {
                        self.guarded(|engine| engine.obey(command));
                    }
                    quiet = 0;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Does something with MPI, unless it is broken.
    fn guarded<T>(&mut self, action: impl FnOnce(&mut Self) -> Result<T>) -> Option<T> {
        if self.is_broken {
            return None;
        }
        match action(self) {
            Ok(value) => Some(value),
            Err(error) => {
                self.is_broken = true;
                self.inbox.fail(CommunicationError::Transport(error.to_string()));
                None
            }
        }
    }

    fn obey(&mut self, command: Command) -> Result<()> {
        match command {
            Command::Send { to, message } => {
                self.queue(to, &message);
                Ok(())
            }
            Command::Fail(reason) => self.send_to_others(FAILED, reason.into_bytes(), None),
            Command::Finish => {
                self.finishes = true;
                Ok(())
            }
            Command::Abort(code) => {
                let started = Instant::now();
                while !self.outgoing.is_empty() && started.elapsed() < LAST_MESSAGES {
                    self.test_outgoing()?;
                    std::thread::sleep(LONGEST_PAUSE);
                }
                self.calls.abort(code);
                Ok(())
            }
        }
    }

    /// Queues the parts of a message of the program.
    fn queue(&mut self, to: usize, message: &Arc<Vec<u8>>) {
        let mut start = 0;
        loop {
            let is_last = message.len() - start <= PART_BYTES;
            let (tag, end) = if is_last { (DATA, message.len()) } else { (PART, start + PART_BYTES) };
            self.queued.push_back(Queued { to, tag, message: Arc::clone(message), part: start..end });
            if is_last {
                return;
            }
            start = end;
        }
    }

    /// Starts to send the next parts. Returns whether there were any.
    fn send_queued(&mut self) -> Result<bool> {
        let is_part = |outgoing: &&Outgoing| matches!(outgoing.tag, DATA | PART);
        let room = PARTS_AT_A_TIME.saturating_sub(self.outgoing.iter().filter(is_part).count());
        let next: Vec<Queued> = self.queued.drain(..room.min(self.queued.len())).collect();
        let found = !next.is_empty();
        for Queued { to, tag, message, part } in next {
            self.send(to, tag, message, part)?;
        }
        Ok(found)
    }

    #[allow(unsafe_code)]
    fn send(&mut self, to: usize, tag: i32, message: Arc<Vec<u8>>, part: Range<usize>) -> Result<()> {
        // SAFETY: `Outgoing` keeps the message, which nobody can change, until the transfer is done.
        let request = unsafe { self.calls.send(&message[part], to, tag)? };
        self.outgoing.push(Outgoing { to, tag, _message: message, request });
        Ok(())
    }

    fn send_to_others(&mut self, tag: i32, message: Vec<u8>, but: Option<usize>) -> Result<()> {
        let (message, own) = (Arc::new(message), self.calls.rank());
        for rank in (0..self.calls.size()).filter(|&rank| rank != own && Some(rank) != but) {
            self.send(rank, tag, Arc::clone(&message), 0..message.len())?;
        }
        Ok(())
    }

    /// Looks for messages once. Returns whether there was anything to do.
    fn turn(&mut self) -> Result<bool> {
        let now = Instant::now();
        if now - self.last_turn > self.timeout / 2 {
            // This process was itself stopped for a while, and knows nothing of the others.
            self.heard.fill(now);
        }
        self.last_turn = now;
        let mut active = self.test_outgoing()?;
        active |= self.send_queued()?;
        active |= self.find_incoming(now)?;
        active |= self.deliver(now)?;
        self.give_sign_of_life(now)?;
        self.find_silent(now)?;
        self.part()?;
        Ok(active)
    }

    fn test_outgoing(&mut self) -> Result<bool> {
        let before = self.outgoing.len();
        let mut at = 0;
        while at < self.outgoing.len() {
            if self.calls.test(&mut self.outgoing[at].request)? {
                self.outgoing.remove(at);
            } else {
                at += 1;
            }
        }
        Ok(self.outgoing.len() < before)
    }

    #[allow(unsafe_code)]
    fn find_incoming(&mut self, now: Instant) -> Result<bool> {
        let mut found = false;
        while let Some(waiting) = self.calls.probe()? {
            let mut buffer = vec![0; waiting.bytes];
            // SAFETY: `Incoming` keeps the buffer, which nobody uses, until the transfer is done.
            let request = unsafe { self.calls.receive(&mut buffer, waiting)? };
            self.incoming.push(Incoming { waiting, buffer, request, is_done: false });
            if let Some(heard) = self.heard.get_mut(waiting.from) {
                *heard = now;
            }
            found = true;
        }
        Ok(found)
    }

    /// Takes the messages that are complete, those of a rank in their order.
    fn deliver(&mut self, now: Instant) -> Result<bool> {
        let mut blocked = vec![false; self.calls.size()];
        let mut at = 0;
        let mut delivered = false;
        while at < self.incoming.len() {
            let incoming = &mut self.incoming[at];
            let from = incoming.waiting.from;
            if !incoming.is_done {
                incoming.is_done = self.calls.test(&mut incoming.request)?;
                if incoming.is_done {
                    self.heard[from] = now;
                }
            }
            if incoming.is_done && !blocked[from] {
                let Incoming { waiting, buffer, .. } = self.incoming.remove(at);
                self.take(waiting, buffer);
                delivered = true;
            } else {
                blocked[from] = true;
                at += 1;
            }
        }
        Ok(delivered)
    }

    fn take(&mut self, Waiting { from, tag, .. }: Waiting, message: Vec<u8>) {
        match tag {
            PART => self.parts[from].extend(message),
            DATA => {
                let mut whole = std::mem::take(&mut self.parts[from]);
                let message = if whole.is_empty() {
                    message
                } else {
                    whole.extend(message);
                    whole
                };
                self.inbox.change(|received| received.messages.entry(from).or_default().push_back(message));
            }
            FAILED => {
                let reason = String::from_utf8_lossy(&message).into_owned();
                self.inbox.fail(CommunicationError::Failed { rank: from, reason });
            }
            SILENT => {
                let number = |at: usize| message.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
                if let (Some(rank), Some(seconds)) = (number(0), number(8)) {
                    let (rank, seconds) = (u64::from_le_bytes(rank) as usize, u64::from_le_bytes(seconds));
                    self.inbox.fail(CommunicationError::Silent { rank, seconds });
                }
            }
            GOODBYE => self.left[from] = true,
            _ => {}
        }
    }

    /// The ranks that wait for signs of life of this one, and which it watches until they say goodbye.
    fn partners(&self) -> Range<usize> {
        if self.calls.rank() == ROOT { 1..self.calls.size() } else { ROOT..ROOT + 1 }
    }

    fn give_sign_of_life(&mut self, now: Instant) -> Result<()> {
        if self.said_goodbye || now - self.last_sign < Duration::from_secs(1).min(self.timeout / 8) {
            return Ok(());
        }
        self.last_sign = now;
        for rank in self.partners() {
            let is_under_way = |outgoing: &Outgoing| outgoing.to == rank && outgoing.tag == SIGN_OF_LIFE;
            if !self.outgoing.iter().any(is_under_way) {
                self.send(rank, SIGN_OF_LIFE, Arc::default(), 0..0)?;
            }
        }
        Ok(())
    }

    fn find_silent(&mut self, now: Instant) -> Result<()> {
        let is_silent = |rank: &usize| !self.left[*rank] && now - self.heard[*rank] > self.timeout;
        let silent = self.partners().find(is_silent);
        let Some(rank) = silent.filter(|_| self.inbox.lock().failed.is_none()) else { return Ok(()) };
        let seconds = self.timeout.as_secs();
        self.inbox.fail(CommunicationError::Silent { rank, seconds });
        if self.calls.rank() == ROOT {
            let message = [(rank as u64).to_le_bytes(), seconds.to_le_bytes()].concat();
            self.send_to_others(SILENT, message, Some(rank))?;
        }
        Ok(())
    }

    /// Says goodbye: other ranks to rank 0, and when all have, rank 0 to them.
    fn part(&mut self) -> Result<()> {
        let is_root = self.calls.rank() == ROOT;
        if !self.finishes
            || self.said_goodbye
            || !self.queued.is_empty()
            || (is_root && self.left[1..].contains(&false))
        {
            return Ok(());
        }
        self.said_goodbye = true;
        if is_root {
            self.send_to_others(GOODBYE, Vec::new(), None)
        } else {
            self.send(ROOT, GOODBYE, Arc::default(), 0..0)
        }
    }

    /// Whether all ranks have said goodbye and no transfer is in progress.
    fn has_parted(&self) -> bool {
        let is_root = self.calls.rank() == ROOT;
        let others = is_root || self.left[ROOT];
        self.said_goodbye && others && self.outgoing.is_empty() && self.incoming.is_empty() && !self.is_broken
    }
}

#[cfg(test)]
#[path = "engine/tests.rs"]
mod tests;
