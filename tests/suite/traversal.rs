//! Ways out of the root, and ways into a header. Whatever the spelling, the bytes of a file outside the root never
//! appear, and no CR or LF from a request ever reaches a response head.

use crate::client::{Response, find};
use crate::harness::{BOTH, Server, Table, http, ours, server};

const SECRET: &str = "the-secret-bytes";

fn judge(r: &Response) {
    assert!(find(&r.body, SECRET.as_bytes()).is_none(), "the secret was served:\n{}", r.show());
    assert!(find(&r.head, SECRET.as_bytes()).is_none(), "the secret is in the head:\n{}", r.show());
    r.is_one_of(&[301, 400, 403, 404]);
}

/// Spellings of a step up; each is tried between several prefixes and suffixes.
const UPS: &[(&str, &[u8])] = &[
    ("plain", b"../"),
    ("encoded dots", b"%2e%2e/"),
    ("encoded dots in capitals", b"%2E%2E/"),
    ("the first dot encoded", b"%2e./"),
    ("the second dot encoded", b".%2e/"),
    ("an encoded slash", b"..%2f"),
    ("an encoded slash in capitals", b"..%2F"),
    ("everything encoded", b"%2e%2e%2f"),
    ("a backslash", b"..\\"),
    ("an encoded backslash", b"..%5c"),
    ("everything encoded, backslash", b"%2e%2e%5C"),
    ("doubly encoded", b"%252e%252e%252f"),
    ("doubly encoded slash", b"..%252f"),
    ("overlong slash, two bytes", b"..%c0%af"),
    ("overlong slash, three bytes", b"..%e0%80%af"),
    ("overlong dots", b"%c0%ae%c0%ae/"),
    ("overlong dots, three bytes", b"%e0%80%ae%e0%80%ae/"),
    ("raw overlong slash", b"..\xc0\xaf"),
    ("full-width slash", b"..%ef%bc%8f"),
    ("full-width dots", b"%ef%bc%8e%ef%bc%8e/"),
    ("%u encoding", b"%u002e%u002e/"),
    ("a self segment before", b"./../"),
    ("two slashes behind", b"..//"),
    ("two slashes before", b"//../"),
    ("a NUL behind the dots", b"..%00/"),
    ("a raw tab behind the dots", b"..\t/"),
    ("an encoded newline behind the dots", b"..%0a/"),
    ("an encoded CR before the dots", b"%0d../"),
    ("a semicolon parameter", b"..;/"),
    ("a parameter before", b";x/../../"),
    ("an encoded space", b"..%20/"),
    ("three dots", b".../"),
    ("four dots", b"..../"),
    ("mixed dots and slash", b"..././"),
    ("nested", b"....//"),
    ("a question mark encoded", b"..%3f/../"),
    ("a hash", b"#/../"),
];

fn start() -> Server {
    server(
        "location /files { alias %%DIR%%/html/pub/; }
         location /slash/ { alias %%DIR%%/html/pub/; }
         location /noslash { alias %%DIR%%/html/pub; }
         location /listed/ { alias %%DIR%%/html/pub/; autoindex on; }
         location ~ ^/cap/(.*)$ { alias %%DIR%%/html/pub/$1; }
         location /arg/ { root %%DIR%%/html/pub; try_files $uri /nothing =404; }
         location /private/ { internal; alias %%DIR%%/; }
         location /denied/ { deny all; }",
    )
    .file("secret", SECRET)
    .file("html-secret/secret", SECRET)
    .file("html/index.html", "index")
    .file("html/pub/index.html", "pub index")
    .file("html/pub/f", "public")
    .file("html/secret.d/x", SECRET)
    .file("html/denied/secret", SECRET)
    .mode("html/secret.d", 0o700)
    .start()
}

