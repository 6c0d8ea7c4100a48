//! libFuzzer's door to `webserv_fuzz::response`; what is checked stands there.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webserv_fuzz::response(data));
