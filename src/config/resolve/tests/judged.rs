//! What nginx warns about or refuses if a directive has no effect here or is repeated, and what it accepts.
//! tests/differential/configurations.verdicts compares the messages with nginx.

use crate::config::build::Form;
use crate::config::error::Severity;
use crate::config::load::{LoadOptions, load_text};
use crate::config::settings::Settings;
use std::path::Path;

/// A line in `http`, and part of its error or warning; empty: neither.
const LINES: &[(&str, &str)] = &[
    ("gzip_proxied any; gzip_proxied ANY;", "duplicate value \"ANY\""),
    ("gzip_proxied expired no-cache;", ""),
    ("set_real_ip_from 10.0.0.1/8;", "low address bits of 10.0.0.1/8 are meaningless"),
    ("set_real_ip_from 10.0.0.0/8;", ""),
    (
        "upstream u { server 1270.0.1:80; server 127.0.0.1:2 backup; } server { location / { proxy_pass http://u; } }",
        "host not found in upstream \"1270.0.1:80\"",
    ),
    ("addition_types text/x text/html;", "duplicate MIME type \"text/html\""),
    ("proxy_cookie_path /a /b; proxy_cookie_path /c /d;", ""),
    ("proxy_cookie_path /a /b; proxy_cookie_path off;", "\"proxy_cookie_path\" directive is duplicate"),
    ("proxy_cookie_path off; server { proxy_cookie_path /a /b; }", ""),
    ("proxy_max_temp_file_size 0;", ""),
    ("server { proxy_max_temp_file_size 1k; }", "\"proxy_max_temp_file_size\" must be equal to zero"),
    ("server { uwsgi_temp_file_write_size 1k; }", "\"uwsgi_temp_file_write_size\" must be equal to or greater"),
    ("server { large_client_header_buffers 4 511; }", "\"large_client_header_buffers\" size must be equal"),
    ("server { large_client_header_buffers 4 512; }", ""),
    ("server { large_client_header_buffers 4 256; } connection_pool_size 256;", ""),
    ("server { proxy_cache one; } proxy_cache_path /c keys_zone=one:1m;", ""),
    ("server { proxy_cache two; } proxy_cache_path /c keys_zone=one:1m;", "\"proxy_cache\" zone \"two\" is unknown"),
    ("server { scgi_cache one; } proxy_cache_path /c keys_zone=one:1m;", "already declared for a different use"),
    ("proxy_cache_key $scheme$proxy_host$request_uri$slice_range;", ""),
    ("proxy_cache_key $nosuch;", "unknown \"nosuch\" variable"),
    ("grpc_set_header $nosuch $host;", ""),
    ("grpc_bind [::1]; memcached_bind $remote_addr transparent;", ""),
    ("grpc_bind x;", "invalid address \"x\""),
    ("http2_push any;", "the \"http2_push\" directive is obsolete, ignored"),
    ("http2_idle_timeout any;", "use the \"keepalive_timeout\" directive instead"),
    ("http2_streams_index_size 10;", "must be a power of two"),
    ("userid_flags secure SameSite=Lax; userid_expires max; userid_mark =;", ""),
    ("userid_expires soon;", "\"userid_expires\" directive invalid value"),
    ("userid_mark ab;", "a single letter, digit or"),
    ("max_ranges 9223372036854775807; http2_max_concurrent_streams 9223372036854775807;", ""),
    ("add_header \"\" \"\"; add_trailer \"\" \"\"; proxy_set_header \"\" \"\";", ""),
    ("add_header \"\" x;", "\"\" cannot be the name of a header"),
    ("proxy_set_header \"\" $uri;", "\"\" cannot be the name of a header"),
    ("split_clients $uri $a { 50% a b c; * d; }", "\"b\" is ignored: a line of \"split_clients\""),
    ("split_clients $uri $a { 50% a { } }", "is a percentage and a value"),
    ("split_clients $uri $a {\n 50% a\n 50% b;\n}", "is a percentage and a value"),
    ("upstream u { ip_hash; least_conn; server 127.0.0.1:1; }", "load balancing method redefined"),
    // A line of a table is not taken as a directive that was meant to define it.
    ("map $uri $a { set $foo; } server { return 200 $foo; }", "unknown \"foo\" variable"),
];

const AT_THE_TOP: &[(&str, &str)] = &[
    ("worker_priority -5;", ""),
    ("worker_priority 0; worker_priority +5;", ""),
    ("worker_priority 5; worker_priority 0;", "\"worker_priority\" directive is duplicate"),
    ("worker_cpu_affinity auto 0101;", ""),
    ("worker_cpu_affinity 02;", "invalid character \"2\""),
];

fn messages(text: &str) -> Vec<String> {
    let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
    let resolved = super::super::resolve(&mut loaded, Path::new("/srv"), Form::Nginx, Vec::new(), None);
    let judged = resolved.diagnostics.iter().filter(|d| d.severity != Severity::Notice);
    judged.map(|d| d.message.clone()).filter(|text| !text.contains("no listener")).collect()
}

