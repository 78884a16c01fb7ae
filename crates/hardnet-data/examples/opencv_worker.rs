//! Resizes as OpenCV does for `benches/opencv/side_by_side.py`, which sends requests on stdin and reads replies on
//! stdout.
//!
//! A request is one line. `image WIDTH HEIGHT CHANNELS`, followed by that many samples, sets the image of the requests
//! after it, without a reply. `resize WIDTH HEIGHT METHOD` runs once and replies with a line `NANOSECONDS BYTES` and
//! the samples. The argument is the instruction set.

use std::error::Error;
use std::io::{BufRead, Read, Write};
use std::time::Instant;

use hardnet_data::{Channels, Image, Isa, Resizer, opencv};

fn main() -> Result<(), Box<dyn Error>> {
    let isa: Isa = std::env::args().nth(1).ok_or("the argument is an instruction set")?.parse()?;
    let mut resizer = Resizer::with_isa(isa);
    let (mut stdin, mut stdout) = (std::io::stdin().lock(), std::io::stdout().lock());
    let mut image = Image::from_rgb8(1, 1, vec![0; 3])?;
    let mut line = String::new();
    while stdin.read_line(&mut line)? > 0 {
        let words: Vec<_> = line.split_whitespace().collect();
        let [request, width, height, last] = words[..] else { return Err(format!("four words, not {line:?}").into()) };
        let (width, height): (usize, usize) = (width.parse()?, height.parse()?);
        if request == "image" {
            let channels = if last == "1" { Channels::Gray } else { Channels::Rgb };
            let mut samples = vec![0; width * height * channels.count()];
            stdin.read_exact(&mut samples)?;
            image = Image::new(width, height, channels, samples)?;
        } else {
            let interpolation: opencv::Interpolation = last.parse()?;
            let start = Instant::now();
            let resized = resizer.resize(&image, width, height, interpolation)?;
            let time = start.elapsed();
            writeln!(stdout, "{} {}", time.as_nanos(), resized.samples().len())?;
            stdout.write_all(resized.samples())?;
            stdout.flush()?;
        }
        line.clear();
    }
    Ok(())
}
