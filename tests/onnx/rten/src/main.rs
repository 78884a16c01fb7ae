//! Computes the first output of an ONNX model with rten: `rten-reader MODEL TYPE SHAPE INPUT OUTPUT`.
//!
//! `TYPE` is NumPy's name, `SHAPE` numbers between commas, `INPUT` and `OUTPUT` files of bare elements.

use std::error::Error;
use std::{env, fs};

use rten::{Model, Value};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [model, kind, shape, input, output] = &arguments[..] else {
        return Err("expected MODEL TYPE SHAPE INPUT OUTPUT".into());
    };
    let model = Model::load_file(model)?;
    let shape: Vec<usize> = shape.split(',').map(str::parse).collect::<Result<_, _>>()?;
    let bytes = fs::read(input)?;
    let input = match kind.as_str() {
        "float32" => {
            let samples = bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
            Value::from_shape(&shape, samples.collect::<Vec<_>>())?
        }
        "uint8" => Value::from_shape(&shape, bytes)?,
        other => return Err(format!("rten has no tensors of {other}").into()),
    };
    let logits = model.run_one(input.into(), None)?;
    let (_, logits) = logits.into_shape_vec::<f32, 2>()?;
    fs::write(output, logits.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>())?;
    Ok(())
}
