//! Every environment variable the program reads.

/// The device to compute on, as `--device`.
pub(crate) const DEVICE: &str = "HARDNET_DEVICE";
/// Threads of the network, as `--threads`.
pub(crate) const THREADS: &str = "HARDNET_THREADS";
/// Set to anything: progress as lines, never as a bar.
pub(crate) const NO_PROGRESS: &str = "HARDNET_NO_PROGRESS";

/// Candle's own variables, which decide how many threads it starts.
const CANDLE_THREADS: [&str; 2] = ["RAYON_NUM_THREADS", "CANDLE_NUM_THREADS"];

/// Name and meaning of each, as `hardnet env` prints them.
pub(crate) const TABLE: [(&str, &str); 8] = [
    (DEVICE, "device to compute on, as --device"),
    (THREADS, "threads of the network, as --threads"),
    (NO_PROGRESS, "if set, progress as lines instead of a bar"),
    ("RAYON_NUM_THREADS", "threads of Candle where --threads is not given"),
    ("HF_HOME", "folder of the Hugging Face cache"),
    ("HF_HUB_CACHE", "folder of its downloads, before HF_HOME"),
    ("HF_ENDPOINT", "address of the Hub"),
    ("HF_HUB_OFFLINE", "if set and not 0, hf:// addresses are taken from the cache only"),
];

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
