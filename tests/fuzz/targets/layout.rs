//! libFuzzer's door to `webserv_fuzz::layout`; what is checked stands there.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webserv_fuzz::layout(data));
