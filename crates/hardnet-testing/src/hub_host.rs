//! The part of the Hugging Face Hub that serves files: `/{owner}/{name}/resolve/{revision}/{file}`.
//!
//! Large files are answered by a redirect to another origin, small ones directly, as the Hub does; the headers are
//! those that Python's `huggingface_hub` reads, so that it downloads from here too.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use hardnet_base::{hex, sha256};
use sha1::{Digest, Sha1};

use crate::file_host::{FileHost, file};
use crate::server::{Request, Response, Server};

/// The commit that every branch of every repository here is at.
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// One file of a repository.
struct Stored {
    bytes: Vec<u8>,
    /// Where the bytes are, for a large file.
    redirect: Option<String>,
}

/// Files by `owner/name/file`, who may have them, and the next answers that are none of theirs.
#[derive(Default)]
struct State {
    files: BTreeMap<String, Stored>,
    token: Option<String>,
    gated: bool,
    answers: VecDeque<Response>,
}

/// A running Hub; it stops when dropped.
pub struct HubHost {
    server: Server,
    content: FileHost,
    state: Arc<Mutex<State>>,
}

impl HubHost {
    /// A Hub without repositories.
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let own = state.clone();
        let server = Server::start(move |request| answer(&mut lock(&own), request));
        Self { server, content: FileHost::start(), state }
    }

    /// The value for `HF_ENDPOINT`; it has a path of its own, as a mirror's has.
    pub fn endpoint(&self) -> String {
        format!("{}/mirror", self.server.url())
    }

    /// Puts a large file into `repository`; its name in a cache is its SHA-256.
    pub fn put_large(&self, repository: &str, name: &str, bytes: &[u8]) {
        let address = self.content.put(&format!("/large/{}", sha256(bytes)), bytes);
        // A signature in the query, as content networks have it.
        let redirect = Some(format!("{address}?signature=secret"));
        self.put(repository, name, Stored { bytes: bytes.into(), redirect });
    }

    /// Puts a small file into `repository`; its name in a cache is its git blob id.
    pub fn put_small(&self, repository: &str, name: &str, bytes: &[u8]) {
        self.put(repository, name, Stored { bytes: bytes.into(), redirect: None });
    }

    fn put(&self, repository: &str, name: &str, stored: Stored) {
        lock(&self.state).files.insert(format!("{repository}/{name}"), stored);
    }

    /// From now on files are given only to who shows `token`.
    pub fn require(&self, token: &str) {
        lock(&self.state).token = Some(token.into());
    }

    /// From now on every repository asks for its license to be accepted first.
    pub fn gate(&self) {
        lock(&self.state).gated = true;
    }

    /// The next requests for files are answered so, before anything else is looked at.
    pub fn answer(&self, responses: impl IntoIterator<Item = Response>) {
        lock(&self.state).answers.extend(responses);
    }

    /// Where large files are.
    pub fn content(&self) -> &FileHost {
        &self.content
    }

    /// Every request to the Hub itself so far.
    pub fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no thread panics with the repositories")
}

fn answer(state: &mut State, request: &Request) -> Response {
    let refuse = |status, code: &str| Response::new(status, code).header("X-Error-Code", code);
    let Some(path) = request.target.strip_prefix("/mirror/") else { return Response::new(404, "no mirror here") };
    if let Some(response) = state.answers.pop_front() {
        return response;
    }
    let wanted = state.token.as_ref().map(|token| format!("Bearer {token}"));
    if wanted.is_some() && request.header("authorization") != wanted.as_deref() {
        return refuse(401, "RepoNotFound");
    }
    if state.gated {
        return refuse(403, "GatedRepo");
    }
    let Some((repository, rest)) = path.split_once("/resolve/") else { return refuse(404, "RepoNotFound") };
    let Some((revision, name)) = rest.split_once('/') else { return refuse(404, "EntryNotFound") };
    if !state.files.keys().any(|key| key.starts_with(&format!("{repository}/"))) {
        return refuse(404, "RepoNotFound");
    }
    if !["main", "v1", "refs%2Fpr%2F1", "feature%2Fx", COMMIT].contains(&revision) {
        return refuse(404, "RevisionNotFound");
    }
    let Some(stored) = state.files.get(&format!("{repository}/{name}")) else {
        return refuse(404, "EntryNotFound").header("X-Repo-Commit", COMMIT);
    };
    let response = match &stored.redirect {
        Some(location) => Response::new(302, "")
            .header("Location", location)
            .header("X-Linked-Size", stored.bytes.len().to_string())
            .header("X-Linked-ETag", format!("\"{}\"", sha256(&stored.bytes))),
        None => {
            let mut response = file(&stored.bytes, request, None);
            response.headers.retain(|(name, _)| name != "ETag");
            response.header("ETag", format!("\"{}\"", git_blob_id(&stored.bytes)))
        }
    };
    response.header("X-Repo-Commit", COMMIT)
}

/// The name that git gives to a file's content.
pub fn git_blob_id(bytes: &[u8]) -> String {
    hex(&Sha1::new().chain_update(format!("blob {}\0", bytes.len())).chain_update(bytes).finalize())
}
