//! How to use the crates in a program of your own: `cargo run -p hardnet-examples --example classify`.
