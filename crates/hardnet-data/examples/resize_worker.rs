//! Times resizes for `benches/pillow/side_by_side.py`, which sends requests on stdin and reads replies on stdout.
//!
//! A request is one line. `image WIDTH HEIGHT CHANNELS`, followed by that many samples, sets the picture of the
//! requests after it; there is no reply. `resize WIDTH HEIGHT FILTER`, `crop RESIZE CROP FILTER` and
//! `tensor RESIZE CROP FILTER` run once and reply with a line `NANOSECONDS BYTES`, and the bytes: samples, or f32
//! values in little-endian order. The argument is the instruction set.

use std::error::Error;
use std::io::{BufRead, Read, Write};
use std::time::Instant;

use hardnet_data::{Channels, Image, Pipeline, Resampling, Resizer};
use hardnet_simd::Isa;

fn main() -> Result<(), Box<dyn Error>> {
    let isa: Isa = std::env::args().nth(1).ok_or("the argument is an instruction set")?.parse()?;
    let mut resizer = Resizer::with_isa(isa);
    let (mut stdin, mut stdout) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut image = Image::from_rgb8(1, 1, vec![0; 3])?;
    let (mut tensor, mut line) = (Vec::new(), String::new());
    while stdin.read_line(&mut line)? > 0 {
        let words: Vec<_> = line.split_whitespace().collect();
        let [request, first, second, last] = words[..] else { return Err(format!("four words, not {line:?}").into()) };
        let (first, second): (usize, usize) = (first.parse()?, second.parse()?);
        if request == "image" {
            let channels = if last == "1" { Channels::Gray } else { Channels::Rgb };
            let mut samples = vec![0; first * second * channels.count()];
            stdin.read_exact(&mut samples)?;
            image = Image::new(first, second, channels, samples)?;
        } else {
            let mut pipeline = Pipeline::pil_bilinear().with_interpolation(last.parse::<Resampling>()?);
            (pipeline.resize, pipeline.crop) = (first as u32, second as u32);
            tensor.resize(3 * second * second, 0.0);
            let start = Instant::now();
            let (time, bytes) = match request {
                "resize" => {
                    let resized = resizer.resize(&image, first, second, pipeline.interpolation)?;
                    (start.elapsed(), resized.into_samples())
                }
                "crop" => {
                    let cropped = pipeline.crop_pixels_with(&mut resizer, &image)?;
                    (start.elapsed(), cropped.into_samples())
                }
                "tensor" => {
                    pipeline.tensor_with(&mut resizer, &image, &mut tensor)?;
                    (start.elapsed(), tensor.iter().flat_map(|value| value.to_le_bytes()).collect())
                }
                _ => return Err(format!("no request {request:?}").into()),
            };

            writeln!(stdout, "{} {}", time.as_nanos(), bytes.len())?;
            stdout.write_all(&bytes)?;
            stdout.flush()?;
        }
        line.clear();
    }
    Ok(())
}
