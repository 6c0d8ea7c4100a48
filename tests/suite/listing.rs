//! The readable listing: webserv's own page, what it is for programs, and deleting from it without scripts.
//! nginx's formats are in `config_directives`.

use crate::client::Response;
use crate::harness::{OWN_FORM, Runs, Server, Setup, Table, ours, server, skip_on_nginx};

const OURS: Runs = ours("the page");

fn setup() -> Setup {
    server(
        "location / { autoindex on; autoindex_format page; }
         location /up/ { autoindex_upload on; allowed_methods GET POST DELETE; delete_recursive on; }
         location /up/kept/ { }
         location /up/dark/ { autoindex off; }
         location /read/ { autoindex_upload on; allowed_methods GET; }
         location /except/ { autoindex_upload on; allowed_methods GET POST DELETE; limit_except GET POST { deny all; } }
         location /random/ { random_index on; }
         location = /pixel { empty_gif; }
         location = /status { stub_status; }",
    )
    .file("html/up/a b%.txt", "1")
    .file("html/up/other", "2")
    .file("html/up/index.html", "not shown")
    .file("html/up/tree/x/y", "3")
    .file("html/up/kept/f", "4")
    .file("html/up/dark/f", "4")
    .file("html/read/f", "5")
    .file("html/except/f", "6")
    .file("html/random/one", "one")
    .mkdir("html/random/sub")
}

fn post(s: &Server, target: &str, body: &str) -> Response {
    s.method("POST", target, OWN_FORM, body.as_bytes())
}

#[test]
fn the_page_is_for_people_and_programs() {
    if skip_on_nginx("the page") {
        return;
    }
    let s = setup().start();
    let mut table = Table::new("the page");
    table.row(OURS, "it is UTF-8, under its own policy, and revalidated", || {
        let r = s.get("/");
        r.is(200)
            .has("Content-Type", "text/html; charset=utf-8")
            .has("Cache-Control", "no-cache")
            .has("Vary", "Accept, Accept-Language");
        assert!(r.header("Content-Security-Policy").is_some_and(|policy| policy.starts_with("default-src 'none'")));
    });
    table.row(OURS, "it is JSON for who wants that", || {
        let r = s.method("GET", "/up/", "Accept: application/json\r\n", b"");
        r.is(200).has("Content-Type", "application/json").contains("\"name\":\"other\"");
    });
    table.row(OURS, "an area for uploads shows itself, not its index file", || {
        s.get("/up/").is(200).contains("index.html").contains("<form id=up").contains("?delete=a%20b%25.txt");
    });
    table.row(OURS, "what is not allowed is not offered", || {
        let text = s.get("/read/").text();
        assert!(text.contains("href=\"f\"") && !text.contains("<form id=up") && !text.contains("?delete="));
    });
    table.row(OURS, "autoindex off turns an inherited page off", || {
        s.get("/up/dark/").is(403);
    });
    table.row(OURS, "a delete is asked about", || {
        s.get("/up/?delete=a%20b%25.txt").is(200).contains("value=\"a%20b%25.txt\"");
        s.get("/up/?delete=tree/").is(200).contains("the folder");
        s.get("/up/?delete=none").is(404);
        assert!(s.exists("html/up/a b%.txt"));
    });
}

#[test]
fn the_form_deletes_what_a_delete_may() {
    if skip_on_nginx("the page") {
        return;
    }
    let s = setup().start();
    let mut table = Table::new("the form");
    table.row(OURS, "another site's form", || {
        let kind = "Content-Type: application/x-www-form-urlencoded\r\n";
        let foreign = ["", "Sec-Fetch-Site: cross-site\r\n", "Origin: http://evil.test\r\n", "Origin: null\r\n"];
        for fields in foreign {
            s.method("POST", "/up/", &format!("{kind}{fields}"), b"webserv-delete=other").is(403);
        }
        assert!(s.exists("html/up/other"));
    });
    table.row(OURS, "a file, and back to the listing", || {
        let r = post(&s, "/up/", "webserv-delete=a%2520b%2525.txt");
        r.is(303);
        assert!(r.header("Location").is_some_and(|to| to.ends_with("/up/")), "{}", r.show());
        assert!(!s.exists("html/up/a b%.txt"));
    });
    table.row(OURS, "a directory with all that is in it", || {
        post(&s, "/up/", "webserv-delete=tree/").is(303);
        assert!(!s.exists("html/up/tree"));
    });
    table.row(OURS, "what is not there, or is no name", || {
        post(&s, "/up/", "webserv-delete=none").is(404);
        post(&s, "/up/", "webserv-delete=..").is(400);
        post(&s, "/up/", "webserv-delete=kept%252Ff").is(400);
        post(&s, "/up/", "other=other").is(400);
    });
    table.row(OURS, "the directory of another location", || {
        post(&s, "/up/", "webserv-delete=kept").is(403);
        assert!(s.exists("html/up/kept/f"));
    });
    table.row(OURS, "a DELETE that limit_except refuses", || {
        post(&s, "/except/", "webserv-delete=f").is(403);
        assert!(s.exists("html/except/f"));
    });
}

#[test]
fn special_locations_answer() {
    let s = setup_special().start();
    let mut table = Table::new("special locations");
    table.row(crate::harness::BOTH, "empty_gif", || {
        let r = s.get("/pixel");
        r.is(200).has("Content-Type", "image/gif").has("Content-Length", "43");
        r.has("Last-Modified", "Mon, 28 Sep 1970 06:00:00 GMT");
        s.method("POST", "/pixel", "", b"").is(405);
    });
    table.row(ours("405 has Allow"), "empty_gif says what it answers", || {
        s.method("POST", "/pixel", "", b"").has("Allow", "GET, HEAD, OPTIONS");
    });
    table.row(crate::harness::BOTH, "stub_status", || {
        for target in ["/status", "/old-status"] {
            let r = s.get(target);
            r.is(200).has("Content-Type", "text/plain");
            let text = r.text();
            assert!(
                text.starts_with("Active connections: ") && text.contains(" \nserver accepts handled requests\n "),
                "{text}"
            );
            let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} in {text}"));
            assert!(at("\nReading: ") < at(" Writing: ") && at(" Writing: ") < at(" Waiting: "));
        }
    });
}

fn setup_special() -> Setup {
    server(
        "location = /pixel { empty_gif; } location = /status { stub_status; } location = /old-status { stub_status on; }",
    )
}

#[test]
fn a_random_file_is_the_index() {
    if skip_on_nginx("built without random_index") {
        return;
    }
    let s = setup().start();
    s.get("/random/").is(200).body_is("one");
    s.get("/random/sub/").is(403);
}

#[test]
fn a_site_wide_policy_does_not_break_the_listing() {
    if skip_on_nginx("the page is ours") {
        return;
    }
    let s = server(
        "add_header Content-Security-Policy \"default-src 'none'\" always; add_header X-A b; \
         location / { autoindex on; autoindex_format page; }",
    )
    .file("html/f.txt", "f")
    .start();
    let page = s.get("/");
    assert_eq!(page.all("Content-Security-Policy").len(), 1, "{}", page.show());
    assert!(page.header("Content-Security-Policy").is_some_and(|policy| policy.contains("style-src 'sha256-")));
    page.has("X-A", "b");
    s.get("/f.txt").has("Content-Security-Policy", "default-src 'none'");
}
