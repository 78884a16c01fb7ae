//! Encrypted connections.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hardnet_serve::{TlsError, TlsIdentity};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use rcgen::{CertifiedKey, KeyPair, generate_simple_self_signed};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::{Fixture, file, floats, options};

/// A certificate of `localhost`, which clients trust, and its identity.
fn identity() -> (CertifiedKey<KeyPair>, TlsIdentity) {
    let made = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let identity = TlsIdentity::from_pem(made.cert.pem().as_bytes(), made.signing_key.serialize_pem().as_bytes());
    (made, identity.unwrap())
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Connects to `address` with one protocol of ALPN.
async fn connect(
    address: SocketAddr,
    trusted: &CertifiedKey<KeyPair>,
    protocol: &str,
) -> std::io::Result<TlsStream<tokio::net::TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.cert.der().clone()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.into()];
    let stream = tokio::net::TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

#[test]
fn an_image_is_classified_over_tls() {
    let (made, identity) = identity();
    let fixture = Fixture::new(&options().tls(identity));
    let found = runtime().block_on(async {
        let stream = connect(fixture.address(), &made, "http/1.1").await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(async {
            let _ = connection.await;
        });
        let request = Request::post("/classify?logits=true").header("host", "localhost");
        let response = sender.send_request(request.body(Full::<Bytes>::from(file(1))).unwrap()).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        response.into_body().collect().await.unwrap().to_bytes()
    });
    let found: serde_json::Value = serde_json::from_slice(&found).unwrap();
    assert_eq!(floats(&found["images"][0]["logits"]), fixture.classifier.classify(file(1)).unwrap().logits());
}

#[cfg(feature = "grpc")]
#[test]
fn grpc_is_offered_http2_over_tls() {
    let (made, identity) = identity();
    let fixture = Fixture::loading(&options().tls(identity).grpc(([127, 0, 0, 1], 0).into()));
    let address = fixture.server.grpc_address().unwrap();
    runtime().block_on(async {
        let stream = connect(address, &made, "h2").await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(hyper_util::rt::TokioExecutor::new(), TokioIo::new(stream))
                .await
                .unwrap();
        tokio::spawn(async {
            let _ = connection.await;
        });
        let request = Request::post("https://localhost/inference.GRPCInferenceService/ServerLive");
        let request = request.header("content-type", "application/grpc");
        let response = sender.send_request(request.body(Full::<Bytes>::from(vec![0; 5])).unwrap()).await.unwrap();
        let collected = response.into_body().collect().await.unwrap();
        assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    });
    assert!(runtime().block_on(connect(address, &made, "http/1.1")).is_err(), "the other protocol is refused");
}

#[test]
fn clients_that_do_not_shake_hands_are_closed() {
    let (made, identity) = identity();
    let fixture = Fixture::loading(&options().tls(identity).header_timeout(Duration::from_millis(200)));
    let begun = Instant::now();
    for sent in [&b""[..], b"GET /v2 HTTP/1.1\r\nhost: a\r\n\r\n", b"\x16\x03\x01\x00\x05"] {
        let mut stream = TcpStream::connect(fixture.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        std::io::Write::write_all(&mut stream, sent).unwrap();
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received);
        assert!(!received.starts_with(b"HTTP"), "{received:?}");
    }
    assert!(begun.elapsed() < Duration::from_secs(20));
    let (stranger, _) = self::identity();
    assert!(runtime().block_on(connect(fixture.address(), &stranger, "http/1.1")).is_err(), "who trusts another");
    assert!(runtime().block_on(connect(fixture.address(), &made, "http/1.1")).is_ok());
}

#[test]
fn files_that_are_no_identity_are_refused() {
    let pem = |made: &CertifiedKey<KeyPair>| (made.cert.pem(), made.signing_key.serialize_pem());
    let ((one, one_key), (other, _)) = (pem(&identity().0), pem(&identity().0));
    let read = |certificate: &str, key: &str| TlsIdentity::from_pem(certificate.as_bytes(), key.as_bytes());
    assert!(read(&format!("{one}{other}"), &one_key).is_ok(), "a chain");
    assert!(matches!(read(&other, &one_key), Err(TlsError::Mismatch)));
    for certificate in ["", "text", &one_key, &one[..one.len() / 2], "-----BEGIN CERTIFICATE-----\n?\n"] {
        assert!(matches!(read(certificate, &one_key), Err(TlsError::Certificate(_))), "{certificate}");
    }
    for key in ["", "text", &one, &one_key.replace("PRIVATE", "ENCRYPTED PRIVATE")] {
        assert!(matches!(read(&one, key), Err(TlsError::Key(_))), "{key}");
    }
    let empty = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
    assert!(matches!(read(empty, &one_key), Err(TlsError::Unsupported(_))));
}
