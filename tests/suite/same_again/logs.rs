//! Log lines of requests that come again: each variable in a log of its own, for what one has that keeps a request from
//! being kept would hide the others; and clients that differ though their heads do not.

use super::{Pair, at_once, impersonal, in_turn, timeless};
use crate::harness::{Server, skip_on_nginx};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

/// All that a log_format knows, but what is of time or chance.
const VARIABLES: &str = "args query_string is_args uri document_uri request_uri request request_method \
    request_filename document_root realpath_root host hostname server_name server_addr server_port server_protocol \
    scheme https remote_addr binary_remote_addr remote_user content_length content_type request_body \
    request_body_file request_length request_completion request_port is_request_port status body_bytes_sent \
    bytes_sent connection connection_requests limit_rate pipe nginx_version invalid_referer gzip_ratio \
    limit_conn_status limit_req_status proxy_host proxy_port proxy_add_x_forwarded_for upstream_addr \
    upstream_status upstream_cache_status upstream_response_time upstream_connect_time upstream_header_time \
    upstream_response_length upstream_bytes_sent upstream_bytes_received upload_file_name upload_file_ext \
    upload_file_size upload_file_path upload_files upload_status fastcgi_script_name fastcgi_path_info \
    proxy_protocol_addr proxy_protocol_port proxy_protocol_server_addr proxy_protocol_server_port \
    realip_remote_addr http2 ssl_protocol arg_a http_host http_x_y http_user_agent http_referer http_via cookie_c \
    sent_http_content_type sent_http_content_length sent_http_etag sent_http_last_modified sent_http_connection \
    sent_http_x_one sent_http_location sent_http_accept_ranges sent_http_transfer_encoding sent_http_date \
    sent_http_server sent_http_content_range sent_trailer_t upstream_http_x upstream_cookie_x upstream_trailer_x \
    proxy_protocol_tlv_alpn upload_field_x mapped stored sub";

/// Of these only the shape is the same.
const MOVING: &str = "request_time connection_time msec time_iso8601 time_local date_local date_gmt remote_port pid \
    request_id realip_remote_port tcpinfo_rtt connections_active connections_reading connections_writing \
    connections_waiting";

const ESCAPES: [(&str, &str); 3] = [("", ""), ("json", "escape=json"), ("none", "escape=none")];

const ASKS: [&str; 9] = [
    "GET {P}/f?a=%22b&c HTTP/1.1\r\nHost: A:80\r\nCookie: c=d\"e\r\nX-Y: \u{e4}\\\r\nVia: a\r\nVia: b\r\n\r\n",
    "HEAD {P}/f HTTP/1.1\r\nHost: a\r\nUser-Agent: \r\nReferer: b\r\nReferer: c\r\n\r\n",
    "GET {P}/no\" HTTP/1.1\r\nHost: a\r\nAuthorization: Basic dTpw\r\n\r\n",
    "GET {P}/text.txt HTTP/1.0\r\n\r\n",
    "GET {P}/f HTTP/1.1\r\nHost: x.example\r\nRange: bytes=2-5\r\nConnection: close\r\n\r\n",
    "GET {P}/f HTTP/1.1\r\nHost: a\r\nIf-None-Match: *\r\n\r\n",
    "GET {P}/text.txt HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n",
    "GET {P}/dir/ HTTP/1.1\r\nHost: a\r\n\r\n",
    "\r\nGET http://B{P}//f HTTP/1.1\r\nHost: a\r\n\r\n",
];

#[test]
fn each_variable_is_logged_as_before() {
    if skip_on_nginx("repeat_cache_size is ours") {
        return;
    }
    let (mut formats, mut locations, mut paths) = (String::new(), String::new(), Vec::new());
    for name in VARIABLES.split_whitespace().chain(MOVING.split_whitespace()) {
        for (escape, option) in ESCAPES {
            // All three where escaping may matter.
            if !escape.is_empty()
                && !name.starts_with("http_")
                && !["uri", "args", "request", "cookie_c"].contains(&name)
            {
                continue;
            }
            formats += &format!("log_format {name}{escape} {option} '{name}{escape}=<${{{name}}}>';\n");
            locations += &format!(
                "location ~ ^/{name}{escape}/(.*) {{ root %%DIR%%/html; index index.html; add_header X-One one;
                 alias %%DIR%%/html/files/$1; access_log logs/vars.log {name}{escape}; }}\n"
            );
            paths.push(format!("/{name}{escape}"));
        }
    }
    let locations = locations.replace("root %%DIR%%/html; ", "");
    let mut pair = Pair::new(
        &format!(
            "{formats} map $http_x $mapped {{ default one; }} gzip on; gzip_types text/plain; gzip_min_length 100;
             server {{ listen 127.0.0.1:%%PORT%%; server_name a; set $stored x; {locations} }}
             server {{ listen 127.0.0.1:%%PORT%%; server_name ~^(?<sub>.)\\.example$; {locations} }}"
        )
        .replace("set $stored x;", "location = /never { set $stored x; }"),
        |setup| super::files(setup, "files").allow_log("realpath()"),
    );
    for path in &paths {
        for ask in ASKS {
            let ask = ask.replace("{P}", path);
            let ask = ask.as_bytes();
            pair.same(path, |s| [in_turn(s, 0, b"", &[ask; 3]), at_once(s, 0, &[ask; 3])].concat());
        }
    }
    pair.same_logs(&["logs/vars.log", "logs/error.log"], |line| {
        let moves = MOVING.split_whitespace().any(|name| line.starts_with(&format!("{name}=<")));
        if moves { shape(line) } else { timeless(line) }
    });
}