#[test]
fn no_spelling_of_dot_dot_leaves_the_root() {
    let s = start();
    let mut table = Table::new("traversal");
    for (name, up) in UPS {
        table.row(BOTH, name, || {
            for prefix in
                ["/", "/pub/", "/slash/", "/files/", "/noslash/", "/listed/", "/cap/", "/arg/", "/missing/", "/a/b/"]
            {
                for times in [1, 2, 6] {
                    for tail in ["secret", "html-secret/secret", "etc/passwd"] {
                        let target = [prefix.as_bytes(), &up.repeat(times), tail.as_bytes()].concat();
                        let line = [b"GET ", &target[..], b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"]
                            .concat();
                        let r = s.send(line);
                        assert!(find(&r.body, b"root:").is_none(), "{}", r.show());
                        // Some spellings normalize to something lawful within the root (`/pub/../` is `/`).
                        if r.status == 200 {
                            assert!(
                                [&b"index"[..], b"pub index", b"public"].contains(&&r.body[..]) || prefix == "/listed/",
                                "{}",
                                r.show()
                            );
                            assert!(find(&r.body, SECRET.as_bytes()).is_none());
                        } else {
                            judge(&r);
                        }
                    }
                }
            }
        });
    }
}

#[test]
fn an_absolute_target_path_is_normalized_before_locations_are_chosen() {
    let s = start();
    let rows: &[(&str, &str, u16)] = &[
        ("above the root", "/..", 400),
        ("above the root, slash", "/../", 400),
        ("above the root by more steps down than up", "/pub/../../secret", 400),
        ("back to the root", "/pub/..", 200),
        ("a denied location by detour", "/pub/../denied/secret", 403),
        ("a denied location by merged slashes", "//denied//secret", 403),
        ("a denied location by a self segment", "/./denied/./secret", 403),
        ("a denied location by encoding", "/%64enied/secret", 403),
        ("a denied location by an encoded slash", "/denied%2fsecret", 403),
        ("a denied location by encoded detour", "/pub/%2e%2e/denied/secret", 403),
        ("an internal location", "/private/secret", 404),
        ("an internal location by detour", "/pub/../private/secret", 404),
        ("a tilde is a name", "/~root/secret", 404),
        ("a drive letter is a name", "/c:/secret", 404),
        ("a URL in the path", "/http://x/../../../secret", 400),
        ("absolute-form with a detour", "http://localhost/pub/../../secret", 400),
        ("a file scheme", "file:///etc/passwd", 400),
    ];
    let mut table = Table::new("normalization");
    for &(name, target, status) in rows {
        table.row(BOTH, name, || {
            let r = s.get(target);
            assert!(find(&r.body, SECRET.as_bytes()).is_none(), "{}", r.show());
            r.is(status);
        });
    }
}

#[test]
fn alias_without_slash_opens_nothing_beside_it() {
    let s = start();
    let why = ours("`location /files { alias dir/; }` never opens `dir/..`");
    let mut table = Table::new("alias traversal");
    for target in [
        "/files../secret",
        "/files../../secret",
        "/files../html-secret/secret",
        "/files..%2fsecret",
        "/files%2e%2e/secret",
    ] {
        table.row(why, target, || judge(&s.get(target)));
    }
    for target in ["/files../secret.d/x", "/files../denied/secret", "/files../secret.d"] {
        table.row(why, target, || judge(&s.get(target)));
    }
    for target in ["/slash../secret.d/x", "/listed../secret.d/x", "/slash..", "/cap/..%2f..%2fsecret"] {
        table.row(BOTH, target, || judge(&s.get(target)));
    }
    table.row(BOTH, "/noslash-secret is beside the directory only by name", || {
        judge(&s.get("/noslash-secret/secret"));
    });
}

#[test]
fn no_request_byte_breaks_a_response_head() {
    let s = http(
        "server { listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html;
            location /go/ { return 302 https://e.test$uri; }
            location /rel/ { return 301 $uri; }
            location /args/ { return 302 /x?$args; }
            location /req/ { return 302 https://e.test$request_uri; }
            location /hdr/ { add_header X-Uri $uri always; return 200 ok; }
            location /harg/ { add_header X-Arg $arg_a always; return 200 ok; }
            location /hhost/ { add_header X-Host $http_host always; return 200 ok; }
            location /hfield/ { add_header X-Field $http_x_field always; return 200 ok; }
            location ~ ^/cap/(.*)$ { add_header X-Cap $1 always; return 302 /y/$1; }
            location /rw/ { rewrite ^/rw/(.*)$ /z/$1 redirect; }
            location /rwp/ { rewrite ^/rwp/(.*)$ https://e.test/$1 permanent; }
            location /type/ { default_type $uri; return 200 ok; }
            location /err/ { error_page 404 =302 https://e.test$uri; }
         }",
    )
    .mkdir("html/dir")
    .start();
    let attacks = [
        "%0d%0aSet-Cookie:%20evil=1",
        "%0aSet-Cookie:%20evil=1",
        "%0dSet-Cookie:%20evil=1",
        "%0D%0A%0D%0A<script>",
        "a%0d%0a%20folded",
        "%E5%98%8A%E5%98%8DSet-Cookie:evil=1",
        "%00",
        "%0b%0c",
        "%250d%250aX:%20y",
    ];
    let mut table = Table::new("header injection");
    for place in ["/go/", "/rel/", "/hdr/", "/cap/", "/rw/", "/rwp/", "/err/", "/dir/../go/"] {
        for attack in attacks {
            // nginx lets decoded CR and LF through; rewrite's redirects alone are escaped by it.
            table.row(ours("CR and LF from a decoded path never reach a header"), &format!("{place}{attack}"), || {
                let r = s.get(&format!("{place}{attack}"));
                // The strict client already refuses bare CR, LF and NUL.
                r.lacks("Set-Cookie").lacks("X");
                assert!(r.headers.len() < 12, "{}", r.show());
            });
        }
    }
    for place in ["/args/?", "/harg/?a=", "/req/"] {
        for attack in attacks.iter().filter(|a| !a.contains("%00")) {
            table.row(BOTH, &format!("{place}{attack}"), || {
                let r = s.get(&format!("{place}{attack}"));
                r.lacks("Set-Cookie").lacks("X");
            });
        }
    }
    table.row(BOTH, "a directory redirect", || {
        for attack in attacks.iter().filter(|a| !a.contains("%00")) {
            let r = s.get(&format!("/dir/{attack}/../../dir"));
            r.is_one_of(&[301, 400]).lacks("Set-Cookie").lacks("X");
            if r.status == 301 {
                r.has("Location", &format!("http://localhost:{}/dir/", s.port()));
            }
        }
    });
    table.row(BOTH, "a directory whose name has a newline", || {
        std::fs::create_dir(s.path("html/new\r\nSet-Cookie: evil")).unwrap();
        let r = s.get("/new%0d%0aSet-Cookie:%20evil");
        r.is_one_of(&[301, 400]).lacks("Set-Cookie");
        assert!(
            r.status == 400 || r.header("Location").unwrap().contains("/new%0D%0ASet-Cookie:%20evil/"),
            "{}",
            r.show()
        );
    });
    table.row(BOTH, "a field's value comes back as it was", || {
        s.get_with("/hfield/", "X-Field: a\tb: c\r\n").is(200).has("X-Field", "a\tb: c");
    });
    table.row(BOTH, "error pages do not repeat the path", || {
        let r = s.get("/%3Cscript%3Ealert(1)%3C/script%3E");
        r.is(404);
        assert!(find(&r.body, b"<script>").is_none());
    });
}
