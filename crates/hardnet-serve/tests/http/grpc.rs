//! The Open Inference Protocol over gRPC.

pub(crate) mod caller;
mod reflection;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use caller::{Answer, Caller, framed};
use hardnet_data::{Image, encode_png};
use prost::Message;
use protocol::health::{HealthCheckRequest, HealthCheckResponse};
use protocol::infer_parameter::ParameterChoice;
use protocol::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use protocol::*;
use serde_json::json;

use crate::client::send;
use crate::{Fixture, batches, file, floats, metrics, options};

#[allow(dead_code, missing_docs, unreachable_pub, clippy::all, reason = "generated")]
pub(crate) mod protocol {
    include!("../../src/grpc/generated/inference.rs");

    pub(crate) mod health {
        include!("../../src/grpc/generated/grpc.health.v1.rs");
    }

    pub(crate) mod reflection {
        include!("../../src/grpc/generated/grpc.reflection.v1.rs");
    }
}

const INFER: &str = "/inference.GRPCInferenceService/ModelInfer";
const GRPC: &[(&str, &str)] = &[("content-type", "application/grpc")];

fn with_grpc(options: hardnet_serve::ServerOptions) -> hardnet_serve::ServerOptions {
    options.grpc(([127, 0, 0, 1], 0).into())
}

fn caller(fixture: &Fixture) -> Caller {
    Caller::new(fixture.server.grpc_address().unwrap())
}

/// A request with an image file, as bytes after the tensors or among them.
fn request(files: &[Vec<u8>], raw: bool) -> ModelInferRequest {
    let mut input = InferInputTensor {
        name: "input".into(),
        datatype: "BYTES".into(),
        shape: vec![files.len() as i64],
        ..Default::default()
    };
    let mut request = ModelInferRequest { model_name: "clothing".into(), id: "7".into(), ..Default::default() };
    if raw {
        let strings = files.iter().map(|file| [&(file.len() as u32).to_le_bytes()[..], file].concat());
        request.raw_input_contents = vec![strings.collect::<Vec<_>>().concat().into()];
    } else {
        let files = files.iter().map(|file| file.clone().into()).collect();
        input.contents = Some(InferTensorContents { bytes_contents: files, ..Default::default() });
    }
    request.inputs = vec![input];
    request
}

fn number(name: &str, value: i64) -> BTreeMap<String, InferParameter> {
    BTreeMap::from([(name.into(), InferParameter { parameter_choice: Some(ParameterChoice::Int64Param(value)) })])
}

fn raw_floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect()
}

#[test]
fn answers_are_those_of_http_bit_for_bit() {
    let fixture = Fixture::new(&with_grpc(options()));
    let caller = caller(&fixture);
    let files = [file(1), file(2)];
    let body = |seed| send(fixture.address(), "POST", "/classify?logits=true", &[], &file(seed)).json();
    let expected: Vec<f32> = [1, 2].iter().flat_map(|&seed| floats(&body(seed)["images"][0]["logits"])).collect();

    let found: ModelInferResponse = caller.call(INFER, &request(&files, true)).decode();
    assert_eq!((&*found.model_name, &*found.model_version, &*found.id), ("clothing", "1", "7"));
    let [logits, probabilities] = &found.outputs[..] else { panic!("{found:?}") };
    assert_eq!((&*logits.name, &*logits.datatype, &logits.shape[..]), ("logits", "FP32", &[2, 10][..]));
    assert_eq!((&*probabilities.name, &probabilities.contents), ("probabilities", &None));
    assert_eq!(raw_floats(&found.raw_output_contents[0]), expected);

    // Typed contents are answered by typed contents.
    let found: ModelInferResponse = caller.call(INFER, &request(&files, false)).decode();
    assert_eq!(found.raw_output_contents.len(), 0);
    assert_eq!(found.outputs[0].contents.as_ref().unwrap().fp32_contents, expected);

    // Prepared tensors.
    let options = fixture.classifier.pipeline().decode_options();
    let image = options.decode(&files[0]).unwrap().image;
    let tensor = fixture.classifier.prepare(&image).unwrap();
    let side = fixture.classifier.image_size() as i64;
    for raw in [true, false] {
        let mut request = request(&[], raw);
        request.inputs[0].datatype = "FP32".into();
        request.inputs[0].shape = vec![1, 3, side, side];
        if raw {
            let bytes: Vec<u8> = tensor.iter().flat_map(|value| value.to_le_bytes()).collect();
            request.raw_input_contents = vec![bytes.into()];
        } else {
            request.inputs[0].contents =
                Some(InferTensorContents { fp32_contents: tensor.clone(), ..Default::default() });
        }
        let found: ModelInferResponse = caller.call(INFER, &request).decode();
        let found = match &found.outputs[0].contents {
            Some(contents) => contents.fp32_contents.clone(),
            None => raw_floats(&found.raw_output_contents[0]),
        };
        assert_eq!(found, expected[..10]);
    }
}

