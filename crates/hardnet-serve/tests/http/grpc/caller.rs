//! A client of gRPC on hyper.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::{Body, Bytes, Frame, Incoming};
use hyper::client::conn::http2;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// A connection.
pub(crate) struct Caller {
    runtime: Runtime,
    sender: http2::SendRequest<Sent>,
}

/// The body of a request, which may not end.
struct Sent {
    content: Option<Bytes>,
    ends: bool,
}

impl Body for Sent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.content.take() {
            Some(content) => Poll::Ready(Some(Ok(Frame::data(content)))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

fn request(path: &str, headers: &[(&str, &str)], body: Sent) -> Request<Sent> {
    let mut request = Request::post(format!("http://localhost{path}")).header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

/// An answer: its status, headers and trailers together, and its message's bytes.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) http: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) message: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn code(&self) -> u32 {
        self.header("grpc-status").unwrap_or_else(|| panic!("no status in {self:?}")).parse().unwrap()
    }

    /// The message of a call that succeeds.
    pub(crate) fn decode<M: Message + Default>(&self) -> M {
        assert_eq!(self.code(), 0, "{self:?}");
        let (prefix, message) = self.message.split_at(5);
        assert_eq!(prefix, [&[0], &(message.len() as u32).to_be_bytes()[..]].concat());
        M::decode(message).unwrap()
    }
}

/// A message after its prefix.
pub(crate) fn framed(message: &impl Message) -> Vec<u8> {
    let message = message.encode_to_vec();
    [&[0], &(message.len() as u32).to_be_bytes()[..], &message].concat()
}

impl Caller {
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self::with_window(address, 1 << 20)
    }

    /// A client that is sent `window` bytes of an answer before it reads.
    pub(crate) fn with_window(address: SocketAddr, window: u32) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(window)
                .handshake(stream)
                .await
                .unwrap();
            tokio::spawn(async {
                let _ = connection.await;
            });
            sender
        });
        Self { runtime, sender }
    }

    /// Calls `method`, `/service/name`, with a message.
    pub(crate) fn call(&self, method: &str, message: &impl Message) -> Answer {
        self.send(method, &[("content-type", "application/grpc")], framed(message))
    }

    /// Sends any bytes to any path. `None` where the stream ends without an answer.
    pub(crate) fn try_send(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Option<Answer> {
        self.answer(request(path, headers, Sent { content: Some(body.into()), ends: true }))
    }

    fn answer(&self, request: Request<Sent>) -> Option<Answer> {
        let mut sender = self.sender.clone();
        self.runtime.block_on(async {
            sender.ready().await.ok()?;
            let (parts, body) = sender.send_request(request).await.ok()?.into_parts();
            let collected = body.collect().await.ok()?;
            let mut headers = parts.headers;
            headers.extend(collected.trailers().cloned().unwrap_or_default());
            Some(Answer { http: parts.status, headers, message: collected.to_bytes() })
        })
    }

    pub(crate) fn send(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        self.try_send(path, headers, body).expect("the server answers")
    }

    /// Sends bytes that more could follow, which do not come.
    pub(crate) fn send_unended(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let request = request(path, headers, Sent { content: Some(body.into()), ends: false });
        self.answer(request).expect("the server answers")
    }

    /// Calls without reading the answer's message: its headers, and what keeps the call open.
    pub(crate) fn call_unread(&self, method: &str, message: &impl Message) -> Option<(HeaderMap, Incoming)> {
        let body = Sent { content: Some(framed(message).into()), ends: true };
        let request = request(method, &[("content-type", "application/grpc")], body);
        let mut sender = self.sender.clone();
        self.runtime.block_on(async {
            sender.ready().await.ok()?;
            let (parts, body) = sender.send_request(request).await.ok()?.into_parts();
            Some((parts.headers, body))
        })
    }

    /// Begins a call whose message does not come.
    pub(crate) fn begin(&self, path: &str, headers: &[(&str, &str)]) {
        let request = request(path, headers, Sent { content: Some(vec![0; 3].into()), ends: false });
        let mut sender = self.sender.clone();
        self.runtime.block_on(sender.ready()).unwrap();
        self.runtime.spawn(sender.send_request(request));
    }
}
