//! What variables and logs show of unusual requests and answers over HTTP/2: as nginx 1.31 does.

use super::client::{H2, raw};
use super::rules::{END, REQUEST, block, literal};
use crate::harness::http;
use webserv::http::h2::frame::kind;

#[test]
fn variables_of_refused_requests_trailers_and_crumbs_are_as_in_nginx() {
    let s = http(
        "http2 on;
         log_format of '$request_uri $request_method $status $body_bytes_sent<$http_cookie>';
         access_log logs/of.log of;
         server {
             listen 127.0.0.1:%%PORT%%;
             root %%DIR%%/html;
             location /trailers { add_trailer X-Sum abc; return 200 12345; }
             location /crumbs { return 200 12345; }
             location /close { return 444; }
         }",
    )
    .start();
    let request = |method, path, more: &[u8]| {
        let fields = [(":method", method), REQUEST[1], (":path", path), REQUEST[3]];
        raw(kind::HEADERS, END, 1, &[&block(&fields), more].concat())
    };
    let crumbs = [literal(b"cookie", b""), literal(b"cookie", b"a=b")].concat();
    let table: [(Vec<u8>, u16, Option<u32>, &str); 4] = [
        // Its trailers are no part of the body.
        (request("GET", "/trailers", b""), 200, None, "/trailers GET 200 5<->"),
        // A request that broke a rule has its method still.
        (request("DELETE", "/refused", &literal(b"connection", b"close")), 400, None, "/refused DELETE 400 "),
        (request("GET", "/crumbs", &crumbs), 200, None, "/crumbs GET 200 5<; a=b>"),
        (request("GET", "/close", b""), 0, Some(1), "/close GET 444 0<->"),
    ];
    for (sent, status, reset, logged) in table {
        let mut c = H2::connect(s.address(0));
        c.send(&sent);
        let answer = c.answer(1);
        assert_eq!((answer.status, answer.reset), (status, reset), "{logged}: {answer:?}");
        s.await_file("logs/of.log", |log| log.contains(logged));
    }
}
