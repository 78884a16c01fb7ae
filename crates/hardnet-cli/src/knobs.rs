//! Every environment variable that the program reads.

use std::path::PathBuf;

use hardnet_data::LAUNCHER_VARIABLES;
use hardnet_simd::Isa;

use crate::failure::{Hinted, Result};

/// The device, as `--device`.
pub(crate) const DEVICE: &str = "HARDNET_DEVICE";
/// Threads of the network, as `--threads`.
pub(crate) const THREADS: &str = "HARDNET_THREADS";
/// If set, progress is printed as lines instead of a bar.
const NO_PROGRESS: &str = "HARDNET_NO_PROGRESS";

/// If set and not 0, downloads show no bar.
const NO_DOWNLOAD_BARS: &str = "HF_HUB_DISABLE_PROGRESS_BARS";

/// Folder of the caches.
const CACHE: &str = "HARDNET_CACHE";

/// Candle's own variables for its number of threads.
const CANDLE_THREADS: [&str; 2] = ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"];

/// Name and meaning of each variable but those of launchers.
const TABLE: &[(&str, &str)] = &[
    (DEVICE, "device, as --device"),
    (THREADS, "threads of the network, as --threads"),
    (
        hardnet_simd::ISA_ENV_VAR,
        "instruction set of the kernels: portable; avx2, avxvnni, avx512 or avx512vnni; neon, neondotprod or neoni8mm \
         [default: the best]",
    ),
    (NO_PROGRESS, "if set, show progress as lines instead of a bar"),
    (CACHE, "cache folder: weights and indices of archives [default: `hardnet` in the user's cache folder]"),
    ("XDG_CACHE_HOME", "the user's cache folder [default: `.cache` in the home folder]"),
    ("RAYON_NUM_THREADS", "threads of the network without --threads and HARDNET_THREADS"),
    ("HF_HOME", "folder of the Hugging Face cache"),
    ("HF_HUB_CACHE", "folder of its downloads; takes precedence over HF_HOME"),
    ("HUGGINGFACE_HUB_CACHE", "older name of HF_HUB_CACHE"),
    ("HF_ENDPOINT", "URL of the Hub"),
    ("HF_HUB_OFFLINE", "if 1, on, yes or true, make no network requests, as --offline"),
    ("HF_HUB_DOWNLOAD_TIMEOUT", "timeout of a read, in seconds [default: 10]"),
    ("HF_TOKEN", "access token of the Hub; it is sent to no other host"),
    ("HUGGING_FACE_HUB_TOKEN", "older name of HF_TOKEN"),
    ("HF_HUB_DISABLE_IMPLICIT_TOKEN", "if 1, on, yes or true, send no token"),
    ("HF_TOKEN_PATH", "file of the token if HF_TOKEN is not set [default: `token` in HF_HOME]"),
    (NO_DOWNLOAD_BARS, "if set and not 0, show no bar for downloads"),
    ("HARDNET_HUB_OWNER", "owner of the Hub repositories that are tried first for a tag"),
    ("HTTPS_PROXY", "proxy for https://, also socks5://; lower case works too, as for the next three"),
    ("HTTP_PROXY", "proxy for http://"),
    ("ALL_PROXY", "proxy if the one of the scheme is not set"),
    ("NO_PROXY", "hosts and domains that bypass the proxy, separated by commas"),
];

/// Name and meaning of each variable, as `hardnet env` prints them.
pub(crate) fn table() -> impl Iterator<Item = (&'static str, &'static str)> {
    TABLE.iter().chain(LAUNCHER_VARIABLES).copied()
}

/// The value of a variable of a launcher.
pub(crate) fn launcher_variable(name: &str) -> Option<String> {
    debug_assert!(LAUNCHER_VARIABLES.iter().any(|(known, _)| *known == name), "`{name}` is listed");
    std::env::var(name).ok()
}

/// Variables that may hold a secret.
const SECRETS: [&str; 5] = ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"];

/// The value of a variable of the [`table`], with secrets hidden.
pub(crate) fn redacted_value(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    Some(if SECRETS.contains(&name) && !value.is_empty() { "(hidden)".into() } else { value })
}

/// The cache folder: [`CACHE`], or the one of the user; `None` for a user without a home.
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

/// The instruction set of the kernels, from [`hardnet_simd::ISA_ENV_VAR`]. An error if the processor lacks it.
pub(crate) fn isa() -> Result<Isa> {
    Isa::from_environment().hint(|| format!("set or unset {}", hardnet_simd::ISA_ENV_VAR))
}

/// Makes Candle use `threads` threads, by default not more than there are processors that this process may use: Candle
/// counts the cores of the machine, also in a container or under an affinity that allows fewer. Must be called before
/// any other thread exists.
#[allow(unsafe_code)]
pub(crate) fn set_threads(threads: Option<usize>) {
    let usable = || {
        let usable = std::thread::available_parallelism().map_or(1, usize::from);
        (std::env::var_os(CANDLE_THREADS[0]).is_none() && usable < self::threads()).then_some(usable)
    };
    if let Some(threads) = threads.or_else(usable) {
        for name in CANDLE_THREADS {
            // SAFETY: `main` calls this first, while the program has one thread; no other thread reads the environment.
            unsafe { std::env::set_var(name, threads.to_string()) };
        }
    }
}

/// Number of threads of the network: by [`set_threads`], else by Candle's variable, else one for each physical core.
pub(crate) fn threads() -> usize {
    candle_core::utils::get_num_threads()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_instruction_sets_of_the_processor_are_named() {
        let (_, meaning) =
            TABLE.iter().find(|(name, _)| *name == hardnet_simd::ISA_ENV_VAR).expect("the variable is listed");
        for isa in hardnet_simd::Isa::available() {
            assert!(meaning.contains(isa.name()), "{isa} is missing in: {meaning}");
        }
    }
}