#[test]
fn the_parameter_classification_asks_for_the_largest_values() {
    let fixture = Fixture::new(&with_grpc(options()));
    let mut request = request(&[file(1)], false);
    let parameters = number("classification", 2);
    request.outputs = vec![InferRequestedOutputTensor { name: "probabilities".into(), parameters }];
    let found: ModelInferResponse = caller(&fixture).call(INFER, &request).decode();
    assert_eq!((&*found.outputs[0].datatype, &found.outputs[0].shape[..]), ("BYTES", &[1, 2][..]));
    let top = fixture.classifier.classify(file(1)).unwrap().top(2);
    let texts = top.iter().map(|hit| format!("{:.6}:{}:{}", hit.probability, hit.index, hit.name));
    let texts: Vec<_> = texts.map(|text| text.into_bytes().into()).collect::<Vec<prost::bytes::Bytes>>();
    assert_eq!(found.outputs[0].contents.as_ref().unwrap().bytes_contents, texts);
}

#[test]
fn server_and_model_describe_themselves_over_grpc() {
    let fixture = Fixture::loading(&with_grpc(options()));
    let caller = caller(&fixture);
    let call = |name: &str, message: Vec<u8>| {
        let body = [&[0], &(message.len() as u32).to_be_bytes()[..], &message].concat();
        caller.send(&format!("/inference.GRPCInferenceService/{name}"), GRPC, body)
    };
    assert!(call("ServerLive", vec![]).decode::<ServerLiveResponse>().live);
    assert!(!call("ServerReady", vec![]).decode::<ServerReadyResponse>().ready);
    let model = |name: &str| ModelReadyRequest { name: name.into(), version: String::new() }.encode_to_vec();
    assert!(!call("ModelReady", model("clothing")).decode::<ModelReadyResponse>().ready);
    assert_eq!(call("ModelMetadata", model("clothing")).code(), 14, "it is being loaded");
    let health = |name: &str| caller.call("/grpc.health.v1.Health/Check", &HealthCheckRequest { service: name.into() });
    assert_eq!(health("").decode::<HealthCheckResponse>().status, 2);
    fixture.make_ready(&batches());
    assert!(call("ServerReady", vec![]).decode::<ServerReadyResponse>().ready);
    assert!(call("ModelReady", model("clothing")).decode::<ModelReadyResponse>().ready);
    assert_eq!(call("ModelReady", model("other")).code(), 5);
    for service in ["", "inference.GRPCInferenceService", "clothing"] {
        assert_eq!(health(service).decode::<HealthCheckResponse>().status, 1, "{service}");
    }
    assert_eq!(health("other").code(), 5);
    assert_eq!(call("ServerMetadata", vec![]).decode::<ServerMetadataResponse>().name, "hardnet");
    let found: ModelMetadataResponse = call("ModelMetadata", model("clothing")).decode();
    let side = fixture.classifier.image_size() as i64;
    assert_eq!((&*found.name, &found.versions[..]), ("clothing", &["1".to_owned()][..]));
    assert_eq!((&*found.inputs[0].name, &found.inputs[0].shape[..]), ("input", &[-1, 3, side, side][..]));
    assert_eq!((&*found.outputs[1].name, &found.outputs[1].shape[..]), ("probabilities", &[-1, 10][..]));
    let version = ModelReadyRequest { name: "clothing".into(), version: "2".into() };
    assert_eq!(call("ModelMetadata", version.encode_to_vec()).code(), 5);
}

