//! Requests in every form that RFC 9113 §8 and RFC 9110 speak of: targets, methods, hosts, lengths, each byte of names
//! and values; CONNECT, trailers, priorities (RFC 9218); and what is counted of streams that are gone.

use super::client::{H2, head, raw};
use super::rules::*;
use super::tunnel::chat;
use super::{connect, site};
use crate::harness::{eventually, http};
use crate::upstream::Upstream;
use webserv::http::h2::frame::{flag, kind};

const METHOD: (&str, &str) = REQUEST[0];
const SCHEME: (&str, &str) = REQUEST[1];
const PATH: (&str, &str) = REQUEST[2];
const HOST: (&str, &str) = REQUEST[3];

fn path(path: &'static str) -> Vec<u8> {
    only(&[METHOD, SCHEME, (":path", path), HOST])
}

fn method(method: &'static str) -> Vec<u8> {
    only(&[(":method", method), SCHEME, PATH, HOST])
}

fn scheme(scheme: &'static str) -> Vec<u8> {
    only(&[METHOD, (":scheme", scheme), PATH, HOST])
}

/// `:authority` and Host.
fn hosts(authority: &'static str, host: &'static str) -> Vec<u8> {
    only(&[METHOD, SCHEME, PATH, (":authority", authority), ("host", host)])
}

fn length(value: &'static str, body: &[u8]) -> Vec<u8> {
    [post(&[("content-length", value)]), raw(0, 1, 1, body)].concat()
}

fn trailers(fields: &[(&str, &str)]) -> Vec<u8> {
    [post(&[]), raw(0, 0, 1, b"x"), raw(1, END, 1, &block(fields))].concat()
}

#[test]
fn targets_methods_and_hosts_in_every_form() {
    check(
        "request forms",
        vec![
            ("8.3.1 OPTIONS of *", only(&[(":method", "OPTIONS"), SCHEME, (":path", "*"), HOST]), Status(204)),
            ("8.3.1 GET of *", path("*"), Status(400)),
            ("8.3.1 an absolute URI as :path", path("http://a.test/small"), Status(400)),
            ("8.3.1 //", path("//small"), Status(200)),
            ("8.3.1 a query", path("/small?a=%20&b"), Status(200)),
            ("8.3.1 an empty query", path("/small?"), Status(200)),
            ("8.3.1 a :path with NUL", path("/small\0"), Status(400)),
            ("8.3.1 a :path with LF", path("/small\nX: y"), Status(400)),
            ("8.3.1 a :path with a tab", path("/small\t"), Status(400)),
            ("8.3.1 a :path that ends with a blank", path("/small "), Status(400)),
            ("8.3.1 a method that is not known", method("FOO"), Status(501)),
            ("8.3.1 a method in lower case is another", method("get"), Status(400)),
            ("8.3.1 an empty :method", method(""), Status(400)),
            ("8.3.1 a :method with LF", method("GET\n"), Status(400)),
            ("8.3.1 an empty :scheme", scheme(""), Status(400)),
            ("8.3.1 a :scheme with a colon", scheme("http:"), Status(400)),
            ("8.3.1 the other scheme, of a proxy", scheme("https"), Status(200)),
            ("8.3.1 hosts that differ in case", hosts("a.test", "A.Test"), Status(200)),
            ("8.3.1 hosts that differ in the scheme's port", hosts("a.test", "a.test:80"), Status(200)),
            ("8.3.1 the same the other way", hosts("a.test:80", "a.test"), Status(200)),
            ("8.3.1 hosts that differ in another port", hosts("a.test", "a.test:81"), Status(400)),
            ("8.3.1 hosts that differ in https's port", hosts("a.test", "a.test:443"), Status(400)),
            ("8.3.1 an empty Host beside :authority", hosts("a.test", ""), Status(400)),
            ("8.3.1 an :authority with a path", hosts("a.test/x", "a.test/x"), Status(400)),
            ("8.3.1 an :authority with a blank", hosts("a test", "a test"), Status(400)),
            ("8.3.1 an :authority whose port is none", hosts("a.test:x", "a.test:x"), Status(400)),
            ("8.3.1 Host twice", with(&[("host", "a.test"), ("host", "a.test")]), Status(400)),
            ("8.3.1 an empty Host alone", only(&[METHOD, SCHEME, PATH, ("host", "")]), Status(400)),
            ("8.3 nothing but a field", only(&[("x", "y")]), Status(400)),
            ("8.3 no field at all", only(&[]), Status(400)),
            ("8.3 pseudo-header fields in another order", only(&[HOST, PATH, SCHEME, METHOD]), Status(200)),
            ("8.3 a pseudo-header field without a name", only(&[METHOD, SCHEME, PATH, HOST, (":", "x")]), Status(400)),
            ("8.3 one in upper case", coded(&literal(b":Path", b"/")), Status(400)),
            ("8.5 CONNECT", only(&[(":method", "CONNECT"), (":authority", "a.test:80")]), Status(405)),
            (
                "RFC 8441 4: :protocol twice",
                only(&[
                    (":method", "CONNECT"),
                    (":protocol", "websocket"),
                    (":protocol", "websocket"),
                    SCHEME,
                    PATH,
                    HOST,
                ]),
                Status(400),
            ),
            (
                "RFC 8441 4: :protocol without :path",
                only(&[(":method", "CONNECT"), (":protocol", "websocket"), SCHEME, HOST]),
                Status(400),
            ),
            (
                "RFC 8441 4: :protocol without :scheme",
                only(&[(":method", "CONNECT"), (":protocol", "websocket"), PATH, HOST]),
                Status(400),
            ),
            (
                "RFC 8441 4: :protocol without :authority",
                only(&[(":method", "CONNECT"), (":protocol", "websocket"), SCHEME, PATH]),
                Status(400),
            ),
        ],
    );
}

