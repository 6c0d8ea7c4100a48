//! `webserv explain` of requests that come by HTTP/2.

use crate::explain::said;
use crate::harness::{Setup, skip_on_nginx};

/// A rule by `$server_protocol`, what HTTP/2 refuses, and fields that are HTTP/1's.
#[test]
fn a_request_by_http2_is_explained_as_one() {
    if skip_on_nginx("explain") {
        return;
    }
    let config = "http2 on;\nmap $server_protocol $by { default old; HTTP/2.0 new; }\nserver {\n    \
                  listen 127.0.0.1:%%PORT%%;\n    location / { add_header X-By $by$http2 always; return 404; }\n}\n";
    let line = "127.0.0.1 - - [27/Nov/2026:04:23:34 +0000] \"GET /x HTTP/2.0\" 404 9 \"-\" \"curl\"";
    let setup = Setup::full(config).file("access.log", format!("{line}\n"));
    let explain = |args: &[&str]| said(&setup, &[&["explain", "conf/test.conf"], args].concat());
    for (name, args, has, lacks) in [
        ("HTTP/1.1", &["/x"][..], "X-By: old", "x-by"),
        ("HTTP/2", &["/x", "--http2"], "x-by: newh2c", "onnection: "),
        ("refused", &["/x", "--http2", "-H", "Connection: close"], "answer     400 Bad Request", "x-by"),
        ("of a log", &["--log", "access.log", line], "x-by: newh2c", "onnection: "),
    ] {
        let text = explain(args);
        assert!(text.contains(has) && !text.contains(lacks), "{name}: {text}");
    }
    let without = Setup::full("server { listen 127.0.0.1:%%PORT%%; http2 off; return 204; }\n");
    let out = without.run(&["explain", "conf/test.conf", "/", "--http2"]);
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(!out.status.success() && errors.contains("HTTP/2 is not spoken on 127.0.0.1:"), "{errors}");
}
