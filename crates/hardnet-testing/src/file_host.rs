//! A host of files over HTTP, as a web server or a content delivery network is one: ranges, entity tags, and faults on
//! demand.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use hardnet_base::sha256;

use crate::server::{Break, Request, Response, Server};

/// A fault of one answer.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This answer instead of the file.
    Answer(Response),
    /// The connection is closed after so many bytes of the body.
    CutAfter(usize),
    /// Nothing follows so many bytes of the body.
    StallAfter(usize),
    /// The whole file, whatever range was requested.
    IgnoreRange,
    /// The first bytes of the file as if they were all of it.
    Truncate(usize),
    /// The file with its last byte changed.
    Damage,
    /// The file without its length; it ends with the connection.
    Unannounced,
}

/// Files by path, and the faults of the next answers.
#[derive(Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    faults: VecDeque<Fault>,
}

/// A running host; it stops when dropped.
pub struct FileHost {
    server: Server,
    state: Arc<Mutex<State>>,
}

impl FileHost {
    /// A host without files.
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let own = state.clone();
        Self { server: Server::start(move |request| answer(&mut lock(&own), request)), state }
    }

    /// Puts a file on `path`, as `/weights/a.pth`, and gives its address.
    pub fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) -> String {
        lock(&self.state).files.insert(path.into(), bytes.into());
        format!("{}{path}", self.server.url())
    }

    /// The next answers go wrong so, one fault each.
    pub fn fail(&self, faults: impl IntoIterator<Item = Fault>) {
        lock(&self.state).faults.extend(faults);
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no thread panics with the files")
}

fn answer(state: &mut State, request: &Request) -> Response {
    let path = request.target.split('?').next().unwrap_or_default();
    let fault = state.faults.pop_front();
    if let Some(Fault::Answer(response)) = fault {
        return response;
    }
    let Some(bytes) = state.files.get(path) else { return Response::new(404, "no such file") };
    file(bytes, request, fault)
}

/// The file, or the part of it that was requested.
pub(crate) fn file(bytes: &[u8], request: &Request, fault: Option<Fault>) -> Response {
    let tag = format!("\"{}\"", sha256(bytes));
    let mut bytes = bytes.to_vec();
    match fault {
        Some(Fault::Truncate(length)) => bytes.truncate(length),
        Some(Fault::Damage) => *bytes.last_mut().expect("a file to damage") ^= 1,
        _ => {}
    }
    let same = request.header("if-range").is_none_or(|wanted| wanted == tag);
    let from =
        request.header("range").and_then(first_byte).filter(|_| same && !matches!(fault, Some(Fault::IgnoreRange)));
    let whole = bytes.len();
    let mut response = match from {
        None => Response::new(200, bytes),
        Some(from) if from < whole => Response::new(206, bytes.split_off(from))
            .header("Content-Range", format!("bytes {from}-{}/{whole}", whole - 1)),
        Some(_) => Response::new(416, "").header("Content-Range", format!("bytes */{whole}")),
    };
    response = response.header("ETag", tag).header("Accept-Ranges", "bytes");
    response.broken = match fault {
        Some(Fault::CutAfter(length)) => Some(Break::CutAfter(length.min(response.body.len()))),
        Some(Fault::Unannounced) => Some(Break::Unannounced),
        Some(Fault::StallAfter(length)) => Some(Break::StallAfter(length.min(response.body.len()))),
        _ => None,
    };
    response
}

/// `a` of `bytes=a-`.
fn first_byte(range: &str) -> Option<usize> {
    range.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
}
