//! libFuzzer's door to `webserv_fuzz::proxy_protocol`; what is checked stands there.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| webserv_fuzz::proxy_protocol(data));