/// Each run of letters and digits is one x.
fn shape(line: &str) -> String {
    let (name, value) = line.split_once('=').expect("NAME=<VALUE>");
    let mut seen = format!("{name}=");
    for c in value.chars() {
        match c.is_ascii_alphanumeric() {
            true if seen.ends_with('x') => {}
            true => seen.push('x'),
            false => seen.push(c),
        }
    }
    seen
}

/// Heads that are the same, of clients that are not, or on another address.
#[test]
fn who_asks_and_where_is_part_of_the_answer() {
    if skip_on_nginx("repeat_cache_size is ours") {
        return;
    }
    let block = "
        log_format who '$remote_addr:$proxy_protocol_addr:$server_port $request $status';
        log_format plain '$remote_addr $server_port $request $status $connection_requests';
        server { listen 127.0.0.1:%%PORT0%%; root %%DIR%%/html/one; access_log logs/plain.log plain; }
        server { listen 127.0.0.1:%%PORT1%%; root %%DIR%%/html/two; access_log logs/plain.log plain; }
        server { listen 127.0.0.1:%%PORT2%% proxy_protocol; root %%DIR%%/html/one; access_log logs/who.log who; }
        server { listen 127.0.0.1:%%PORT3%% proxy_protocol; root %%DIR%%/html/one; set_real_ip_from 127.0.0.1;
                 real_ip_header proxy_protocol; access_log logs/plain.log plain; }
        server { listen unix:%%DIR%%/socket; root %%DIR%%/html/two; access_log logs/plain.log plain; }";
    let mut pair =
        Pair::new(block, |setup| super::files(super::files(setup, "one"), "two").file("html/two/f", "of two"));
    for ask in ["GET /f HTTP/1.1\r\nHost: a\r\n\r\n", "GET /no HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let ask = ask.as_bytes();
        for port in [0, 1, 0, 1] {
            pair.same("two ports", |s| in_turn(s, port, b"", &[ask; 3]));
        }
        for address in ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"] {
            let proxy = format!("PROXY TCP4 {address} 127.0.0.1 123 80\r\n");
            for port in [2, 3] {
                pair.same(&proxy, |s| in_turn(s, port, proxy.as_bytes(), &[ask; 4]));
            }
        }
        pair.same("a local socket", |s| (0..4).map(|_| local(s, ask)).collect());
        pair.same("a port again", |s| in_turn(s, 1, b"", &[ask; 3]));
    }
    pair.same_logs(&["logs/plain.log", "logs/who.log", "logs/error.log"], timeless);
}

/// Twice in one write, over the Unix socket.
fn local(server: &Server, ask: &[u8]) -> String {
    let mut stream = UnixStream::connect(server.path("socket")).expect("the server answered before");
    stream.write_all(&[ask, ask].concat()).expect("there is room");
    stream.shutdown(std::net::Shutdown::Write).expect("it is connected");
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("answers");
    let text = impersonal(&String::from_utf8_lossy(&bytes), server);
    text.lines().filter(|line| !line.starts_with("Date: ")).collect::<Vec<_>>().join("\n")
}

/// One socket that listens on every address, and a server that is for one of them.
#[test]
fn an_address_among_all_is_told_from_the_others() {
    if skip_on_nginx("repeat_cache_size is ours") {
        return;
    }
    let block = "server { listen %%PORT%%; root %%DIR%%/html/one; }
                 server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html/two; }";
    let pair = Pair::new(block, |setup| {
        super::files(super::files(setup, "one"), "two").file("html/two/f", "of two").wildcard()
    });
    let ask = |s: &Server, host: [u8; 4]| {
        let mut client = crate::client::Client::connect((host, s.port()).into());
        (0..4).map(|_| super::shown(&client.get("/f"), s)).collect::<Vec<_>>()
    };
    for _ in 0..2 {
        for host in [[127, 0, 0, 1], [127, 0, 0, 2]] {
            pair.same(&format!("{host:?}"), |s| ask(s, host));
        }
    }
}

#[test]
fn held_lines_are_the_same() {
    if skip_on_nginx("repeat_cache_size is ours") {
        return;
    }
    let block = "server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html/one; access_log logs/held.log combined buffer=4k flush=1h; }";
    let mut pair = Pair::new(block, |setup| super::files(setup, "one"));
    let asks: Vec<String> =
        ["f", "no", "text.txt"].map(|path| format!("GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n")).to_vec();
    let asks: Vec<&[u8]> = asks.iter().cycle().take(90).map(String::as_bytes).collect();
    pair.same("one by one", |s| in_turn(s, 0, b"", &asks));
    pair.same("at once", |s| at_once(s, 0, &asks));
    pair.same_logs(&["logs/held.log"], timeless);
}
