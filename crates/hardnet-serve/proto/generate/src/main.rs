//! Writes the types of `proto/*.proto` to `src/grpc/generated/`:
//!
//! ```sh
//! cargo run --locked --manifest-path crates/hardnet-serve/proto/generate/Cargo.toml [-- check]
//! ```
//!
//! With `check` it writes nothing, and fails if the files there are others.

use std::error::Error;
use std::fs;
use std::path::Path;

const FILES: [(&str, &str); 2] = [("inference.proto", "inference.rs"), ("health.proto", "grpc.health.v1.rs")];

fn main() -> Result<(), Box<dyn Error>> {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("check") => true,
        Some(other) => return Err(format!("`{other}`, expected nothing or `check`").into()),
    };
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no parent folder")?;
    let package = proto.parent().ok_or("no parent folder")?;
    let written = std::env::temp_dir().join(format!("hardnet-proto-{}", std::process::id()));
    fs::create_dir_all(&written)?;
    let descriptors = protox::compile(FILES.map(|(source, _)| source), [proto])?;
    // Elements of BYTES share the memory of their message; maps are written in the order of their keys.
    prost_build::Config::new().bytes(["."]).btree_map(["."]).out_dir(&written).compile_fds(descriptors)?;
    let mut result = Ok(());
    for (source, name) in FILES {
        let text = fs::read_to_string(written.join(name))?;
        let text = format!("// Generated from `proto/{source}` by `proto/generate`; do not edit.\n\n{text}");
        let target = package.join("src/grpc/generated").join(name);
        if !check {
            fs::create_dir_all(target.parent().ok_or("no parent folder")?)?;
            fs::write(&target, text)?;
        } else if fs::read_to_string(&target)? != text {
            result = Err(format!("`{}` is not what `proto/{source}` gives", target.display()).into());
        }
    }
    fs::remove_dir_all(&written)?;
    result
}
