//! Rows for the security fixes of nginx 1.31.7 and 1.31.9 (October and November 2026), as far as they concern what we
//! have. (Of what was published before: `nginx_fixes`; of keys of tickets: `tls::ticket`.)

use crate::client::{Client, LIMIT};
use crate::dns::{A, Dns, record};
use crate::harness::{BOTH, Server, Table, http, ours, server, skip_on_nginx};
use crate::http2::client::H2;
use crate::over_tls;
use crate::upstream::Upstream;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use std::io::{Read, Write};
use std::net::TcpStream;
use webserv::http::h2::frame::{PREFACE, kind};

/// CVE-2026-15176 and CVE-2026-125283: the path of a URI that was changed beneath an alias, or of a candidate that is
/// shorter than the location's name.
#[test]
fn a_changed_uri_beneath_an_alias_leads_nowhere_else() {
    let s = server(
        "location /images/long/prefix/ { alias %%DIR%%/area/; rewrite /(secret)$ /$1 break; rewrite /up$ /ab../secret break;
             add_header X-Path $request_filename always; }
         location /set/long/prefix/ { alias %%DIR%%/area/; rewrite ^ /s; set $path $request_filename; return 200 <$path>; }
         location /if/long/prefix/ { alias %%DIR%%/area/; rewrite ^ /s; if (-f $request_filename) { return 200 found; }
             return 200 none; }
         location ~ ^/re/(.*)$ { alias %%DIR%%/area/$1; rewrite ^ /s break; add_header X-Path $request_filename always; }
         location /try/long/prefix/ { alias %%DIR%%/area/; try_files /s /secret $uri =404; }
         location ~ ^/try_re/(.+)$ { alias %%DIR%%/area/$1; try_files /s $uri =404; }
         location /ab { alias %%DIR%%/area/; }
         location /alive { return 200 alive; }",
    )
    .file("area/f", "f")
    .file("secret", "secret")
    .file("html/secret", "of the root")
    .allow_log("\"alias\" cannot be used in location")
    .start();
    let mut table = Table::new("URIs that are changed beneath an alias");
    for (target, statuses) in [
        ("/images/long/prefix/secret", 400..600),
        ("/images/long/prefix/up", 400..600),
        ("/re/f", 400..600),
        ("/try/long/prefix/none", 404..405),
        ("/try_re/none", 404..405),
        ("/ab../secret", 404..405),
    ] {
        table.row(ours("nginx before 1.31.7 writes beyond a buffer"), target, || {
            let r = s.get(target);
            assert!(statuses.contains(&r.status), "{}", r.show());
            assert!(!r.text().contains("secret</") && r.body != b"secret" && r.body != b"of the root", "{}", r.show());
            let path = r.header("x-path").unwrap_or_default();
            assert!(path.is_empty() || std::path::Path::new(path).starts_with(s.path(".")), "{path}");
        });
    }
    table.row(ours("nginx before 1.31.7 writes beyond a buffer"), "the path within a script", || {
        let path = s.get("/set/long/prefix/f").is(200).text();
        assert!(path == "<>" || path == format!("<{}>", s.path("area/").display()), "{path}");
        s.get("/if/long/prefix/f").is(200).body_is("none");
    });
    table.row(BOTH, "found as configured", || {
        s.get("/try/long/prefix/f").is(200).body_is("f");
        s.get("/images/long/prefix/f").is(200).body_is("f");
        s.get("/alive").is(200).body_is("alive");
    });
}