#[test]
fn lengths_and_trailers_in_every_form() {
    check(
        "lengths and trailers",
        vec![
            ("8.1.1 a length as it is", length("2", b"ab"), Status(201)),
            ("8.1.1 a length with zeros before it", length("002", b"ab"), Status(201)),
            ("8.1.1 a list of lengths", length("2, 2", b"ab"), Status(400)),
            ("8.1.1 an empty length", length("", b""), Status(400)),
            ("8.1.1 a length below 0", length("-1", b""), Status(400)),
            ("8.1.1 a length in other digits", length("0x2", b"ab"), Status(400)),
            ("8.1.1 a length beyond 64 bits", length("18446744073709551618", b"ab"), Status(400)),
            (
                "8.1.1 the same length twice",
                [post(&[("content-length", "1"), ("content-length", "1")]), raw(0, 1, 1, b"a")].concat(),
                Status(400),
            ),
            ("8.1.1 content where the length is 0", length("0", b"a"), Status(400)),
            (
                "8.1 empty frames of DATA are no content",
                [post(&[("content-length", "1")]), raw(0, 0, 1, b""), raw(0, 1, 1, b"a")].concat(),
                Status(201),
            ),
            ("8.1 the largest frame of DATA", [post(&[]), raw(0, 1, 1, &[b'x'; 16_384])].concat(), Status(201)),
            (
                "8.1 the largest frame of HEADERS",
                raw(1, END | 8, 1, &[&[255][..], &block(&REQUEST), &vec![0; 255]].concat()),
                Status(200),
            ),
            ("8.1 an empty trailer section", trailers(&[]), Status(201)),
            ("8.1 trailers at once", [post(&[]), raw(1, END, 1, &block(&[("x", "y")]))].concat(), Status(201)),
            (
                "8.1 trailers in two frames",
                [post(&[]), raw(1, 1, 1, &block(&[("x", "y")])), raw(9, 4, 1, &block(&[("y", "z")]))].concat(),
                Status(201),
            ),
            ("8.1 :status in trailers", trailers(&[(":status", "200")]), Status(400)),
            (
                "8.1 a pseudo-header field behind another of trailers",
                trailers(&[("x", "y"), (":path", "/")]),
                Status(400),
            ),
            ("8.2 trailers in upper case", [post(&[]), raw(1, END, 1, &literal(b"X", b"y"))].concat(), Status(400)),
            ("8.2.1 trailers with LF", [post(&[]), raw(1, END, 1, &literal(b"x", b"a\nb"))].concat(), Status(400)),
            ("8.2.2 TE in trailers", trailers(&[("te", "gzip")]), Status(400)),
            ("8.2.2 Transfer-Encoding in trailers", trailers(&[("transfer-encoding", "chunked")]), Status(400)),
            ("8.1 Host in trailers", trailers(&[("host", "a.test")]), Status(400)),
            (
                "8.1 trailers behind trailers",
                [
                    window_closed(),
                    post(&[]),
                    raw(1, END, 1, &block(&[("x", "y")])),
                    raw(1, END, 1, &block(&[("x", "y")])),
                ]
                .concat(),
                Reset(STREAM_CLOSED),
            ),
            ("8.2.2 TE: trailers in other case", with(&[("te", "Trailers")]), Status(200)),
            ("8.2.2 an empty TE", with(&[("te", "")]), Status(400)),
            ("8.2.2 TE with a weight", with(&[("te", "trailers;q=1")]), Status(400)),
            ("8.2.2 HTTP2-Settings mean nothing", with(&[("http2-settings", "AAMAAABk")]), Status(200)),
            (
                "6.5.3 settings count in their order",
                [raw(4, 0, 0, &[0, 4, 0, 0, 0, 0, 0, 4, 0, 0, 0xff, 0xff]), get(1)].concat(),
                Status(200),
            ),
            ("6.5 empty SETTINGS", [raw(4, 0, 0, b""), get(1)].concat(), Status(200)),
            ("RFC 9218 2.1 another value than 0 and 1", settings(9, 2), Goaway(PROTOCOL)),
            ("RFC 8441 3 another value than 0 and 1", settings(8, 2), Goaway(PROTOCOL)),
            ("6.5.2 a table of any size", [settings(1, u32::MAX), settings(1, 0), get(1)].concat(), Status(200)),
            ("6.5.2 no streams of ours", [settings(3, 0), get(1)].concat(), Status(200)),
            ("6.5.2 the largest frames", [settings(5, (1 << 24) - 1), get(1)].concat(), Status(200)),
            ("6.5.2 a head list of nothing is advice", [settings(6, 0), get(1)].concat(), Status(200)),
            ("5.4.2 a reset is not answered by one", [window_closed(), get(1), reset(1), reset(1)].concat(), Ignored),
            ("6.4 a reset of a stream of the server's", reset(2), Goaway(PROTOCOL)),
            ("6.9 a window of a stream of the server's", window(2, 1), Goaway(PROTOCOL)),
            ("RFC 9218 7.1 a priority of a push", raw(16, 0, 0, b"\0\0\0\x02u=1"), Goaway(PROTOCOL)),
            ("RFC 9218 7.1 a priority of stream 0", raw(16, 0, 0, b"\0\0\0\0u=1"), Goaway(PROTOCOL)),
            ("RFC 9218 7.1 a priority on a stream", raw(16, 0, 1, b"\0\0\0\x01u=1"), Goaway(PROTOCOL)),
            ("RFC 9218 7.1 a priority that is cut off", raw(16, 0, 0, b"\0\0\0"), Goaway(FRAME_SIZE)),
            (
                "RFC 9218 7.1 a priority before its stream",
                [raw(16, 0, 0, b"\0\0\0\x01u=1"), get(1)].concat(),
                Status(200),
            ),
            (
                "RFC 9218 7.1 a priority of a stream that has ended",
                [get(1), raw(16, 0, 0, b"\0\0\0\x01u=1")].concat(),
                Status(200),
            ),
            (
                "RFC 9218 4 a priority that is none",
                [raw(16, 0, 0, b"\0\0\0\x01\xff(("), with(&[("priority", "u=99, i=3;;")])].concat(),
                Status(200),
            ),
        ],
    );
}