#[test]
fn what_is_wrong_has_its_code() {
    let fixture = Fixture::new(&with_grpc(options().max_body(100_000).api_key("secret")));
    let caller = caller(&fixture);
    let key: &[(&str, &str)] = &[GRPC[0], ("authorization", "Bearer secret")];
    let code = |answer: Answer, code: u32| {
        assert_eq!(answer.code(), code, "{answer:?}");
        assert!(answer.header("grpc-message").is_some_and(|text| !text.is_empty()) && answer.message.is_empty());
    };
    let good = framed(&request(&[file(1)], false));
    assert_eq!(caller.send(INFER, key, good.clone()).code(), 0);
    code(caller.send(INFER, GRPC, good.clone()), 16);
    let live = caller.send("/inference.GRPCInferenceService/ServerLive", GRPC, framed(&ServerLiveRequest {}));
    assert_eq!(live.code(), 0, "health needs no key");
    code(caller.send("/inference.GRPCInferenceService/ModelConfig", key, good.clone()), 12);
    code(caller.send("/other", key, good.clone()), 12);
    let change = |change: &dyn Fn(&mut ModelInferRequest)| {
        let mut request = request(&[file(1)], false);
        change(&mut request);
        caller.send(INFER, key, framed(&request))
    };
    code(change(&|request| request.model_name = "other".into()), 5);
    code(change(&|request| request.model_version = "3".into()), 5);
    code(change(&|request| request.inputs.clear()), 3);
    code(change(&|request| request.inputs[0].name = "data".into()), 3);
    code(change(&|request| request.inputs[0].datatype = "INT8".into()), 3);
    code(change(&|request| request.inputs[0].shape = vec![-1]), 3);
    code(change(&|request| request.inputs[0].shape = vec![2]), 3);
    code(change(&|request| request.inputs[0].contents = None), 3);
    code(change(&|request| request.raw_input_contents = vec!["a".into()]), 3);
    code(change(&|request| request.inputs[0].contents.as_mut().unwrap().bytes_contents[0] = "no image".into()), 3);
    code(change(&|request| request.parameters = number("timeout", -1)), 3);
    code(change(&|request| request.parameters = number("timeout", 1)), 4);
    code(change(&|request| request.inputs[0].shape = vec![1000]), 8);

    // Bodies that are not one message.
    let mut compressed = good.clone();
    compressed[0] = 1;
    code(caller.send(INFER, key, compressed), 12);
    for body in [vec![], vec![0; 3], vec![2; 9], good[..good.len() - 1].to_vec(), [&good[..], b"x"].concat()] {
        code(caller.send(INFER, key, body), 3);
    }
    code(caller.send(INFER, key, [&[0, 0, 0, 0, 9][..], &[0xff; 9]].concat()), 3);
    let huge = [&[0, 0xff, 0xff, 0xff, 0xff][..], &[0; 64]].concat();
    code(caller.send(INFER, key, huge), 8);

    let timeout = |value| caller.send(INFER, &[key[0], key[1], ("grpc-timeout", value)], good.clone());
    code(timeout("1n"), 4);
    code(timeout("1x"), 3);
    assert_eq!(timeout("60S").code(), 0);
    for content_type in ["image/png", "application/grpc-web", "application/grpc-web+proto", "application/grpc+json", ""]
    {
        let other = caller.send(INFER, &[("content-type", content_type), key[1]], good.clone());
        assert_eq!((other.http.as_u16(), other.header("grpc-status")), (415, None), "{content_type}");
    }
    for content_type in ["application/grpc+proto", "Application/gRPC; charset=utf-8"] {
        assert_eq!(caller.send(INFER, &[("content-type", content_type), key[1]], good.clone()).code(), 0);
    }

    // The server still answers, and has counted.
    assert_eq!(caller.send(INFER, key, good).code(), 0);
    let metrics = send(fixture.address(), "GET", "/metrics", &[("authorization", "Bearer secret")], b"");
    let text = String::from_utf8(metrics.body).unwrap();
    let line = format!("hardnet_requests_total{{endpoint=\"{INFER}\",status=\"200\"}} 5");
    assert!(text.lines().any(|found| found == line), "{text}");
}

