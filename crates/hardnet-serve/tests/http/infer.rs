//! The Open Inference Protocol.

use hyper::body::Bytes;
use serde_json::{Value, json};

use crate::client::{Response, send};
use crate::{Fixture, file, floats, options};

const INFER: &str = "/v2/models/clothing/infer";

fn infer(fixture: &Fixture, body: &Value) -> Response {
    let body = body.to_string();
    send(fixture.address(), "POST", INFER, &[("content-type", "application/json")], body.as_bytes())
}

/// Sends JSON with binary data after it.
fn infer_binary(fixture: &Fixture, json: &Value, binary: &[u8]) -> Response {
    let json = json.to_string();
    let length = json.len().to_string();
    let headers = [("inference-header-content-length", length.as_str()), ("content-type", "application/octet-stream")];
    send(fixture.address(), "POST", INFER, &headers, &[json.as_bytes(), binary].concat())
}

/// JSON and binary data of a response.
fn split(response: &Response) -> (Value, Bytes) {
    let length = response.header("inference-header-content-length").unwrap().parse().unwrap();
    let (json, binary) = response.body.split_at(length);
    (serde_json::from_slice(json).unwrap(), Bytes::copy_from_slice(binary))
}

fn byte_string(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32).to_le_bytes()[..], content].concat()
}

/// A prepared image and its logits.
fn prepared(fixture: &Fixture, seed: u8) -> (Vec<f32>, Vec<f32>) {
    let options = fixture.classifier.pipeline().decode_options();
    let image = options.decode(&file(seed)).unwrap().image;
    let tensor = fixture.classifier.prepare(&image).unwrap();
    let logits = fixture.classifier.logits(&[&tensor]).unwrap().into_vec();
    (tensor, logits)
}

#[test]
fn tensors_in_json_are_flat_or_nested() {
    let fixture = Fixture::new(&options());
    let (tensor, logits) = prepared(&fixture, 1);
    let side = fixture.classifier.image_size();
    let nested: Vec<Vec<Vec<f32>>> =
        tensor.chunks(side * side).map(|plane| plane.chunks(side).map(<[f32]>::to_vec).collect()).collect();
    for data in [json!(tensor), json!([nested])] {
        let input = json!({ "name": "input", "shape": [1, 3, side, side], "datatype": "FP32", "data": data });
        let response = infer(&fixture, &json!({ "id": "7", "inputs": [input] }));
        assert_eq!(response.status, 200, "{}", response.error());
        let found = response.json();
        assert_eq!(
            (&found["id"], &found["model_name"], &found["model_version"]),
            (&json!("7"), &json!("clothing"), &json!("1"))
        );
        let [first, second] = &found["outputs"].as_array().unwrap()[..] else { panic!("{found}") };
        assert_eq!((&first["name"], &second["name"]), (&json!("logits"), &json!("probabilities")));
        assert_eq!((&first["datatype"], &first["shape"]), (&json!("FP32"), &json!([1, 10])));
        assert_eq!(floats(&first["data"]), logits);
        assert!((floats(&second["data"]).iter().sum::<f32>() - 1.0).abs() < 1e-5);
    }
}

#[test]
fn binary_tensors_come_and_go_after_the_json() {
    let fixture = Fixture::new(&options());
    let side = fixture.classifier.image_size();
    let ((a, of_a), (b, of_b)) = (prepared(&fixture, 1), prepared(&fixture, 2));
    let binary: Vec<u8> = a.iter().chain(&b).flat_map(|value| value.to_le_bytes()).collect();
    let input = |shape: Value, size: usize| json!({ "name": "input", "shape": shape, "datatype": "FP32", "parameters": { "binary_data_size": size } });
    let whole = json!({
        "inputs": [input(json!([2, 3, side, side]), binary.len())],
        "parameters": { "binary_data_output": true },
    });
    let response = infer_binary(&fixture, &whole, &binary);
    assert_eq!(response.status, 200, "{response:?}");
    let (json, data) = split(&response);
    assert_eq!(json.get("id"), None);
    assert_eq!(json["outputs"][0]["parameters"], json!({ "binary_data_size": 2 * 10 * 4 }));
    let expected: Vec<u8> = of_a.iter().chain(&of_b).flat_map(|value| value.to_le_bytes()).collect();
    assert_eq!(&data[..80], expected);

    // One output in JSON, the other binary.
    let outputs = json!([{ "name": "probabilities" }, { "name": "logits", "parameters": { "binary_data": true } }]);
    let mixed = json!({ "inputs": [input(json!([2, 3, side, side]), binary.len())], "outputs": outputs });
    let (json, data) = split(&infer_binary(&fixture, &mixed, &binary));
    assert_eq!(json["outputs"][0]["data"].as_array().unwrap().len(), 20);
    assert_eq!(data, expected);

    for (shape, size) in [
        (json!([1, 3, side, side]), binary.len()),
        (json!([2, 3, side, side]), binary.len() - 4),
        (json!([2, 3, side, side]), binary.len() + 4),
        (json!([2, side, side, 3]), binary.len()),
        (json!([0, 3, side, side]), binary.len()),
        (json!([u64::MAX, 3, side, side]), binary.len()),
        (json!([]), binary.len()),
    ] {
        let response = infer_binary(&fixture, &json!({ "inputs": [input(shape.clone(), size)] }), &binary);
        assert!(matches!(response.status, 400 | 413), "{shape} {size}: {response:?}");
        response.error();
    }
}

