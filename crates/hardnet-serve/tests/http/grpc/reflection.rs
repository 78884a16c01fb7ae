//! Server reflection.

use std::time::{Duration, Instant};

use prost::Message;

use super::caller::{Answer, framed};
use super::protocol::reflection::server_reflection_request::MessageRequest;
use super::protocol::reflection::server_reflection_response::MessageResponse;
use super::protocol::reflection::{ExtensionRequest, ServerReflectionRequest, ServerReflectionResponse};
use super::{GRPC, caller, with_grpc};
use crate::{Fixture, options};

const PATHS: [&str; 2] = [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

fn request(what: MessageRequest) -> ServerReflectionRequest {
    ServerReflectionRequest { host: "here".into(), message_request: Some(what) }
}

fn list() -> Vec<u8> {
    framed(&request(MessageRequest::ListServices(String::new())))
}

/// The messages of a stream.
fn messages(answer: &Answer) -> Vec<ServerReflectionResponse> {
    let (mut rest, mut messages) = (&answer.message[..], Vec::new());
    while let [0, a, b, c, d, after @ ..] = rest {
        let (message, after) = after.split_at(u32::from_be_bytes([*a, *b, *c, *d]) as usize);
        messages.push(ServerReflectionResponse::decode(message).unwrap());
        rest = after;
    }
    assert!(rest.is_empty());
    messages
}

#[test]
fn services_files_and_symbols_are_found_by_reflection() {
    let fixture = Fixture::loading(&with_grpc(options()));
    let file = |name: &str| request(MessageRequest::FileByFilename(name.into()));
    let symbol = |name: &str| request(MessageRequest::FileContainingSymbol(name.into()));
    let extension = ExtensionRequest { containing_type: "inference.ModelInferRequest".into(), extension_number: 100 };
    let requests = [
        request(MessageRequest::ListServices("*".into())),
        file("inference.proto"),
        file("reflection_v1alpha.proto"),
        symbol("inference.GRPCInferenceService"),
        symbol("inference.GRPCInferenceService.ModelInfer"),
        symbol("inference.ModelInferRequest.InferInputTensor.shape"),
        symbol("inference.InferParameter.parameter_choice"),
        symbol("grpc.health.v1.HealthCheckResponse.SERVING"),
        symbol("grpc.reflection.v1alpha.ErrorResponse"),
        file("other.proto"),
        symbol("inference"),
        symbol("inference.ModelInferRequest.other"),
        request(MessageRequest::FileContainingExtension(extension)),
        request(MessageRequest::AllExtensionNumbersOfType("inference.ModelInferRequest".into())),
    ];
    let body: Vec<u8> = requests.iter().flat_map(framed).collect();
    for path in PATHS {
        let answer = caller(&fixture).send(path, GRPC, body.clone());
        assert_eq!((answer.code(), answer.header("content-type")), (0, Some("application/grpc")));
        let found = messages(&answer);
        assert_eq!(found.len(), requests.len());
        // A descriptor begins with its file's name.
        let mut names = Vec::new();
        for (found, request) in found.iter().zip(&requests) {
            assert_eq!((&*found.valid_host, found.original_request.as_ref()), ("here", Some(request)));
            match found.message_response.as_ref().unwrap() {
                MessageResponse::ListServicesResponse(list) => {
                    let services: Vec<&str> = list.service.iter().map(|service| &*service.name).collect();
                    let reflection =
                        ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];
                    let others = ["inference.GRPCInferenceService", "grpc.health.v1.Health"];
                    assert_eq!(services, [others, reflection].concat());
                }
                MessageResponse::FileDescriptorResponse(files) => {
                    let [file] = &files.file_descriptor_proto[..] else { panic!("{files:?}") };
                    let length = usize::from(file[1]);
                    names.push(String::from_utf8(file[2..2 + length].to_vec()).unwrap());
                }
                MessageResponse::ErrorResponse(error) => {
                    assert!(!error.error_message.is_empty());
                    names.push(error.error_code.to_string());
                }
                other => panic!("{other:?}"),
            }
        }
        let inference = "inference.proto";
        let older = "reflection_v1alpha.proto";
        let expected = [inference, older, inference, inference, inference, inference, "health.proto", older];
        assert_eq!(names, [&expected[..], &["5"; 5]].concat(), "{path}");
    }
    let records = fixture.records.0.lock().unwrap();
    assert_eq!((&records[1]["path"], &records[1]["status"]), (&PATHS[1].into(), &200.into()));
    assert!(records[1]["bytes"].as_u64().unwrap() > 1000);
}

#[test]
fn a_stream_ends_with_the_status_of_what_is_wrong() {
    let time = Duration::from_millis(500);
    let fixture = Fixture::loading(&with_grpc(options().api_key("secret").body_timeout(time)));
    let caller = caller(&fixture);
    let key: &[(&str, &str)] = &[GRPC[0], ("authorization", "Bearer secret")];
    for path in PATHS {
        assert_eq!(caller.send(path, GRPC, list()).code(), 16, "reflection needs the key");
        let send = |second: Vec<u8>| {
            let answer = caller.send(path, key, [list(), second].concat());
            assert_eq!(messages(&answer).len(), 1, "what came before is answered");
            answer.code()
        };
        let long = request(MessageRequest::FileByFilename("x".repeat(5000)));
        assert_eq!(send(framed(&ServerReflectionRequest::default())), 3);
        assert_eq!(send(vec![0, 0, 0, 0, 1, 0xff]), 3);
        assert_eq!(send(vec![0; 3]), 3);
        assert_eq!(send(framed(&long)), 8);
        assert_eq!(caller.send(path, key, vec![]).code(), 0, "a stream may have no message");

        let unended = |headers: &[(&str, &str)]| caller.send_unended(path, headers, list());
        let slow = unended(key);
        assert_eq!((slow.code(), messages(&slow).len()), (4, 1));
        let start = Instant::now();
        let late = unended(&[key[0], key[1], ("grpc-timeout", "1m")]);
        assert!(late.code() == 4 && start.elapsed() < time);
    }
    let records = fixture.records.0.lock().unwrap();
    assert!(records.iter().any(|record| record["status"] == 408 && record["error"].is_string()), "{records:?}");
}

#[test]
fn a_stop_does_not_wait_for_silent_streams() {
    let fixture = Fixture::loading(&with_grpc(options()));
    let caller = caller(&fixture);
    std::thread::scope(|scope| {
        let silent = scope.spawn(|| caller.send_unended(PATHS[0], GRPC, list()).code());
        std::thread::sleep(Duration::from_millis(200));
        let start = Instant::now();
        fixture.server.stop();
        assert!(start.elapsed() < Duration::from_secs(10));
        assert_eq!(silent.join().unwrap(), 14);
    });
}
