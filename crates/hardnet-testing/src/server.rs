//! An HTTP/1.1 server on the loopback interface: each request is answered by a function and kept in a log.
//!
//! It keeps connections open, answers `HEAD` with the headers of `GET`, and breaks off or stalls only where a response
//! asks for it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// A client's request.
#[derive(Clone, Debug)]
pub struct Request {
    /// `GET`, `HEAD`, ...
    pub method: String,
    /// Path and query as sent; the whole address where the client takes this server for a proxy.
    pub target: String,
    headers: Vec<(String, String)>,
}

impl Request {
    /// The value of the header `name`, in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// How a body ends before its end.
#[derive(Clone, Copy, Debug)]
pub enum Break {
    /// The connection is closed after so many bytes of the body.
    CutAfter(usize),
    /// Nothing follows so many bytes of the body until the client goes away.
    StallAfter(usize),
    /// It does not, but its length is not announced: the connection is closed after it.
    Unannounced,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status, as 200.
    pub status: u16,
    /// Headers but `Content-Length`, which follows from the body.
    pub headers: Vec<(String, String)>,
    /// The body; `HEAD` is told its length only.
    pub body: Vec<u8>,
    /// How the body breaks off, if it does.
    pub broken: Option<Break>,
}

impl Response {
    /// A whole answer without headers of its own.
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), broken: None }
    }

    /// The same with a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }
}

/// A running server; it stops when dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    log: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
}

impl Server {
    /// Listens on a free port of 127.0.0.1 and answers by `respond`, each connection on a thread of its own.
    ///
    /// # Panics
    ///
    /// Where no port can be had.
    pub fn start(respond: impl Fn(&Request) -> Response + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let log = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (respond, own_log, own_stopped) = (Arc::new(respond), log.clone(), stopped.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                if own_stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), respond, log) = (stream, respond.clone(), own_log.clone()) else { continue };
                thread::spawn(move || serve(&stream, respond.as_ref(), &log));
            }
        });
        Self { address, log, stopped }
    }

    /// `http://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request so far.
    pub fn requests(&self) -> Vec<Request> {
        self.log.lock().expect("no thread panics with the log").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the listener, which then sees that it is to stop.
        let _ = TcpStream::connect(self.address);
    }
}

/// Answers the requests of one connection until either side ends it.
fn serve(stream: &TcpStream, respond: &dyn Fn(&Request) -> Response, log: &Mutex<Vec<Request>>) {
    let mut reader = BufReader::new(stream);
    while let Ok(Some(request)) = read(&mut reader) {
        log.lock().expect("no thread panics with the log").push(request.clone());
        let response = respond(&request);
        if !matches!(write(stream, &request, &response), Ok(true)) {
            return;
        }
    }
}

fn read(reader: &mut BufReader<&TcpStream>) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let mut request = Request { method: method.into(), target: target.into(), headers: Vec::new() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.push((name.trim().into(), value.trim().into()));
    }
    let length: u64 = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    io::copy(&mut reader.take(length), &mut io::sink())?;
    Ok(Some(request))
}

/// Writes an answer; whether the connection can carry another.
fn write(mut stream: &TcpStream, request: &Request, response: &Response) -> io::Result<bool> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
    for (name, value) in &response.headers {
        head += &format!("{name}: {value}\r\n");
    }
    match response.broken {
        Some(Break::Unannounced) => head += "Connection: close\r\n\r\n",
        _ => head += &format!("Content-Length: {}\r\n\r\n", response.body.len()),
    }
    stream.write_all(head.as_bytes())?;
    if request.method == "HEAD" {
        return Ok(true);
    }
    match response.broken {
        None => stream.write_all(&response.body).map(|()| true),
        Some(Break::Unannounced) => stream.write_all(&response.body).map(|()| false),
        Some(Break::CutAfter(length)) => stream.write_all(&response.body[..length]).map(|()| false),
        Some(Break::StallAfter(length)) => {
            stream.write_all(&response.body[..length])?;
            wait_for_the_client(stream)?;
            Ok(false)
        }
    }
}

/// Returns when the client has closed the connection.
fn wait_for_the_client(mut stream: &TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    stream.read(&mut [0]).map(|_| ())
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        206 => "Partial Content",
        302 => "Found",
        307 => "Temporary Redirect",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Unnamed",
    }
}
