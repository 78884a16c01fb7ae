#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    hardnet_fuzz::serve(bytes);
});
