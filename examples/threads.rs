//! Shares one classifier among threads, as a server does: each decodes its images, and they take turns in the network.
//!
//! ```sh
//! cargo run -p hardnet-examples --example threads
//! ```

use std::sync::mpsc;
use std::thread;

use anyhow::Result;
use hardnet::Classifier;
use hardnet_examples::{WEIGHTS, demo_files};

fn main() -> Result<()> {
    let classifier = Classifier::from_pretrained(WEIGHTS)?;
    let files = demo_files(32)?;
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for (worker, files) in files.chunks(8).enumerate() {
            // A clone shares the network.
            let (classifier, sender) = (classifier.clone(), sender.clone());
            scope.spawn(move || {
                for file in files {
                    let result = classifier.classify(file).map(|found| found.top(1).remove(0).name);
                    sender.send((worker, result)).expect("the receiver waits for all workers");
                }
            });
        }
        drop(sender);
        for (worker, name) in receiver {
            println!("worker {worker}: {}", name?);
        }
        Ok(())
    })
}