#[test]
fn image_files_are_bytes() {
    let fixture = Fixture::new(&options());
    let files = [file(1), file(2)];
    let binary = files.each_ref().map(|file| byte_string(file)).concat();
    let expected = files.each_ref().map(|file| fixture.classifier.classify(file).unwrap());
    for shape in [json!([2]), json!([2, 1])] {
        let parameters = json!({ "binary_data_size": binary.len() });
        let input = json!({ "name": "input", "shape": shape, "datatype": "BYTES", "parameters": parameters });
        let outputs = json!([
            { "name": "logits" },
            { "name": "probabilities", "parameters": { "classification": 2 } },
            { "name": "logits", "parameters": { "classification": 1, "binary_data": true } },
        ]);
        let response = infer_binary(&fixture, &json!({ "inputs": [input], "outputs": outputs }), &binary);
        let (json, data) = split(&response);
        let logits: Vec<f32> = expected.iter().flat_map(|found| found.logits()).copied().collect();
        assert_eq!(floats(&json["outputs"][0]["data"]), logits);
        let classes = &json["outputs"][1];
        assert_eq!((&classes["datatype"], &classes["shape"]), (&json!("BYTES"), &json!([2, 2])));
        let text = |found: &hardnet_classifier::Classification, of: usize| {
            let hit = found.top(2).remove(of);
            format!("{:.6}:{}:{}", hit.probability, hit.index, hit.name)
        };
        let all: Vec<String> = expected.iter().flat_map(|found| [text(found, 0), text(found, 1)]).collect();
        assert_eq!(classes["data"], json!(all));
        let first = expected.each_ref().map(|found| {
            let hit = found.top(1).remove(0);
            byte_string(format!("{:.6}:{}:{}", found.logits()[hit.index], hit.index, hit.name).as_bytes())
        });
        assert_eq!(data, first.concat());
    }
    let base64 = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &files[0]);
    let input = json!({ "name": "input", "shape": [1], "datatype": "BYTES", "data": [base64] });
    let found = infer(&fixture, &json!({ "inputs": [input] })).json();
    assert_eq!(floats(&found["outputs"][0]["data"]), expected[0].logits());
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let fixture = Fixture::new(&options());
    let side = fixture.classifier.image_size();
    let input = |change: &dyn Fn(&mut Value)| {
        let zeros = vec![0.0; 3 * side * side];
        let mut input = json!({ "name": "input", "shape": [1, 3, side, side], "datatype": "FP32", "data": zeros });
        change(&mut input);
        json!({ "inputs": [input] })
    };
    assert_eq!(infer(&fixture, &input(&|_| {})).status, 200);
    let huge = json!({ "name": "input", "shape": [17], "datatype": "BYTES", "data": [] });
    for (request, status) in [
        (json!({}), 400),
        (json!({ "inputs": [] }), 400),
        (json!([]), 400),
        (input(&|input| input["name"] = "data".into()), 400),
        (input(&|input| input["datatype"] = "FP16".into()), 400),
        (input(&|input| input["datatype"] = "BYTES".into()), 400),
        (input(&|input| input["shape"] = json!([1, 3, side])), 400),
        (input(&|input| input["shape"] = json!([-1, 3, side, side])), 400),
        (input(&|input| input["data"] = json!([1.0])), 400),
        (input(&|input| input["data"] = json!(["a"])), 400),
        (input(&|input| input["data"] = Value::Null), 400),
        (input(&|input| input["data"][5] = json!(1e300)), 422),
        (json!({ "inputs": [huge] }), 413),
    ] {
        let response = infer(&fixture, &request);
        assert_eq!(response.status, status, "{request}: {}", response.error());
    }
    for outputs in [json!([{ "name": "classes" }]), json!([{}]), json!(vec![json!({ "name": "logits" }); 17])] {
        let mut request = input(&|_| {});
        request["outputs"] = outputs;
        assert_eq!(infer(&fixture, &request).status, 400);
    }
    for length in ["99999", "-1", "x", ""] {
        let headers = [("inference-header-content-length", length)];
        assert_eq!(send(fixture.address(), "POST", INFER, &headers, b"{}").status, 400, "{length}");
    }
    let unknown = send(fixture.address(), "POST", "/v2/models/other/infer", &[], b"{}");
    assert_eq!((unknown.status, unknown.error()), (404, "unknown model `other`".into()));
    // The server still answers.
    assert_eq!(infer(&fixture, &input(&|_| {})).status, 200);
}

#[test]
fn server_and_model_describe_themselves() {
    let fixture = Fixture::new(&options());
    let get = |path: &str| send(fixture.address(), "GET", path, &[], b"").json();
    assert_eq!(get("/v2")["name"], "hardnet");
    assert!(get("/v2")["extensions"].as_array().unwrap().contains(&json!("binary_tensor_data")));
    let side = fixture.classifier.image_size();
    let model = get("/v2/models/clothing");
    assert_eq!(model, get("/v2/models/clothing/versions/1"));
    assert_eq!(model["inputs"], json!([{ "name": "input", "datatype": "FP32", "shape": [-1, 3, side, side] }]));
    assert_eq!(model["outputs"][0], json!({ "name": "logits", "datatype": "FP32", "shape": [-1, 10] }));
    assert_eq!(get("/v2/models/clothing/config")["max_batch_size"], 16);
    let index = send(fixture.address(), "POST", "/v2/repository/index", &[], b"").json();
    assert_eq!(index, json!([{ "name": "clothing", "version": "1", "state": "READY" }]));
}