#[test]
fn calls_are_logged_with_their_ids() {
    let fixture = Fixture::new(&with_grpc(options()));
    let answer = caller(&fixture).send(INFER, &[GRPC[0], ("x-request-id", "mine")], framed(&request(&[file(1)], true)));
    assert_eq!((answer.code(), answer.header("x-request-id")), (0, Some("mine")));
    let records = fixture.records.0.lock().unwrap();
    assert_eq!((&records[0]["path"], &records[0]["request_id"]), (&json!(INFER), &json!("mine")));
}

#[test]
fn more_calls_than_the_queue_holds_are_refused() {
    let fixture = Fixture::new(&with_grpc(options()));
    let (refused, answered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let caller = caller(&fixture);
                for _ in 0..8 {
                    let answer = caller.call(INFER, &request(&vec![file(1); 8], true));
                    match answer.code() {
                        0 => answered.fetch_add(1, Ordering::Relaxed),
                        8 => {
                            let pause = answer.header("grpc-retry-pushback-ms").unwrap().parse::<u64>().unwrap();
                            assert!(pause >= 1000, "{pause}");
                            refused.fetch_add(1, Ordering::Relaxed)
                        }
                        _ => panic!("{answer:?}"),
                    };
                }
            });
        }
    });
    assert!(refused.into_inner() > 0 && answered.into_inner() > 0);
}

#[test]
fn a_call_that_cannot_be_computed_before_its_own_deadline_is_refused() {
    let image = encode_png(&Image::from_rgb8(2000, 2000, vec![0; 2000 * 2000 * 3]).unwrap()).unwrap();
    let options = with_grpc(options().timeout(Duration::from_secs(3600)));
    let fixture = Fixture::with_batches(&options, &batches().capacity(1024));
    // The time of decoding becomes known.
    assert_eq!(caller(&fixture).call(INFER, &request(std::slice::from_ref(&image), true)).code(), 0);
    let metric = |name: &str| {
        let metrics = metrics(&fixture);
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name}{{"))).expect("the metric");
        line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()
    };
    // A second's images: many more than wait for it. The next one is asked for within half the time that these take.
    let many = (metric("hardnet_images_per_second").ceil() as usize).clamp(30, 500);
    let long = request(&vec![image; many / 3], true);
    let attempt = || {
        std::thread::scope(|scope| {
            let busy = scope.spawn(|| caller(&fixture).call(INFER, &long).code());
            while metric("hardnet_queue_images") == 0.0 && !busy.is_finished() {
                std::thread::sleep(Duration::from_millis(1));
            }
            let time = (500.0 * many as f64 / metric("hardnet_images_per_second")).max(100.0);
            let headers = [GRPC[0], ("grpc-timeout", &format!("{time:.0}m"))];
            let files = vec![file(1); many];
            let hurried = caller(&fixture).send(INFER, &headers, framed(&request(&files, true))).code();
            assert_eq!(busy.join().unwrap(), 0);
            hurried == 8
        })
    };
    // Where this thread is late the call is too, and another may come in time.
    assert!((0..5).any(|_| attempt()), "the queue knows of the deadline");
}

#[test]
fn a_stop_under_load_loses_no_call_that_was_sent() {
    let fixture = Fixture::new(&with_grpc(options().grace(Duration::from_millis(200))));
    let address = fixture.server.grpc_address().unwrap();
    let (stopping, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let caller = Caller::new(address);
                // A call on a connection that is told to end is not sent.
                while let Some(answer) = caller.try_send(INFER, GRPC, framed(&request(&[file(3)], true))) {
                    assert_eq!(answer.code(), 0, "{answer:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                assert!(stopping.load(Ordering::SeqCst));
            });
        }
        std::thread::sleep(Duration::from_millis(300));
        stopping.store(true, Ordering::SeqCst);
        fixture.server.stop();
    });
    assert!(answered.into_inner() > 8);
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
    let records = fixture.records.0.lock().unwrap();
    assert!(records.iter().all(|record| record["status"] == 200), "{records:?}");
}

