//! Serves files on the loopback interface as the Hugging Face Hub does, for any program to download them from:
//!
//! ```sh
//! cargo run -p hardnet-tests --bin serve-hub -- someone/net/model.safetensors=weights.safetensors
//! ```
//!
//! It prints the value for `HF_ENDPOINT`, then obeys the lines of its standard input and ends with it:
//!
//! * `stall BYTES`, `cut BYTES`: the next large file falls silent, or is broken off, after so many bytes;
//! * `requests`: prints, as a line of JSON, how often the Hub itself was asked, and with which range each large file
//!   was.

use std::io::{BufRead, Write, stdin, stdout};

use anyhow::{Context, Result, bail};
use hardnet_testing::file_host::Fault;
use hardnet_testing::hub_host::HubHost;

/// From so many bytes on a file is answered by a redirect to another host, as the Hub answers what git does not hold.
const LARGE: usize = 1 << 20;

fn main() -> Result<()> {
    let hub = HubHost::start();
    for argument in std::env::args().skip(1) {
        put(&hub, &argument)?;
    }
    writeln!(stdout(), "{}", hub.endpoint())?;
    for line in stdin().lock().lines() {
        obey(&hub, &line?)?;
    }
    Ok(())
}

/// Serves the file of `OWNER/NAME/FILE=PATH`.
fn put(hub: &HubHost, argument: &str) -> Result<()> {
    let usage = "usage: serve-hub OWNER/NAME/FILE=PATH...";
    let (address, path) = argument.split_once('=').context(usage)?;
    let at = address.match_indices('/').nth(1).context(usage)?.0;
    let (repository, file) = (&address[..at], &address[at + 1..]);
    let bytes = std::fs::read(path).with_context(|| format!("cannot read `{path}`"))?;
    if bytes.len() < LARGE {
        hub.put_small(repository, file, &bytes);
    } else {
        hub.put_large(repository, file, &bytes);
    }
    Ok(())
}

fn obey(hub: &HubHost, line: &str) -> Result<()> {
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["stall", bytes] => hub.content().fail([Fault::StallAfter(bytes.parse()?)]),
        ["cut", bytes] => hub.content().fail([Fault::CutAfter(bytes.parse()?)]),
        ["requests"] => {
            let ranges: Vec<_> = hub.content().requests().iter().map(|r| r.header("range").map(String::from)).collect();
            writeln!(stdout(), "{}", serde_json::json!({ "hub": hub.requests().len(), "large": ranges }))?;
        }
        _ => bail!("unknown command `{line}`"),
    }
    Ok(())
}