#[test]
fn each_byte_of_a_name_and_of_a_value_is_judged() {
    let s = site("keepalive_glitches 0; keepalive_requests 10000;");
    let mut c = connect(&s);
    let mut ask = |name: &[u8], value: &[u8]| {
        let stream = c.next_stream();
        let fields = [block(&REQUEST), literal(name, value)].concat();
        c.send(&raw(kind::HEADERS, END, stream, &fields));
        c.answer(stream).status
    };
    for byte in 0..=255u8 {
        let is_token = byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let wanted = if is_token { 200 } else { 400 };
        for name in [&[b'x', byte, b'y'][..], &[byte, b'y'], &[b'x', byte]] {
            assert_eq!(ask(name, b"v"), wanted, "byte {byte} in the name {name:?}");
        }
        let is_text = byte == b'\t' || byte == b' ' || byte > b' ' && byte != 0x7f;
        assert_eq!(ask(b"x", &[b'a', byte, b'b']), if is_text { 200 } else { 400 }, "byte {byte} in a value");
        let is_edge = is_text && !matches!(byte, b'\t' | b' ');
        for value in [&[byte, b'b'][..], &[b'a', byte], &[byte]] {
            assert_eq!(ask(b"x", value), if is_edge { 200 } else { 400 }, "byte {byte} at the edge of {value:?}");
        }
    }
    assert_eq!(ask(b"x", b""), 200, "an empty value");
}

#[test]
fn an_upstream_hears_the_authority_however_host_is_written() {
    let up = Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let s = site(&format!("location /up {{ proxy_pass http://{}; proxy_set_header Host $http_host; }}", up.address));
    let mut c = connect(&s);
    let stream = c.request("GET", "/up", &[("host", "A.TEST:80")], true);
    assert_eq!(c.answer(stream).status, 200);
    assert_eq!(up.last().all("host"), ["a.test"]);
}

#[test]
fn a_tunnel_has_no_trailers() {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let s = site(&chat(upstream.local_addr().expect("bound")));
    let mut c = connect(&s);
    let fields = [(":method", "CONNECT"), (":protocol", "websocket"), SCHEME, (":path", "/chat"), HOST];
    c.send(&raw(kind::HEADERS, OPEN, 1, &block(&fields)));
    let (_peer, _) = upstream.accept().expect("a request");
    // 8.5: frames other than DATA and those that manage the stream are errors of the stream.
    c.send(&raw(kind::HEADERS, END, 1, &block(&[("x", "y")])));
    assert_eq!(c.answer(1).reset, Some(PROTOCOL));
    c.send(&get(101));
    assert_eq!(c.answer(101).status, 200);
}

