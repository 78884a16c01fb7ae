//! Evaluates a classifier and watches it: counts per class, the worst mistakes, and a stop after so many images.
//!
//! ```sh
//! cargo run -p hardnet-examples --example evaluate
//! cargo run -p hardnet-examples --example evaluate -- 500
//! ```

use std::ops::ControlFlow;

use anyhow::Result;
use hardnet::prelude::*;
use hardnet_examples::{WEIGHTS, demo_images};

/// Prints the accuracy so far, and stops early.
struct Watch {
    tally: Tally,
    limit: usize,
}

impl Observer for Watch {
    fn batch_done(&mut self, batch: &BatchDone<'_>) -> ControlFlow<()> {
        batch.count(&mut self.tally);
        if batch.done % 200 < 16 {
            println!(
                "{:4} of {}: top-1 {:.1} %",
                batch.done,
                batch.total(),
                self.tally.top1().percent().unwrap_or(0.0)
            );
        }
        if batch.done < self.limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

fn main() -> Result<()> {
    let limit = std::env::args().nth(1).map_or(Ok(usize::MAX), |limit| limit.parse())?;
    let (_folder, dataset) = demo_images()?;
    let classifier = Classifier::from_pretrained(WEIGHTS)?;

    // A pair of observers is an observer, and metrics are observers.
    let (mut watch, mut breakdown) = (Watch { tally: Tally::default(), limit }, Breakdown::new(3));
    let options = EvalOptions::default().batch_size(16);
    let summary = classifier.evaluate(dataset.samples, &options, &mut (&mut watch, &mut breakdown))?;

    println!("{} images in {:.1} s", summary.images, summary.total.as_secs_f64());
    for class in breakdown.confusion().by_class() {
        println!("{:<12} {:5.1} %", classifier.labels().name(class.class), class.top1.percent().unwrap_or(0.0));
    }
    println!("calibration error {:.2} %", 100.0 * breakdown.calibration().error().unwrap_or(0.0));
    for mistake in breakdown.mistakes() {
        let name = |class| classifier.labels().name(class);
        let (label, predicted) = (name(mistake.label), name(mistake.predicted));
        println!("image {}: {label}, taken for {predicted} with {:.1} %", mistake.image, 100.0 * mistake.confidence);
    }
    Ok(())
}
