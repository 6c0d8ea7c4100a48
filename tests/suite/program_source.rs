//! Nothing gives away the text of programs and pages with commands, and nothing runs commands that clients wrote,
//! whatever way leads to a file: the index, an archive, a listing, the page of an error, the listing's own forms.

use crate::harness::{OWN_FORM, Table, http, ours, server};
use crate::table::skip_on_nginx;

const SCRIPT: &str = "printf '\\nEXECUTED'; # source";
const PAGE: &str = "<!--#include virtual=\"/closed/secret\" -->";
const WHY: &str = "CGI, archives and allowed_methods are ours";

#[test]
fn the_index_of_a_server_with_one_location_is_run_as_by_its_own_uri() {
    if skip_on_nginx(WHY) {
        return;
    }
    let s = http(
        "server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html;
             location / { cgi_extension .sh /bin/sh; index index.sh; } }
         server { listen 127.0.0.1:%%PORT1%%; root %%DIR%%/html; cgi_extension .sh /bin/sh; index index.sh; }
         server { listen 127.0.0.1:%%PORT2%%; root %%DIR%%/stored;
             location / { ssi on; dav_methods PUT; index index.html; } }",
    )
    .file("html/index.sh", SCRIPT)
    .file("stored/closed/secret", "SECRET")
    .allow_log("lies where")
    .start();
    s.client_at(2)
        .request(format!("PUT /index.html HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{PAGE}", PAGE.len()))
        .is(201);
    for (at, target, body) in [
        (0, "/index.sh", "EXECUTED"),
        (0, "/", "EXECUTED"),
        (1, "/", "EXECUTED"),
        (2, "/index.html", PAGE),
        (2, "/", PAGE),
    ] {
        s.client_at(at)
            .request(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"))
            .is(200)
            .body_is(body);
    }
}

/// The only location of a server may be another than the one that the index is found in.
#[test]
fn an_index_that_belongs_to_the_only_location_is_answered_there() {
    let s = http(
        "server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html; index index.html;
             location /index.html { deny all; } }
         server { listen 127.0.0.1:%%PORT1%%; root %%DIR%%/html; index index.html;
             location /ind { return 200 theirs; } }
         server { listen 127.0.0.1:%%PORT2%%; root %%DIR%%/html; index sub/page.html;
             location /sub/ { root %%DIR%%/other; } }
         server { listen 127.0.0.1:%%PORT3%%; root %%DIR%%/html;
             location / { index index.html; } }",
    )
    .file("html/index.html", "its text")
    .file("html/sub/page.html", "of the root")
    .file("other/sub/page.html", "of the location")
    .allow_log("access forbidden")
    .start();
    for (at, status, body) in
        [(0, 403, None), (1, 200, Some("theirs")), (2, 200, Some("of the location")), (3, 200, Some("its text"))]
    {
        let answer = s.client_at(at).request("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        answer.is(status);
        if let Some(body) = body {
            answer.body_is(body);
        }
    }
}

#[test]
fn the_compressed_index_of_a_server_with_one_location_is_sent() {
    let s = server("location / { gzip_static on; gzip_vary on; }")
        .file("html/index.html", "plain")
        .file("html/index.html.gz", "packed")
        .start();
    let answer = s.get_with("/", "Accept-Encoding: gzip\r\n");
    answer.is(200).has("Content-Encoding", "gzip").has("Vary", "Accept-Encoding").body_is("packed");
}

#[test]
fn an_archive_has_no_source_of_what_a_get_runs() {
    if skip_on_nginx(WHY) {
        return;
    }
    let s = server(
        "autoindex on; autoindex_format page; autoindex_archive tar; autoindex_search on;
         location / { cgi_extension .sh /bin/sh; ssi on; }
         location ^~ /theirs/ { dav_methods PUT; ssi on; ssi_types *; }
         location /closed/ { deny all; }",
    )
    .file("html/x.sh", SCRIPT)
    .file("html/sub/y.sh", SCRIPT)
    .file("html/dir.sh/a.txt", "in a directory")
    .file("html/page.html", PAGE)
    .file("html/a.txt", "plain text")
    .file("html/closed/secret", "SECRET")
    .mkdir("html/theirs")
    .allow_log("lies where")
    .start();
    s.method("PUT", "/theirs/own.html", "", PAGE.as_bytes()).is(201);
    let archive = s.get("/?archive=tar").is(200).text();
    for text in ["plain text", "theirs/own.html", "in a directory"] {
        assert!(archive.contains(text), "{text}: {archive}");
    }
    assert!(!archive.contains("# source") && !archive.contains("page.html"), "{archive}");
    // Its name is in the listing, and so it is found.
    let found = s.get("/?search=.sh").is(200).text();
    assert!(found.contains("x.sh") && found.contains("y.sh"), "{found}");
    // What clients wrote is text in an archive, too.
    let archive = s.get("/theirs/?archive=tar").is(200).text();
    assert!(archive.contains(PAGE) && !archive.contains("SECRET"), "{archive}");
}

