//! What clients stored is not run where the path of a file does not follow from its request's URI: by `rewrite …
//! break`, aliases of one file, variables, a trash, `//`, or a name that a form gives.

use crate::gateways::{Kind, application};
use crate::harness::{Server, Setup, Table, http, ours, post_files};
use crate::table::skip_on_nginx;

const SCRIPT: &str = "printf '\\nEXECUTED'";
const PAGE: &str = "<!--#include virtual=\"/closed/secret\" -->";
const WHY: &str = "uploads and CGI are ours";

fn setup() -> Setup {
    let php = application(Kind::FastCgi, b"\r\nEXECUTED").address;
    let setup = http(&format!(
        "map $arg_d $place {{ default %%DIR%%/html/r8; other %%DIR%%/other; }}
         map $arg_d $missing {{ other %%DIR%%/other; }}
         server {{ listen 127.0.0.1:%%PORT%%; set $outer $document_root; root %%DIR%%/html; upload_serve inline;
             location ^~ /broken/ {{ dav_methods PUT; rewrite ^/broken/(.*)$ /r1/$1 break; }}
             location ^~ /broken-if/ {{ dav_methods PUT; if ($request_method) {{ rewrite ^/broken-if/(.*)$ /r2/$1 break; }} }}
             location ^~ /broken-later/ {{ dav_methods PUT; rewrite ^/broken-later/(.*)$ /r3/$1; break; }}
             location ^~ /tried/ {{ allowed_methods GET PUT; try_files /r4/$arg_n =404; }}
             location = /exact {{ alias %%DIR%%/html/r5/x.sh; allowed_methods GET PUT; }}
             location = /exact-page {{ alias %%DIR%%/html/r5/a.html; allowed_methods GET PUT; }}
             location = /into/ {{ alias %%DIR%%/html/r6/; allowed_methods GET POST; }}
             location ^~ /store/ {{ upload_store $document_root/r7; }}
             location ^~ /mapped/ {{ upload_store $place; }}
             location ^~ /set/ {{ set $own $document_root; upload_store $own/r9; }}
             location ^~ /outer/ {{ root %%DIR%%/other; upload_store $outer/r11; }}
             location ^~ /nowhere/ {{ upload_store $missing/r9; }}
             location ^~ /trashed/ {{ allowed_methods GET PUT DELETE; delete_trash %%DIR%%/html/r10; }}
             location /forms/ {{ allowed_methods GET POST; upload_create_path on; }}
             location /forms/run/ {{ allowed_methods GET POST; cgi_extension .sh /bin/sh; ssi on; ssi_types *; }}
             location /closed/ {{ deny all; }}
             location /run/ {{ cgi_extension .sh /bin/sh; ssi on; ssi_types *; }}
             location ~ \\.php$ {{ fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; fastcgi_pass {php}; }}
             location ~ ^/r[0-9] {{ cgi_extension .sh /bin/sh; ssi on; ssi_types *; }}
             location ~ \\.own$ {{ cgi_extension .own /bin/sh; }}
             location ~ \\.shtml$ {{ ssi on; ssi_types *; }} }}
         server {{ listen 127.0.0.1:%%PORT1%%; root %%DIR%%/doubled; merge_slashes off;
             location / {{ dav_methods PUT; }}
             location /run/ {{ cgi_extension .sh /bin/sh; }} }}"
    ));
    let mut setup = setup.mkdir("html/forms/run").mkdir("html/trashed").mkdir("doubled/run").mkdir("other/r9");
    for at in 1..=11 {
        setup = setup.mkdir(&format!("html/r{at}"));
    }
    setup
        .file("html/r4/x.sh", "")
        .file("html/r4/a.html", "")
        .file("html/closed/secret", "SECRET")
        .file("html/run/x.sh", SCRIPT)
        .file("html/run/a.html", PAGE)
        .file("html/ok.php", "")
        .allow_log("upload")
        .allow_log("lies where")
}

