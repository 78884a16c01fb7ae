//! Writes the types and the descriptors of `proto/*.proto` to `src/grpc/generated/`:
//!
//! ```sh
//! cargo run --locked --manifest-path crates/hardnet-serve/proto/generate/Cargo.toml [-- check]
//! ```
//!
//! With `check` it writes nothing, and fails if the files there are others.
//!
//! `proto/hashes.txt` lists what it reads and writes, so that `cargo xtask check` sees what is not up to date without
//! building this program.

mod descriptors;
mod hashes;

use std::error::Error;
use std::fs;
use std::path::Path;

/// Files in `proto/`, and the files of their types.
const TYPES: [(&str, &str); 3] = [
    ("inference.proto", "inference.rs"),
    ("health.proto", "grpc.health.v1.rs"),
    ("reflection.proto", "grpc.reflection.v1.rs"),
];

/// The file of reflection's older package, which is made from the newer one's.
const OLDER: &str = "reflection_v1alpha.proto";

fn main() -> Result<(), Box<dyn Error>> {
    let check = match std::env::args().nth(1).as_deref() {
        None => false,
        Some("check") => true,
        Some(other) => return Err(format!("`{other}`, expected nothing or `check`").into()),
    };
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).parent().ok_or("no parent folder")?;
    let package = proto.parent().ok_or("no parent folder")?;
    let temporary = std::env::temp_dir().join(format!("hardnet-proto-{}", std::process::id()));
    fs::create_dir_all(&temporary)?;
    let made = generate(proto, &temporary);
    fs::remove_dir_all(&temporary)?;
    let generated = package.join("src/grpc/generated");
    fs::create_dir_all(&generated)?;
    for (name, content) in made? {
        let target = generated.join(name);
        if !check {
            fs::write(&target, content)?;
        } else if fs::read_to_string(&target).ok() != Some(content) {
            return Err(format!("`{}` is not what `proto/` gives", target.display()).into());
        }
    }
    let list = proto.join("hashes.txt");
    let hashes = hashes::list(package)?;
    if !check {
        fs::write(list, hashes)?;
    } else if fs::read_to_string(&list).ok() != Some(hashes) {
        return Err(format!("`{}` is not the list of the files that there are", list.display()).into());
    }
    Ok(())
}

/// The generated files of the folder `proto`.
fn generate(proto: &Path, temporary: &Path) -> Result<Vec<(&'static str, String)>, Box<dyn Error>> {
    let types = protox::compile(TYPES.map(|(source, _)| source), [proto])?;
    // Elements of BYTES share the memory of their message; maps are written in the order of their keys.
    prost_build::Config::new().bytes(["."]).btree_map(["."]).out_dir(temporary).compile_fds(types)?;
    let mut files = Vec::new();
    for (source, name) in TYPES {
        let text = fs::read_to_string(temporary.join(name))?;
        files.push((name, format!("// Generated from `proto/{source}` by `proto/generate`; do not edit.\n\n{text}")));
    }
    let newer = fs::read_to_string(proto.join("reflection.proto"))?;
    fs::write(temporary.join(OLDER), newer.replace("grpc.reflection.v1", "grpc.reflection.v1alpha"))?;
    let sources = TYPES.map(|(source, _)| source).into_iter().chain([OLDER]);
    files.push(("descriptors.rs", descriptors::source(protox::compile(sources, [proto, temporary])?)?));
    Ok(files)
}
