//! A client of gRPC on hyper.

use std::net::SocketAddr;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

/// A connection.
pub(crate) struct Caller {
    runtime: Runtime,
    sender: http2::SendRequest<Full<Bytes>>,
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
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let stream = TokioIo::new(TcpStream::connect(address).await.unwrap());
            let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
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
        let mut request = Request::post(format!("http://localhost{path}")).header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::from(body)).unwrap();
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
}
