//! Where the caret of a message stands: at the word that is wrong, at the first word that is too many, behind the word
//! after which something is missing (an argument: at the `;`), and at the directive's name where the whole of it is
//! wrong.

use crate::config::build::Form;
use crate::config::error::Severity;
use crate::config::load::{LoadOptions, load_text};
use std::path::Path;

/// In `http`; `‸` stands where the caret is expected.
const CARETS: &[&str] = &[
    "server { ‸roott /a; }",
    "server { root‸; }",
    "server { ‸proxy_pass http://a; }",
    "server { gzip ‸yes; }",
    "server { return 200 a‸$hosst; }",
    "server { location / { limit_req zone=‸none; } }",
    "server { listen 8080 default_server; }\nserver { listen 8080 ‸default_server; }",
    // Too many.
    "server { root /a ‸/b; }",
    "server { root /a ‸b; }",
    "server { add_header X a ‸b c; }",
    "server { return 200 a ‸b; }",
    "server { client_max_body_size 10 ‸m; }",
    "server { location / { internal ‸on; } }",
    "server { location / { fastcgi_pass unix: ‸/run/a.sock; } }",
    "server { if ($uri = a ‸b) { return 403; } }",
    "server { rewrite ^/a /b last ‸break; }",
    "map $uri $x { a b ‸c; }",
    // Missing.
    "server { root /a‸\nindex b; }",
    "server { add_header X-A‸; }",
    "server { add_header X-A‸ ; }",
    "server { error_page\n404‸\n; }",
    "map $uri‸ { a b; }",
    "server { limit_req burst=5‸; }",
    "limit_req_zone ‸zone=a:1m rate=1r/s;",
    "server {\nlocation / {\nreturn 204;\n‸)\n}",
    "server { if ($uri = /a‸ { return 403; } }",
    "server { if ($uri = a)‸ return 403; }",
    "server { location /a‸\nreturn 204;\n}",
    "server { location ~ a‸\nreturn 204;\n}",
    // One of several words.
    "server { expires modified ‸5x; }",
    "server { access_log a combined flush=‸5m; }",
    "server { location ~ ^/\\d‸{4}/ { return 204; } }",
    "server { rewrite ^/([a-z]‸{2})/ /x; }",
    "server { server_tokens off‸, }",
    "server { if (‸! -f $request_filename) { return 404; } }",
    "server { set $a ‸\\$host; }",
    "server { if ($host ‸a.test) { return 404; } }",
    "server { set $a b\\/‸\\$host; }",
    "server { listen 80‸\u{2060}81; }",
    "server { keepalive_timeout 1‸\u{200b}0s; }",
    // Nothing that follows from it.
    "server { keepalive_timeout ‸{{ seconds }}; }",
];

#[test]
fn the_caret_stands_at_the_word_that_is_wrong() {
    let mut wrong = Vec::new();
    for marked in CARETS {
        let marked = format!("events {{ }}\nhttp {{\n{marked}\n}}\n");
        let expected = marked.find('‸').expect("a mark in each row");
        let text = marked.replace('‸', "");
        let mut loaded = load_text("x.conf", text.as_bytes(), &LoadOptions::default());
        let resolved = super::super::resolve(&mut loaded, Path::new("/srv"), Form::Webserv, Vec::new(), None);
        let told = resolved.diagnostics.iter().filter(|d| d.severity != Severity::Notice);
        let starts: Vec<_> = told.map(|d| d.span.map(|span| span.start as usize)).collect();
        if starts != [Some(expected)] {
            let at = starts.first().copied().flatten().and_then(|at| text.get(at..));
            wrong.push(format!("{marked}: {} messages, the first at {at:?}", starts.len()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