fn put(s: &Server, target: &str, content: &str) {
    let status = s.method("PUT", target, "", content.as_bytes()).status;
    assert!(matches!(status, 201 | 204), "PUT {target}: {status}");
}

fn form(s: &Server, target: &str, name: &str, content: &str) {
    post_files(s, target, &[(name, content)]).is(201);
}

fn store(s: &Server) {
    for at in ["/broken/", "/broken-if/", "/broken-later/"] {
        put(s, &format!("{at}x.sh"), SCRIPT);
        put(s, &format!("{at}a.html"), PAGE);
    }
    // What try_files finds is not what is written.
    for (name, content) in [("x.sh", SCRIPT), ("a.html", PAGE)] {
        s.method("PUT", &format!("/tried/q?n={name}"), "", content.as_bytes()).is(409);
        assert_eq!(s.read(&format!("html/r4/{name}")), b"");
        assert!(!s.exists("html/tried/q"), "nor beside it");
    }
    put(s, "/exact", SCRIPT);
    put(s, "/exact-page", PAGE);
    for at in ["/into/", "/store/", "/mapped/", "/set/", "/outer/"] {
        form(s, at, "x.sh", SCRIPT);
        form(s, at, "a.html", PAGE);
    }
    put(s, "/trashed/x.php", "");
    s.method("DELETE", "/trashed/x.php", "", b"").is(204);
    for (name, content) in [("run/x.sh", SCRIPT), ("run/a.html", PAGE), ("x.own", SCRIPT), ("a.shtml", PAGE)] {
        form(s, "/forms/", name, content);
    }
    s.client_at(1)
        .request(format!("PUT //run/x.sh HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{SCRIPT}", SCRIPT.len()))
        .is(201);
}

#[test]
fn an_upload_is_not_run_where_its_path_does_not_follow_from_its_uri() {
    if skip_on_nginx(WHY) {
        return;
    }
    let s = setup().start();
    store(&s);
    let mut table = Table::new("uploads at other paths");
    for at in (1..=3).chain(5..=9).chain([11]) {
        table.row(ours(WHY), &format!("a program in r{at}"), || {
            s.get(&format!("/r{at}/x.sh")).is(403);
        });
        table.row(ours(WHY), &format!("a page in r{at}"), || {
            s.get(&format!("/r{at}/a.html")).is(200).body_is(PAGE);
        });
    }
    table.row(ours(WHY), "a store without a value", || {
        s.method("POST", "/nowhere/", "Content-Type: text/plain\r\n", b"x").is(500);
        form(&s, "/nowhere/?d=other", "x.sh", SCRIPT);
    });
    let rows: &[(usize, &str, u16, &str)] = &[
        (0, "/r10/x.php", 403, ""),
        (0, "/forms/run/x.sh", 403, ""),
        (0, "/forms/run/a.html", 200, PAGE),
        (0, "/forms/x.own", 403, ""),
        (0, "/forms/a.shtml", 200, PAGE),
        (1, "/run/x.sh", 403, ""),
        // Programs beside them go on.
        (0, "/run/x.sh", 200, "EXECUTED"),
        (0, "/run/a.html", 200, "SECRET"),
        (0, "/ok.php", 200, "EXECUTED"),
    ];
    for (at, target, status, body) in rows {
        table.row(ours(WHY), &format!("{at} {target}"), || {
            let answer =
                s.client_at(*at).request(format!("GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
            answer.is(*status);
            if !body.is_empty() {
                answer.body_is(body);
            }
        });
    }
    let said = String::from_utf8_lossy(&s.setup.test_config().stderr).into_owned();
    let warned =
        |text: &str| said.lines().any(|line| line.starts_with(|b: char| b.is_ascii_digit()) && line.contains(text));
    for text in ["location ~ ^/r[0-9]", "location ~ \\.php$", "location ~ \\.own$", "location /forms/run/"] {
        assert!(warned(text), "{text}: {said}");
    }
    let count = said.lines().filter(|line| line.contains("programs are run below a place")).count();
    assert_eq!(count, 5, "{said}");
}