#[test]
fn a_file_name_in_a_listing_is_no_command() {
    if skip_on_nginx(WHY) {
        return;
    }
    let name = "<!--#echo var='uri' -->";
    let s = server("location / { ssi on; ssi_types *; autoindex on; autoindex_format json; }")
        .file(&format!("html/d/{name}"), "")
        .start();
    let listing = s.get("/d/").is(200).text();
    assert!(listing.contains("<!--#echo var="), "{listing}");
}

#[test]
fn the_page_of_an_error_is_no_way_past_allowed_methods() {
    if skip_on_nginx(WHY) {
        return;
    }
    let s = http(
        "server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html;
             location /e/ { error_page 404 = @up; }
             location /run/ { error_page 404 = @run; }
             location /m/ { allowed_methods GET; error_page 405 = @up; }
             location /s/ { error_page 418 = @store; return 418; }
             location /later/ { error_page 503 @later; return 503; }
             location @up { allowed_methods GET; proxy_pass http://127.0.0.1:%%PORT1%%; }
             location @run { allowed_methods GET; cgi_extension .sh /bin/sh; try_files /x.sh =404; }
             location @store { allowed_methods PUT; root %%DIR%%/store; }
             location @later { allowed_methods GET; try_files /later.txt =404; } }
         server { listen 127.0.0.1:%%PORT1%%; return 200 reached; }",
    )
    .file("html/x.sh", SCRIPT)
    .file("html/later.txt", "later")
    .mkdir("store/s")
    .allow_log("failed (2")
    .start();
    let mut table = Table::new("the page of an error");
    for (method, target, status, body) in [
        ("GET", "/e/x", 200, "reached"),
        ("POST", "/e/x", 405, ""),
        ("GET", "/run/x", 200, "EXECUTED"),
        ("POST", "/run/x", 405, ""),
        // It is the page of that very error.
        ("POST", "/m/x", 200, "reached"),
        ("PUT", "/s/x", 201, ""),
        ("POST", "/later/x", 503, "later"),
    ] {
        table.row(ours(WHY), &format!("{method} {target}"), || {
            let answer = s.method(method, target, "", b"body");
            answer.is(status);
            if !body.is_empty() {
                answer.body_is(body);
            }
        });
    }
}

#[test]
fn the_policy_of_a_program_does_not_take_that_of_the_site_away() {
    if skip_on_nginx(WHY) {
        return;
    }
    let s = server(
        "add_header Content-Security-Policy \"default-src 'self'\";
         location / { cgi_extension .sh /bin/sh; }
         location /list/ { autoindex on; autoindex_format page; }",
    )
    .file("html/x.sh", "printf 'Content-Security-Policy: script-src *\\n\\nx'")
    .mkdir("html/list")
    .start();
    assert_eq!(s.get("/x.sh").is(200).all("Content-Security-Policy"), ["script-src *", "default-src 'self'"]);
    assert_eq!(s.get("/list/").is(200).all("Content-Security-Policy").len(), 1);
}

#[test]
fn the_delete_button_runs_no_program() {
    if skip_on_nginx(WHY) {
        return;
    }
    let s = server(
        "location / { cgi_extension .sh /bin/sh; upload_execute on;
             allowed_methods GET POST DELETE; autoindex_upload on; }",
    )
    .file("html/x.sh", "printf '\\n'; echo ran > \"${SCRIPT_FILENAME%/*}/ran\"")
    .file("html/a.txt", "")
    .start();
    for (name, status) in [("a.txt", 303), ("x.sh", 403)] {
        s.method("POST", "/", OWN_FORM, format!("webserv-delete={name}").as_bytes()).is(status);
    }
    assert!(s.exists("html/x.sh") && !s.exists("html/ran") && !s.exists("html/a.txt"));
}

#[test]
fn a_page_knows_the_address_that_no_directive_names() {
    let s = http("server { listen %%PORT%%; root %%DIR%%/html; location / { ssi on; } }")
        .wildcard()
        .file("html/a.html", "<!--#echo var=\"server_addr\" -->")
        .start();
    s.get("/a.html").is(200).body_is("127.0.0.1");
}
