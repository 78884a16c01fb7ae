//! Segmentation.

use std::sync::Arc;

use hardnet_data::{Image, encode_png};
use hardnet_graph::{Config, SegmentationVariant};
use hardnet_params::Metadata;
use hardnet_params::synthetic::Synthetic;
use hardnet_segmentation::{LabelTable, MaskReader, Protocol, Segmentation, Segmenter, scenes};
use hardnet_serve::{BatcherOptions, Model, Server, ServerOptions, Workers};
use serde_json::{Value, json};

use crate::client::{Connection, Response, send};
use crate::{Records, options};

fn small() -> Config {
    let mut config = Config::from(SegmentationVariant::FcHarDNet70).with_classes(scenes::CLASSES.len());
    config.blocks.truncate(2);
    config
}

fn segmenter() -> Segmenter {
    let builder = Segmenter::builder().protocol(Protocol::paddleseg()).names(scenes::CLASSES);
    builder.threads(1).from_parameters(&Metadata::new(small()), &Synthetic).unwrap()
}

fn server(options: &ServerOptions) -> Server {
    let server = Server::start(([127, 0, 0, 1], 0).into(), ["scenes"], options, Arc::new(Records::default())).unwrap();
    let workers = Arc::new(Workers::new(1).unwrap());
    let batches = BatcherOptions::default().capacity(8);
    server.add(Model::new("scenes").segmenter(segmenter(), &workers, &batches).unwrap());
    server
}

/// A scene as a file; `seed` tells scenes apart.
fn scene(seed: u32, width: usize) -> Vec<u8> {
    encode_png(&scenes::draw(1, seed, width, 40).image).unwrap()
}

fn expected(file: &[u8]) -> Segmentation {
    segmenter().segment(file).unwrap()
}

fn post(server: &Server, path: &str, accept: &str, body: &[u8]) -> Response {
    send(server.address(), "POST", path, &[("accept", accept), ("content-type", "image/png")], body)
}

#[test]
fn the_class_of_each_pixel_is_an_indexed_png() {
    let server = server(&options());
    for (seed, width) in [(0, 48), (1, 61)] {
        let file = scene(seed, width);
        let response = post(&server, "/segment", "*/*", &file);
        assert_eq!((response.status, response.header("content-type")), (200, Some("image/png")));
        let mask = MaskReader::new(LabelTable::indices(scenes::CLASSES.len())).decode(&response.body).unwrap();
        assert_eq!(mask, expected(&file).mask);
        assert!(mask.areas(scenes::CLASSES.len()).iter().filter(|&&pixels| pixels > 0).count() > 1);
    }
}

#[test]
fn shares_of_classes_are_json_for_who_accepts_it() {
    let server = server(&options());
    let file = scene(3, 50);
    let response = post(&server, "/segment", "application/json", &file);
    let found = response.json();
    assert_eq!(
        (&found["model"], &found["images"][0]["width"], &found["images"][0]["height"]),
        (&json!("scenes"), &json!(50), &json!(40))
    );
    let expected = expected(&file);
    let areas: Vec<Value> = expected
        .areas()
        .iter()
        .map(|area| json!({ "index": area.class, "name": area.name, "share": area.share }))
        .collect();
    assert_eq!(found["images"][0]["areas"], json!(areas));
    let form = |accept: &str| {
        let part = |file: &[u8]| {
            [b"--b\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a\"\r\n\r\n", file, b"\r\n"].concat()
        };
        let body = [part(&file), part(&scene(4, 60)), b"--b--\r\n".to_vec()].concat();
        let headers = [("accept", accept), ("content-type", "multipart/form-data; boundary=b")];
        send(server.address(), "POST", "/segment", &headers, &body)
    };
    assert_eq!(form("application/json").json()["images"].as_array().unwrap().len(), 2);
    assert_eq!(form("image/png").status, 422, "a PNG holds one image");
}