/// RFC 9218 §7: what PRIORITY_UPDATE says counts more than the field, be it before the request or behind it.
#[test]
fn a_priority_may_come_before_its_request() {
    let s = site("");
    let mut c = connect(&s);
    c.send(&[window_closed(), head(1, "GET", "/large", &[("priority", "u=4")], true)].concat());
    c.until(|frame| frame.header.kind == kind::HEADERS).expect("a head");
    c.send(&[&raw(16, 0, 0, b"\0\0\0\x03u=5")[..], &head(3, "GET", "/large?3", &[("priority", "u=0")], true)].concat());
    c.until(|frame| frame.header.kind == kind::HEADERS && frame.header.stream == 3).expect("a head");
    c.send(&settings(4, 1 << 20));
    let first = c.until(|frame| frame.header.kind == kind::DATA).expect("DATA");
    assert_eq!(first.header.stream, 1, "the other was said to be less urgent");
}

/// §6.9: DATA counts against the connection's window whatever becomes of its stream, and is given back.
#[test]
fn the_connection_s_window_outlives_streams_that_are_refused_reset_or_cut() {
    let s = site(
        "client_max_body_size 100k; keepalive_glitches 0;
         location /up/ { upload_store %%DIR%%/store; allowed_methods PUT; }",
    );
    let mut c = connect(&s);
    let piece = [b'x'; 16_000];
    // 24 MB, six times as much as the window.
    for round in 0..500 {
        let stream = c.next_stream();
        match round % 4 {
            // Few: how many there may be depends on the time they take.
            2 if round % 16 == 2 => c.send(&[head(stream, "PUT", "/up/f", &[], false), reset(stream)].concat()),
            // Too long already by its length; what comes is not wanted.
            0 | 2 => c.send(&head(stream, "PUT", "/up/f", &[("content-length", "9000000")], false)),
            1 => c.send(&head(stream, "GET", "/missing", &[], false)),
            _ => c.send(&head(stream, "PUT", "/up/f", &[("content-length", "1")], false)),
        }
        for _ in 0..3 {
            while c.room(0) < piece.len() {
                c.until(|frame| frame.header.kind == kind::WINDOW_UPDATE).expect("a window");
            }
            c.count(piece.len());
            c.send(&raw(kind::DATA, 0, stream, &piece));
        }
        if round % 4 == 3 {
            c.frame(kind::DATA, flag::END_STREAM, stream, b"");
        }
        if round % 10 == 9 {
            // A good one: what was reset is not to be all there is.
            assert_eq!(c.get("/small").status, 200);
        }
    }
    assert_eq!(c.get("/small").text(), "small");
    eventually("nothing is kept", || std::fs::read_dir(s.path("store")).is_ok_and(|dir| dir.count() == 0));
}

#[test]
fn an_upstream_that_switches_unasked_is_no_answer() {
    let up = Upstream::always("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n");
    let s = http(&format!(
        "http2 on; server {{ listen 127.0.0.1:%%PORT%%; location / {{ proxy_pass http://{}; }} }}",
        up.address
    ))
    .start();
    // 8.6: there is no 101.
    let answer = H2::connect(s.address(0)).get("/");
    assert!(answer.status == 502 && answer.interim.is_empty(), "{answer:?}");
}

#[test]
fn how_many_fields_a_request_may_have_is_its_servers_word() {
    let s = http(
        "http2 on;
         server { listen 127.0.0.1:%%PORT%%; server_name few; max_headers 3; return 200 few; }
         server { listen 127.0.0.1:%%PORT%%; server_name many; return 200 many; }
         server { listen 127.0.0.1:%%PORT%%; server_name one; max_headers 1; return 200 one; }",
    )
    .start();
    let more: Vec<String> = (0..20).map(|at| format!("x-{at}")).collect();
    for (name, host, count, status) in [
        ("as many as the default server takes", "few", 3, 200),
        ("one more", "few", 4, 400),
        ("a server that takes more", "many", 20, 200),
        ("a server that takes fewer", "one", 1, 200),
        ("than there are", "one", 2, 400),
    ] {
        let fields: Vec<_> = more[..count].iter().map(|name| (name.as_str(), "x")).collect();
        let mut c = connect(&s);
        c.send(&only(&[&[METHOD, SCHEME, PATH, (":authority", host)][..], &fields].concat()));
        assert_eq!(c.answer(1).status, status, "{name}");
    }
}