#[test]
fn answers_that_are_not_read_are_bounded_and_end_their_connection() {
    let time = Duration::from_millis(500);
    let options = options().max_body(8 << 10).max_body_memory(8 << 10).header_timeout(time).body_timeout(time);
    let fixture = Fixture::loading(&with_grpc(options));
    let metadata = "/inference.GRPCInferenceService/ServerMetadata";
    let deaf = Caller::with_window(fixture.server.grpc_address().unwrap(), 1);
    let begun = Instant::now();
    // A short answer takes 1 KiB.
    let unread: Vec<_> = (0..12).map_while(|_| deaf.call_unread(metadata, &ServerMetadataRequest {})).collect();
    let refused = unread.iter().filter(|(headers, _)| headers.get("grpc-status").is_some_and(|code| code == "8"));
    assert_eq!((unread.len(), refused.count()), (12, 4));
    let other = caller(&fixture);
    let call = || other.call(metadata, &ServerMetadataRequest {}).code();
    assert_eq!(call(), 8, "others wait too");
    while call() == 8 {
        assert!(begun.elapsed() < Duration::from_secs(20), "it is still open");
        std::thread::sleep(time / 10);
    }
    assert!(deaf.call_unread(metadata, &ServerMetadataRequest {}).is_none(), "it is closed");
    // Who reads is not.
    std::thread::sleep(5 * time);
    assert_eq!(call(), 0);
    drop(unread);
}

#[test]
fn silent_connections_of_grpc_are_closed() {
    let fixture = Fixture::loading(&with_grpc(options().header_timeout(Duration::from_millis(100))));
    let mut stream = std::net::TcpStream::connect(fixture.server.grpc_address().unwrap()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let begun = Instant::now();
    let mut received = Vec::new();
    std::io::Read::read_to_end(&mut stream, &mut received).unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20));

    // Who has called before may be silent for longer.
    let caller = caller(&fixture);
    let live = || caller.try_send("/inference.GRPCInferenceService/ServerLive", GRPC, framed(&ServerLiveRequest {}));
    assert_eq!(live().unwrap().code(), 0);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(live().unwrap().code(), 0);
    std::thread::sleep(Duration::from_millis(2500));
    assert!(live().is_none());
}

#[test]
fn silent_connections_of_grpc_make_room_for_others() {
    let fixture = Fixture::loading(&with_grpc(options().max_connections(3)));
    let address = fixture.server.grpc_address().unwrap();
    let begun = Instant::now();
    let connect = |_| std::net::TcpStream::connect(address).unwrap();
    let silent: Vec<_> = (0..20).map(connect).collect();
    let live = "/inference.GRPCInferenceService/ServerLive";
    let first = Caller::new(address);
    assert_eq!(first.send(live, GRPC, framed(&ServerLiveRequest {})).code(), 0);
    let _more: Vec<_> = (0..2).map(connect).collect();
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!(first.send(live, GRPC, framed(&ServerLiveRequest {})).code(), 0, "others were silent longer");
    // A message that does not come whole is silence.
    let callers: Vec<Caller> = (0..3).map(|_| Caller::new(address)).collect();
    for caller in &callers {
        caller.begin(live, GRPC);
    }
    assert_eq!(Caller::new(address).send(live, GRPC, framed(&ServerLiveRequest {})).code(), 0);
    assert!(begun.elapsed() < Duration::from_secs(20));
    drop(silent);
}