#[test]
fn values_without_effect_are_judged_as_nginx_judges_them() {
    let inside = LINES.iter().map(|(line, expected)| (format!("events {{}} http {{ {line} }}"), *expected));
    let outside = AT_THE_TOP.iter().map(|(line, expected)| (format!("{line} events {{}} http {{}}"), *expected));
    for (text, expected) in inside.chain(outside) {
        let found = messages(&text);
        match expected {
            "" => assert!(found.is_empty(), "{text}: {found:?}"),
            expected => assert!(matches!(&found[..], [one] if one.contains(expected)), "{text}: {found:?}"),
        }
    }
}

#[test]
fn stapling_is_ignored_only_where_no_file_has_the_response() {
    let other = "server { listen 8444 ssl; ssl_stapling on; }";
    for (text, lines) in [
        ("server { listen 8443 ssl; ssl_stapling on; }", vec![2]),
        ("server { listen 8443 ssl; ssl_stapling on; ssl_stapling_verify on; }", vec![2, 2]),
        ("server { listen 8443 ssl; ssl_stapling on; ssl_stapling_file a.der; }", vec![]),
        ("server { listen 8443 ssl; ssl_stapling_file a.der; ssl_stapling on; ssl_stapling_verify on; }", vec![]),
        ("ssl_stapling_file a.der;\nserver { listen 8443 ssl; ssl_stapling on; }", vec![]),
        ("ssl_stapling on;\nserver { listen 8443 ssl; ssl_stapling_file a.der; }", vec![]),
        (&format!("server {{ listen 8443 ssl; ssl_stapling on; ssl_stapling_file a.der; }}\n{other}"), vec![3]),
        (&format!("{other}\n{other}"), vec![2]),
    ] {
        let text = format!("events {{ }} http {{\n{text}\n}}");
        let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = super::super::resolve(&mut loaded, Path::new("/srv"), Form::Nginx, Vec::new(), None);
        let noted = resolved.diagnostics.iter().filter(|d| d.message.contains("OCSP responses are not fetched"));
        let places = noted.filter_map(|d| d.span).map(|span| loaded.sources.position(span).line);
        assert_eq!(places.collect::<Vec<_>>(), lines, "{text}");
    }
}

#[test]
fn numbers_that_no_memory_holds_are_taken_for_the_most_that_is_used() {
    type Totals = fn(&Settings) -> (u64, u64);
    let heads: Totals = |s| (s.client.large_buffers.0, s.client.large_buffers.1.0);
    let bodies: Totals = |s| (s.proxy.buffers.0, s.proxy.buffers.1.0);
    let frames: Totals = |s| (1, s.http2.chunk_size.0);
    let rows: &[(&str, Totals, (u64, u64))] = &[
        ("large_client_header_buffers 4 8k;", heads, (4, 8 << 10)),
        ("large_client_header_buffers 1 64m;", heads, (1, 64 << 20)),
        ("large_client_header_buffers 1 65m;", heads, (1, 64 << 20)),
        ("large_client_header_buffers 4 1024m;", heads, (4, 16 << 20)),
        ("large_client_header_buffers 1000000000 8k;", heads, (8 << 10, 8 << 10)),
        ("large_client_header_buffers 1000000000 1024m;", heads, (8, 8 << 20)),
        ("proxy_buffers 8 4k;", bodies, (8, 4 << 10)),
        ("proxy_buffers 8 1024m;", bodies, (8, 128 << 20)),
        ("proxy_buffers 9223372036854775807 4k;", bodies, (256 << 10, 4 << 10)),
        ("http2_chunk_size 8k;", frames, (1, 8 << 10)),
        ("http2_chunk_size 16777215;", frames, (1, (1 << 24) - 1)),
        ("http2_chunk_size 16777216;", frames, (1, (1 << 24) - 1)),
        ("http2_chunk_size 1024m;", frames, (1, (1 << 24) - 1)),
    ];
    for (line, taken, expected) in rows {
        let text = format!("events {{}} http {{ server {{ listen 8080; {line} }} }}");
        let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = super::super::resolve(&mut loaded, Path::new("/srv"), Form::Nginx, Vec::new(), None);
        let config = resolved.config.unwrap_or_else(|| panic!("{line}: refused"));
        let server = config.servers.first().expect("one server");
        assert_eq!(taken(&config.location(server.root).settings), *expected, "{line}");
    }
    for line in ["large_client_header_buffers 0 8k;", "proxy_buffers 8 0;", "http2_chunk_size 0;"] {
        let found = messages(&format!("events {{}} http {{ {line} }}"));
        assert!(matches!(&found[..], [one] if one.contains("invalid")), "{line}: {found:?}");
    }
}
