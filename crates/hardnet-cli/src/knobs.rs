//! Every environment variable the program reads.

use std::path::PathBuf;

use hardnet_simd::Isa;

use crate::failure::{Hinted, Result};

/// The device to compute on, as `--device`.
pub(crate) const DEVICE: &str = "HARDNET_DEVICE";
/// Threads of the network, as `--threads`.
pub(crate) const THREADS: &str = "HARDNET_THREADS";
/// Set to anything: progress as lines, never as a bar.
const NO_PROGRESS: &str = "HARDNET_NO_PROGRESS";

/// Set and not 0: no bar for downloads.
const NO_DOWNLOAD_BARS: &str = "HF_HUB_DISABLE_PROGRESS_BARS";

/// Folder of what can be made anew.
const CACHE: &str = "HARDNET_CACHE";

/// Candle's own variables, which decide how many threads it starts.
const CANDLE_THREADS: [&str; 2] = ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"];

/// Name and meaning of each, as `hardnet env` prints them.
pub(crate) const TABLE: &[(&str, &str)] = &[
    (DEVICE, "device to compute on, as --device"),
    (THREADS, "threads of the network, as --threads"),
    (
        hardnet_simd::VARIABLE,
        "instruction set of the kernels: portable, avx2 or avx512; by default the best that the processor has",
    ),
    (NO_PROGRESS, "if set, progress as lines instead of a bar"),
    (
        CACHE,
        "folder of what can be made anew, as weights and indices of archives; by default `hardnet` in the user's cache folder",
    ),
    ("RAYON_NUM_THREADS", "threads of Candle where --threads is not given"),
    ("HF_HOME", "folder of the Hugging Face cache"),
    ("HF_HUB_CACHE", "folder of its downloads, before HF_HOME"),
    ("HF_ENDPOINT", "address of the Hub"),
    ("HF_HUB_OFFLINE", "if 1, on, yes or true, weights are taken from the caches only, as by --offline"),
    ("HF_HUB_DOWNLOAD_TIMEOUT", "seconds that a host may be silent, by default 10"),
    ("HF_TOKEN", "token of the Hub, shown to no other host"),
    ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "if 1, on, yes or true, no token is shown to anyone"),
    ("HF_TOKEN_PATH", "file of the Hub's token where HF_TOKEN is not set, by default `token` in HF_HOME"),
    (NO_DOWNLOAD_BARS, "if set and not 0, no bar for downloads"),
    ("HARDNET_HUB_OWNER", "owner of repositories on the Hub that tags are asked of first"),
    ("HTTPS_PROXY", "proxy for https, in either case as the next three; also socks5://"),
    ("HTTP_PROXY", "proxy for http"),
    ("ALL_PROXY", "proxy where the one of the scheme is not set"),
    ("NO_PROXY", "hosts that are asked directly, with those below them, separated by commas"),
];

/// Variables whose value may be or hold a secret.
const SECRETS: [&str; 4] = ["HF_TOKEN", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"];

/// The value of a variable of the [`TABLE`] as it may be shown.
pub(crate) fn shown(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    Some(if SECRETS.contains(&name) && !value.is_empty() { "(hidden)".into() } else { value })
}

/// The folder that [`CACHE`] names, or that of the user; `None` for a user without a home.
pub(crate) fn cache_folder() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let of_user = || folder("XDG_CACHE_HOME").or_else(|| Some(std::env::home_dir()?.join(".cache")));
    folder(CACHE).or_else(|| Some(of_user()?.join("hardnet")))
}

/// Whether a progress bar may be shown.
pub(crate) fn shows_bars() -> bool {
    std::env::var_os(NO_PROGRESS).is_none()
}

/// Whether a progress bar may be shown for a download, which Python's `huggingface_hub` has a variable for.
#[cfg(feature = "hub")]
pub(crate) fn shows_download_bars() -> bool {
    std::env::var_os(NO_DOWNLOAD_BARS).is_none_or(|value| value == "0")
}

/// The instruction set of the kernels that the environment gives.
pub(crate) fn isa() -> Result<Isa> {
    Isa::from_environment().hint(|| format!("set or unset {}", hardnet_simd::VARIABLE))
}

/// Makes Candle use `threads` threads. To be called before any other thread exists.
#[allow(unsafe_code)]
pub(crate) fn set_threads(threads: Option<usize>) {
    if let Some(threads) = threads {
        for name in CANDLE_THREADS {
            // SAFETY: `main` calls this first, while the program has one thread, so that nothing reads the environment.
            unsafe { std::env::set_var(name, threads.to_string()) };
        }
    }
}

/// Threads that Candle's CPU backend uses.
pub(crate) fn threads() -> usize {
    candle_core::utils::get_num_threads()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instruction_sets_of_the_processor_are_named() {
        let (_, meaning) =
            TABLE.iter().find(|(name, _)| *name == hardnet_simd::VARIABLE).expect("the variable is listed");
        for isa in hardnet_simd::Isa::available() {
            assert!(meaning.contains(isa.name()), "{isa} is missing in: {meaning}");
        }
    }
}