/// CVE-2026-93479: variables whose values change while the string that they are part of is made.
#[test]
fn a_string_of_variables_that_change_is_made_of_what_they_were() {
    let s = http(
        "map $uri $each { volatile; default none; \"~^/(?<first>.)(?<rest>.*)$\" \"$first-$rest\"; }
         map $arg_a $other { volatile; default \"\"; \"~^(.+)$\" $1$1$1; }
         server { listen 127.0.0.1:%%PORT%%;
             location ~ ^/(.)(.*)$ { set $made \"$2$each$other$each$1\"; return 200 \"$made|$1|$2|$request_length$each\"; } }",
    )
    .start();
    let mut table = Table::new("values that change");
    for length in [1, 100, 3000] {
        table.row(BOTH, &format!("{length} bytes"), || {
            let long = "y".repeat(length);
            let text = s.get(&format!("/x{long}?a={long}")).is(200).text();
            assert!(text.len() < 20 * length + 200 && text.contains(&format!("x-{long}")), "{text}");
        });
    }
}

/// CVE-2026-97205: pages with commands, read from a file in pieces by whatever means.
#[test]
fn a_page_with_commands_is_read_as_any_file() {
    let page = "a<!--# include virtual=\"/part\" -->b<!--# include file=\"none\" -->c".repeat(200);
    let s = server("ssi on; ssi_silent_errors on; aio threads; directio 512; output_buffers 1 512;")
        .file("html/page.html", page)
        .file("html/part", "(part)")
        .start();
    let mut table = Table::new("pages with commands in pieces of a file");
    table.row(BOTH, "whole", || {
        let text = s.get("/page.html").is(200).text();
        assert_eq!(text.matches("a(part)b").count(), 200);
        for at in [1, 100, 5000] {
            let mut client = s.client();
            client.send("GET /page.html HTTP/1.1\r\nHost: a\r\n\r\n");
            client.bytes(at);
        }
        s.get("/part").is(200).body_is("(part)");
    });
}

/// CVE-2026-123007: windows that would grow beyond 2^31 - 1 by any sequence of frames, and ones made negative while a
/// response is on its way.
#[test]
fn no_sequence_of_frames_makes_a_window_overflow() {
    const MOST: u32 = 0x7fff_ffff;
    let site = || {
        http("server { listen 127.0.0.1:%%PORT%%; http2 on; root %%DIR%%/html; }")
            .file("html/large", vec![b'x'; 200_000])
            .file("html/small", "small")
            .start()
    };
    let settings = |value: u32| [&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4][..], &value.to_be_bytes()].concat();
    let window = |stream: u32, by: u32| [&[0, 0, 4, 8, 0][..], &stream.to_be_bytes(), &by.to_be_bytes()].concat();
    let s = site();
    let mut table = Table::new("windows at their limits");
    // Each: what is sent before the request and, once the first data has come, behind it; whether the stream ends well.
    let rows: [(&str, Vec<u8>, Vec<u8>, bool); 6] = [
        ("raised by settings over a grant", settings(0), [window(1, MOST), settings(1)].concat(), false),
        ("raised twice by grants", settings(1), [window(1, MOST), window(1, MOST)].concat(), false),
        ("of the connection", window(0, MOST - 65_535), window(0, 1 << 20), false),
        (
            "negative, and opened again",
            settings(65_535),
            [settings(0), settings(65_535), window(1, 1 << 20)].concat(),
            true,
        ),
        ("negative, and granted", settings(70_000), [settings(1), window(1, 1 << 20)].concat(), true),
        ("up and down", settings(MOST), [settings(0), settings(MOST), settings(0), settings(MOST)].concat(), true),
    ];
    for (name, before, behind, ends) in rows {
        table.row(ours("nginx before 1.31.9 counts past the limit"), name, || {
            let mut c = H2::connect_raw(s.address(0));
            c.send(&[PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0][..], &before].concat());
            let stream = c.request("GET", "/large", &[], true);
            c.until(|frame| frame.header.kind == kind::HEADERS).expect("a head");
            c.try_send(&[behind, window(0, 1 << 20)].concat());
            let mut got = 0;
            let mut ended = false;
            while let Some(frame) = c.next_frame() {
                match frame.header.kind {
                    kind::DATA => got += frame.payload.len(),
                    kind::RST_STREAM | kind::GOAWAY => break,
                    _ => {}
                }
                ended = frame.header.stream == stream && frame.header.flags & 1 != 0;
                if ended {
                    break;
                }
            }
            assert_eq!((ended, got == 200_000), (ends, ends), "{got} bytes");
            assert_eq!(H2::connect(s.address(0)).get("/small").status, 200, "it serves on");
        });
    }
}

/// CVE-2026-123633: streams and their upstreams where worker_connections are used up.
#[test]
fn streams_without_connections_left_are_answered_or_ended() {
    let up = Upstream::echo();
    let s = http(&format!(
        "server {{ listen 127.0.0.1:%%PORT%%; http2 on; location /up {{ proxy_pass http://{}; }} location / {{ return 200 ok; }} }}",
        up.address
    ))
    .replace("worker_connections 512", "worker_connections 16")
    .allow_log("worker_connections are not enough")
    .start();
    let mut table = Table::new("no connections left");
    table.row(BOTH, "each stream has an end", || {
        let mut held: Vec<TcpStream> = (0..24).filter_map(|_| TcpStream::connect(s.address(0)).ok()).collect();
        held.truncate(10);
        let mut c = H2::connect(s.address(0));
        let streams: Vec<u32> = (0..30).map(|_| c.request("GET", "/up", &[], true)).collect();
        for (stream, answer) in c.answers(&streams) {
            assert!(answer.ended || answer.reset.is_some(), "{stream}: {answer:?}");
        }
        drop((held, c));
        crate::harness::eventually("it serves on", || {
            TcpStream::connect(s.address(0)).is_ok_and(|mut tcp| {
                let mut text = Vec::new();
                let sent = tcp.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
                sent.is_ok() && tcp.read_to_end(&mut text).is_ok() && text.ends_with(b"ok")
            })
        });
    });
}

/// CVE-2026-123634: one name that several subrequests wait for, which comes, does not exist, or is given up.
#[test]
fn a_name_that_many_includes_wait_for_is_told_to_each() {
    let up = Upstream::always("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup");
    let dns = Dns::start("127.0.0.1:0", |query, _| {
        let answer = match (query.labels.join(".").as_str(), query.kind) {
            ("app.test", A) => query.ok(&[record(&[0xc0, 12], A, 1, &[127, 0, 0, 1])]),
            _ => query.fails(3),
        };
        vec![(answer, false)]
    })
    .expect("a free port");
    let s = http(&format!(
        "resolver {} ipv6=off valid=1s; ssi on;
         server {{ listen 127.0.0.1:%%PORT%%; root %%DIR%%/html;
             location /part {{ proxy_pass http://$arg_to:{}; }}
             location /silent {{ resolver 127.0.0.1:9; resolver_timeout 50ms; proxy_pass http://$arg_to:{1}; }} }}",
        dns.address,
        up.address.port()
    ))
    .file("html/a.html", include("/part?to=app.test").repeat(20))
    .file("html/n.html", include("/part?to=none.test").repeat(20))
    .file("html/s.html", include("/silent?to=app.test").repeat(2))
    .allow_log("could not be resolved")
    .start();
    let mut table = Table::new("a name that several wait for");
    table.row(BOTH, "it comes", || {
        assert_eq!(s.get("/a.html").is(200).text().matches("up").count(), 20);
    });
    table.row(BOTH, "it does not exist", || {
        assert_eq!(s.get("/n.html").is(200).text().matches("up").count(), 0);
    });
    table.row(BOTH, "its client leaves, or the server of names is silent", || {
        for page in ["/a.html", "/n.html", "/s.html"] {
            s.client().send(format!("GET {page} HTTP/1.1\r\nHost: a\r\n\r\n"));
        }
        assert_eq!(s.get("/s.html").is(200).text().matches("up").count(), 0);
        assert_eq!(s.get("/a.html").is(200).text().matches("up").count(), 20);
    });
}

fn include(uri: &str) -> String {
    format!("<!--# include virtual=\"{uri}\" -->")
}

/// A client of TLS 1.3 that seals its own records.
struct Sealer {
    tcp: TcpStream,
    key: LessSafeKey,
    iv: [u8; 12],
    sequence: u64,
}

impl Sealer {
    fn connect(s: &Server) -> Sealer {
        let mut tls = over_tls::Tls::sealing();
        let mut tcp = TcpStream::connect(s.address(0)).expect("it listens");
        tcp.set_read_timeout(Some(LIMIT)).expect("SO_RCVTIMEO");
        tls.shake(&mut tcp).expect("a handshake");
        let (sequence, key, iv) = tls.secrets();
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).expect("a key"));
        Sealer { tcp, key, iv, sequence }
    }

    /// RFC 8446 §5.2: the content, its type and `padding` zeros.
    fn seal(&mut self, content: &[u8], kind: u8, padding: usize) -> Vec<u8> {
        let mut nonce = self.iv;
        for (byte, of) in nonce[4..].iter_mut().zip(self.sequence.to_be_bytes()) {
            *byte ^= of;
        }
        self.sequence += 1;
        let mut inner = [content, &[kind], &vec![0; padding]].concat();
        let length = u16::try_from(inner.len() + 16).expect("a record");
        let head = [&[23, 3, 3][..], &length.to_be_bytes()].concat();
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.seal_in_place_append_tag(nonce, Aad::from(&head), &mut inner).expect("sealed");
        [head, inner].concat()
    }
}

/// CVE-2026-118899: records without content, alerts and padding amid a body over TLS 1.3.
#[test]
fn records_without_content_amid_a_body_hold_up_no_other_client() {
    if skip_on_nginx("before 1.31.9 it may read for ever") {
        return;
    }
    let s = http(
        "ssl_certificate %%DIR%%/conf/suite.crt; ssl_certificate_key %%DIR%%/conf/suite.key;
         server { listen 127.0.0.1:%%PORT0%% ssl; listen 127.0.0.1:%%PORT1%%; location / { return 200 ok; }
             location /up/ { allowed_methods GET PUT; upload_store %%DIR%%/store; client_body_timeout 500ms; } }",
    )
    .file("conf/suite.crt", &over_tls::pair().certificate)
    .file("conf/suite.key", &over_tls::pair().key)
    .mkdir("store")
    .start();
    let head = b"PUT /up/f HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\n\r\nab";
    // The content, its type and its padding, how often; whether the body may end well behind them.
    let rows: [(&str, &[u8], u8, usize, usize, bool); 7] = [
        ("a record of nothing", b"", 23, 0, 1, true),
        ("records of nothing", b"", 23, 0, 20_000, false),
        ("records of padding", b"", 23, 16_000, 300, false),
        ("user_canceled", &[1, 90], 21, 0, 1, true),
        ("alerts without end", &[1, 90], 21, 0, 20_000, false),
        ("close_notify", &[1, 0], 21, 0, 1, false),
        ("a handshake message of nothing", b"", 22, 0, 1, false),
    ];
    let mut table = Table::new("records without content");
    for (name, content, kind, padding, times, may_end) in rows {
        table.row(ours("nginx before 1.31.9 may read for ever"), name, || {
            let mut tls = Sealer::connect(&s);
            let mut bytes = tls.seal(head, 23, 0);
            for _ in 0..times {
                bytes.extend(tls.seal(content, kind, padding));
            }
            let sent = tls.tcp.write_all(&bytes).is_ok();
            // Others are answered meanwhile, and also once it is refused.
            assert_eq!(Client::connect(s.address(1)).get("/").status, 200);
            let rest = tls.seal(b"cd", 23, 0);
            let ended = sent && tls.tcp.write_all(&rest).is_ok();
            let mut answer = Vec::new();
            let _ = tls.tcp.read_to_end(&mut answer);
            assert_eq!(Client::connect(s.address(1)).get("/").status, 200);
            let stored = s.exists("store/f");
            assert!(!may_end || (ended && stored), "a good body is refused");
            if stored {
                assert_eq!(s.read("store/f"), b"abcd");
                std::fs::remove_file(s.path("store/f")).expect("it is there");
            }
        });
    }
}