#[test]
fn the_protocol_has_maps_of_bytes() {
    let server = server(&options());
    let files = [scene(5, 48), scene(6, 48)];
    let maps: Vec<u8> = files.iter().flat_map(|file| expected(file).mask.into_labels()).collect();
    let binary: Vec<u8> =
        files.iter().flat_map(|file| [&(file.len() as u32).to_le_bytes()[..], file].concat()).collect();
    let infer = |files: usize, binary: &[u8], outputs: Value| {
        let parameters = json!({ "binary_data_size": binary.len() });
        let input = json!({ "name": "input", "shape": [files], "datatype": "BYTES", "parameters": parameters });
        let json = json!({ "inputs": [input], "outputs": outputs }).to_string();
        let length = json.len().to_string();
        let headers = [("inference-header-content-length", length.as_str())];
        send(server.address(), "POST", "/v2/models/scenes/infer", &headers, &[json.as_bytes(), binary].concat())
    };
    let found = infer(2, &binary, json!([{ "name": "classes" }])).json();
    let output = &found["outputs"][0];
    assert_eq!((&output["datatype"], &output["shape"]), (&json!("UINT8"), &json!([2, 40, 48])));
    assert_eq!(output["data"], json!(maps));
    let response = infer(2, &binary, json!([{ "name": "classes", "parameters": { "binary_data": true } }]));
    let length: usize = response.header("inference-header-content-length").unwrap().parse().unwrap();
    assert_eq!(response.body[length..], maps);
    for outputs in
        [json!([{ "name": "logits" }]), json!([{ "name": "classes", "parameters": { "classification": 1 } }])]
    {
        assert_eq!(infer(2, &binary, outputs).status, 400);
    }
    let other = scene(7, 50);
    let mixed = [&binary[..binary.len() / 2], &(other.len() as u32).to_le_bytes(), &other].concat();
    assert!(matches!(infer(2, &mixed, json!([])).status, 400), "images of two sizes");
    let get = |path: &str| send(server.address(), "GET", path, &[], b"").json();
    let described = get("/v2/models/scenes");
    assert_eq!(described["inputs"], json!([{ "name": "input", "datatype": "BYTES", "shape": [-1] }]));
    assert_eq!(described["outputs"], json!([{ "name": "classes", "datatype": "UINT8", "shape": [-1, -1, -1] }]));
    assert_eq!(get("/v2/models/scenes/config")["output"][0]["data_type"], "TYPE_UINT8");
}

#[cfg(feature = "grpc")]
#[test]
fn maps_over_grpc_are_those_of_http() {
    use crate::grpc::caller::Caller;
    use crate::grpc::protocol::model_infer_request::InferInputTensor;
    use crate::grpc::protocol::{InferTensorContents, ModelInferRequest, ModelInferResponse};

    let server = server(&options().grpc(([127, 0, 0, 1], 0).into()));
    let file = scene(8, 52);
    let map = expected(&file).mask.into_labels();
    let contents = InferTensorContents { bytes_contents: vec![file.clone().into()], ..Default::default() };
    let input = InferInputTensor {
        name: "input".into(),
        datatype: "BYTES".into(),
        shape: vec![1],
        contents: Some(contents),
        ..Default::default()
    };
    let mut request = ModelInferRequest { model_name: "scenes".into(), inputs: vec![input], ..Default::default() };
    let caller = Caller::new(server.grpc_address().unwrap());
    let infer = |request: &ModelInferRequest| {
        caller.call("/inference.GRPCInferenceService/ModelInfer", request).decode::<ModelInferResponse>()
    };
    let found = infer(&request);
    let output = &found.outputs[0];
    assert_eq!((&*output.name, &*output.datatype, &output.shape[..]), ("classes", "UINT8", &[1, 40, 52][..]));
    let wide: Vec<u32> = map.iter().map(|&class| class.into()).collect();
    assert_eq!(output.contents.as_ref().unwrap().uint_contents, wide);
    request.inputs[0].contents = None;
    request.raw_input_contents = vec![[&(file.len() as u32).to_le_bytes()[..], &file].concat().into()];
    assert_eq!(infer(&request).raw_output_contents, [map]);
}

#[test]
fn images_that_cannot_be_segmented_are_refused() {
    let server = server(&options());
    let tiny = encode_png(&Image::from_rgb8(1, 1, vec![0; 3]).unwrap()).unwrap();
    let mut connection = Connection::open(server.address());
    for body in [&b"no image"[..], &tiny] {
        let response = connection.send("POST", "/segment", &[("content-type", "image/png")], body);
        assert_eq!(response.status, 422, "{response:?}");
    }
    assert_eq!(post(&server, "/classify", "*/*", &scene(1, 48)).status, 404);
    assert_eq!(post(&server, "/embed", "*/*", &scene(1, 48)).status, 404);
    assert_eq!(post(&server, "/segment", "*/*", &scene(1, 48)).status, 200);
}
