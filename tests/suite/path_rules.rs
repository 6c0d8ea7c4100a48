//! The rules of a location hold for every way into it: for whatever a form brings, a COPY or MOVE reads or writes, and
//! a tree holds.

mod other_uris;
mod places_below;

use crate::client::Response;
use crate::harness::{OWN_FORM, Server, Setup, Table, eventually, http, ours, server, skip_on_nginx};

const OURS: crate::harness::Runs = ours("nginx judges the request's own URI only");

fn transfer(s: &Server, method: &str, from: &str, to: &str) -> Response {
    s.method(method, from, &format!("Destination: {to}\r\n"), b"")
}

fn form(s: &Server, target: &str, name: &str) -> Response {
    form_of(s, target, name, "x")
}

fn form_of(s: &Server, target: &str, name: &str, content: &str) -> Response {
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\nContent-Type: image/png\r\n\r\n{content}\r\n--b--\r\n"
    );
    s.method("POST", target, "Content-Type: multipart/form-data; boundary=b\r\n", body.as_bytes())
}

const DAV: &str = "dav_methods PUT DELETE MKCOL COPY MOVE;";

/// A tree `/up/NAME/` with a file that may be read and one that may not, for every way to say so.
fn guarded() -> Setup {
    let block = format!(
        "location /up/ {{ {DAV} location /up/nested/in/ {{ deny all; }} location = /up/exact/x {{ deny all; }} }}
         location ~ \\.secret$ {{ deny all; }}
         location ~ /\\.git {{ return 404; }}
         location ~ \\.inside$ {{ internal; }}
         location ~ \\.php$ {{ proxy_pass http://127.0.0.1:1; }}
         location ~ \\.locked$ {{ auth_basic other; auth_basic_user_file %%DIR%%/users; }}
         location ~ \\.fixed$ {{ allowed_methods GET; }}
         location ~ \\.moved$ {{ root %%DIR%%/elsewhere; }}
         location /if/ {{ {DAV} if ($uri ~ hidden) {{ return 403; }} }}
         location ~ ^/of/(?<who>[a-z]+)/ {{ {DAV} auth_basic mine; auth_basic_user_file %%DIR%%/$who.users; }}
         location /trashing/ {{ allowed_methods GET DELETE; delete_recursive on; delete_trash %%DIR%%/trash; }}
         location /removing/ {{ allowed_methods GET DELETE; delete_recursive on; }}"
    );
    let mut setup = server(&block).file("users", "u:{PLAIN}p\n").mkdir("html/up/free").mkdir("trash");
    for tree in ["up", "trashing", "removing"] {
        for name in ["a.secret", ".git/config", "a.php", "a.locked", "a.inside", "a.fixed", "a.moved"] {
            let dir = name.trim_start_matches("a.").trim_start_matches('.').split('/').next().expect("one");
            setup = setup
                .file(&format!("html/{tree}/{dir}/deep/{name}"), "secret")
                .file(&format!("html/{tree}/{dir}/plain"), "plain");
        }
    }
    setup
        .file("html/up/nested/in/x", "secret")
        .file("html/up/exact/x", "secret")
        .file("html/if/a/hidden", "secret")
        .file("html/if/plain", "plain")
        .file("html/of/ann/f", "ann's")
        .file("html/of/bob/f", "bob's")
        .file("ann.users", "ann:{PLAIN}p\n")
        .file("bob.users", "bob:{PLAIN}p\n")
        .file("html/up/clean/in/x", "plain")
}

#[test]
fn a_tree_is_not_copied_moved_or_removed_past_the_rules_of_what_is_in_it() {
    if skip_on_nginx("it judges the request's own URI only") {
        return;
    }
    let s = guarded().start();
    let before = s.snapshot("html");
    let mut table = Table::new("rules below a tree");
    for dir in ["secret", "git", "php", "locked", "inside", "moved"] {
        table.row(OURS, &format!("COPY of a tree with {dir}"), || {
            transfer(&s, "COPY", &format!("/up/{dir}/"), "/up/copy/").is(403);
        });
    }
    for dir in ["secret", "git", "php", "locked", "inside", "fixed", "moved"] {
        table.row(OURS, &format!("MOVE and DELETE of a tree with {dir}"), || {
            transfer(&s, "MOVE", &format!("/up/{dir}/"), "/up/copy/").is(403);
            s.method("DELETE", &format!("/up/{dir}/"), "", b"").is(403);
            s.method("DELETE", &format!("/removing/{dir}/"), "", b"").is(403);
            s.method("DELETE", &format!("/trashing/{dir}"), "", b"").is(403);
        });
        table.row(OURS, &format!("a tree is not written over one with {dir}"), || {
            transfer(&s, "COPY", "/up/clean/", &format!("/up/{dir}/")).is(403);
        });
    }
    table.row(OURS, "nested and exact locations", || {
        for from in ["/up/nested/", "/up/exact/"] {
            transfer(&s, "COPY", from, "/up/copy/").is(403);
            transfer(&s, "MOVE", from, "/up/copy/").is(403);
            s.method("DELETE", from, "", b"").is(403);
        }
    });
    table.row(OURS, "a script that looks at the URI", || {
        transfer(&s, "COPY", "/if/a/", "/if/b/").is(403);
        transfer(&s, "COPY", "/if/plain", "/if/hidden").is(403);
    });
    table.row(OURS, "passwords that depend on the URI", || {
        let ann = "Authorization: Basic YW5uOnA=\r\n";
        s.get_with("/of/ann/f", ann).is(200);
        s.get_with("/of/bob/f", ann).is(401);
        for method in ["COPY", "MOVE"] {
            s.method(method, "/of/ann/f", &format!("Destination: /of/bob/g\r\n{ann}"), b"").is(403);
            s.method(method, "/of/ann/f", &format!("Destination: /of/bob/f\r\n{ann}"), b"").is(403);
        }
        s.method("COPY", "/of/ann/f", &format!("Destination: /of/ann/g\r\n{ann}"), b"").is(204);
        s.method("DELETE", "/of/ann/g", ann, b"").is(204);
    });
    table.row(OURS, "a directory of another location", || {
        s.method("MKCOL", "/up/nested/in", "", b"").is(403);
    });
    table.row(OURS, "all is as it was, and nothing is in the trash", || {
        assert_eq!(s.snapshot("html"), before);
        assert_eq!(s.snapshot("trash").len(), 0);
    });
    table.row(OURS, "what has no such rule goes on", || {
        transfer(&s, "COPY", "/up/clean/", "/up/copy/").is(201);
        transfer(&s, "COPY", "/up/fixed/", "/up/fixed2/").is(403);
        s.method("COPY", "/up/nested/", "Destination: /up/shallow/\r\nDepth: 0\r\n", b"").is(201);
        transfer(&s, "MOVE", "/up/copy/", "/up/free/").is(201);
        s.method("DELETE", "/up/free/", "", b"").is(204);
        assert!(!s.exists("html/up/free") && !s.exists("html/up/copy"));
    });
}

#[test]
fn what_a_form_or_a_resumable_upload_brings_is_judged_by_the_location_it_belongs_to() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = server(
        "location /up/ { allowed_methods GET POST; upload_resumable on; }
         location ~ \\.secret$ { deny all; }
         location ~ \\.gone$ { return 404; }
         location ~ \\.php$ { proxy_pass http://127.0.0.1:1; }
         location ~ \\.fixed$ { allowed_methods GET; }
         location ~ \\.small$ { upload_max_file_size 1; upload_types image/*; }
         location ~ \\.gif$ { expires 1d; }
         location = /up/config.json { allowed_methods GET; }
         location /named/ { allowed_methods POST; upload_filename $upload_field_as; }",
    )
    .mkdir("html/up")
    .mkdir("html/named")
    .start();
    let mut table = Table::new("rules of a form's files");
    let tus = |name: &str, length: usize| {
        let mut encoded = Vec::new();
        for chunk in name.as_bytes().chunks(3) {
            const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let n = chunk.iter().chain([&0, &0]).take(3).fold(0, |n, b| n << 8 | usize::from(*b));
            let digits = (0..4).map(|at| DIGITS[n >> (18 - 6 * at) & 63]);
            encoded.extend(digits.take(chunk.len() + 1));
            encoded.resize(encoded.len().next_multiple_of(4), b'=');
        }
        let name = String::from_utf8(encoded).expect("base64");
        let fields = format!("Tus-Resumable: 1.0.0\r\nUpload-Length: {length}\r\nUpload-Metadata: filename {name}\r\n");
        s.method("POST", "/up/", &fields, b"")
    };
    for name in ["a.secret", "a.gone", "a.php", "a.fixed", "config.json"] {
        table.row(OURS, name, || {
            form(&s, "/up/", name).is(403);
            let raw = format!("Content-Disposition: attachment; filename=\"{name}\"\r\n");
            s.method("POST", "/up/", &raw, b"x").is(403);
            tus(name, 1).is(403);
        });
    }
    table.row(OURS, "limits of the other location", || {
        form(&s, "/up/", "one.small").is(201);
        s.method(
            "POST",
            "/up/",
            "Content-Disposition: attachment; filename=a.small\r\nContent-Type: image/png\r\n",
            b"xy",
        )
        .is(413);
        s.method(
            "POST",
            "/up/",
            "Content-Disposition: attachment; filename=a.small\r\nContent-Type: text/html\r\n",
            b"x",
        )
        .is(415);
        tus("a.small", 2).is(415);
    });
    table.row(OURS, "a name made of a field that comes later", || {
        let body = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n\r\nx\r\n--b\r\nContent-Disposition: form-data; name=\"as\"\r\n\r\na.secret\r\n--b--\r\n";
        s.method("POST", "/named/", "Content-Type: multipart/form-data; boundary=b\r\n", body.as_bytes()).is(403);
    });
    table.row(OURS, "a location that says nothing of methods takes what a form brings", || {
        form(&s, "/up/", "a.gif").is(201);
        form(&s, "/up/", "a.txt").is(201);
        tus("b.gif", 1).is(201);
    });
    table.row(OURS, "nothing else was stored", || {
        let names: Vec<String> = s.snapshot("html").into_keys().filter(|name| !name.contains("webserv")).collect();
        assert!(
            !names.iter().any(|name| ["secret", "gone", "php", "fixed", "json"].iter().any(|end| name.ends_with(end))),
            "{names:?}"
        );
    });
}

#[test]
fn copies_and_moves_keep_the_limits_of_uploads() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = server(&format!(
        "client_max_body_size 10m;
         location /quota/ {{ {DAV} upload_quota 10k files=4; }}
         location /names/ {{ {DAV} upload_extensions .jpg .txt !.php; }}
         location /types/ {{ {DAV} upload_types image/*; }}
         location /size/ {{ {DAV} upload_max_file_size 1k; }}
         location /room/ {{ {DAV} upload_min_free 100%; }}"
    ))
    .file("html/quota/a", [b'x'; 4000])
    .file("html/quota/d/in/b", [b'x'; 4000])
    .file("html/names/a.jpg", "x")
    .file("html/names/d/old.php", "x")
    .file("html/types/a.jpg", "x")
    .file("html/types/bare", "x")
    .file("html/size/big", [b'x'; 2000])
    .file("html/size/d/big", [b'x'; 2000])
    .file("html/room/a", "x")
    .mkdir("html/room/d")
    .start();
    let mut table = Table::new("limits of COPY and MOVE");
    table.row(OURS, "upload_quota", || {
        transfer(&s, "COPY", "/quota/a", "/quota/c").is(507);
        transfer(&s, "COPY", "/quota/d/", "/quota/e/").is(507);
        transfer(&s, "COPY", "/quota/a", "/quota/d/in/b").is(204);
        transfer(&s, "MOVE", "/quota/a", "/quota/c").is(204);
        transfer(&s, "MOVE", "/quota/d/", "/quota/e/").is(201);
        s.method("DELETE", "/quota/c", "", b"").is(204);
        transfer(&s, "COPY", "/quota/e/", "/quota/d/").is(201);
        transfer(&s, "COPY", "/quota/e/", "/quota/d/").is(201);
        transfer(&s, "COPY", "/quota/e/in/b", "/quota/x").is(507);
    });
    table.row(OURS, "upload_extensions", || {
        for method in ["COPY", "MOVE"] {
            transfer(&s, method, "/names/a.jpg", "/names/a.php").is(415);
            transfer(&s, method, "/names/a.jpg", "/names/a").is(415);
            transfer(&s, method, "/names/d/", "/names/e/").is(415);
        }
        transfer(&s, "MOVE", "/names/a.jpg", "/names/b.txt").is(204);
    });
    table.row(OURS, "upload_types", || {
        for method in ["COPY", "MOVE"] {
            transfer(&s, method, "/types/a.jpg", "/types/a.html").is(415);
        }
        transfer(&s, "COPY", "/types/bare", "/types/bare2").is(204);
        transfer(&s, "COPY", "/types/a.jpg", "/types/a.png").is(204);
    });
    table.row(OURS, "upload_max_file_size", || {
        transfer(&s, "COPY", "/size/big", "/size/c").is(413);
        transfer(&s, "COPY", "/size/d/", "/size/e/").is(413);
        assert!(!s.exists("html/size/e"));
    });
    table.row(OURS, "upload_min_free", || {
        transfer(&s, "COPY", "/room/a", "/room/c").is(507);
        transfer(&s, "COPY", "/room/d/", "/room/e/").is(507);
        transfer(&s, "MOVE", "/room/a", "/room/c").is(204);
    });
}

#[test]
fn a_tree_deeper_than_a_path_may_be_long_is_judged_whole() {
    if skip_on_nginx("it judges the request's own URI only") {
        return;
    }
    let s = server(
        "location /a/ { allowed_methods GET DELETE; delete_recursive on; }
         location ~ \\.secret$ { deny all; }",
    )
    .mkdir("html/a")
    .start();
    for (name, status) in [("x.secret", 403), ("x", 204)] {
        s.write("html/a/leaf/x.tmp", "x");
        std::fs::rename(s.path("html/a/leaf/x.tmp"), s.path("html/a/leaf").join(name)).expect("rename");
        // Each level is put into one more.
        std::fs::rename(s.path("html/a/leaf"), s.path("html/a/t")).expect("rename");
        for _ in 0..60 {
            std::fs::create_dir(s.path("html/a/o")).expect("mkdir");
            std::fs::rename(s.path("html/a/t"), s.path("html/a/o").join("d".repeat(200))).expect("rename");
            std::fs::rename(s.path("html/a/o"), s.path("html/a/t")).expect("rename");
        }
        s.method("DELETE", "/a/t", "", b"").is(status);
        assert_eq!(s.exists("html/a/t"), status == 403, "{name}");
        if status == 403 {
            std::fs::rename(s.path("html/a/t"), s.path("old")).expect("rename");
        }
    }
}

/// Files that come into a tree while it goes: what may not be removed there stays, and what was answered with success
/// is there or was removed as all the rest.
#[test]
fn what_comes_into_a_tree_that_is_being_removed_is_judged_too() {
    if skip_on_nginx("it judges the request's own URI only") {
        return;
    }
    let block = "location /up/ { dav_methods PUT DELETE; }
                 location ~ ^/up/.*\\.fixed$ { dav_methods PUT; }";
    let s = server(block).mkdir("html/up/tree").start();
    let dirs = 40;
    for dir in 0..dirs {
        let path = s.path(&format!("html/up/tree/{dir}"));
        std::fs::create_dir(&path).expect("a directory");
        for n in 0..500 {
            std::fs::write(path.join(n.to_string()), "").expect("a file");
        }
    }
    let left = || (0..dirs).filter(|dir| s.exists(&format!("html/up/tree/{dir}"))).count();
    let mut removal = s.client();
    removal.send("DELETE /up/tree/ HTTP/1.1\r\nHost: a\r\n\r\n");
    // All have been judged by now, and the first directory is gone.
    eventually("it goes", || left() < dirs);
    let stored: Vec<String> = (0..dirs)
        .map(|dir| format!("/up/tree/{dir}/late.fixed"))
        .filter(|uri| s.method("PUT", uri, "", b"late").status == 201)
        .collect();
    let answer = removal.response();
    for uri in &stored {
        assert_eq!(s.read(&format!("html{uri}")), b"late", "{uri} after {}", answer.status);
    }
    // 409: it came when nothing was found any more, and its directory was to go.
    answer.is_one_of(if stored.is_empty() { &[204] } else { &[403, 409] });
}

#[test]
fn a_hidden_directory_does_not_stop_a_removal_where_dot_files_are_denied() {
    if skip_on_nginx("it judges the request's own URI only") {
        return;
    }
    let block = "location /up/ { dav_methods PUT DELETE; }
                 location ~ /\\. { deny all; }";
    let hidden = "html/up/tree/.webserv-copy-1";
    let s = server(block)
        .file(&format!("{hidden}/file"), "left by a process that was killed")
        .file(&format!("{hidden}/in/ner/file"), "and below")
        .file("html/up/tree/file", "seen")
        .start();
    s.method("DELETE", "/up/tree/", "", b"").is(204);
    assert!(!s.exists("html/up/tree"));
}

#[test]
fn a_path_that_is_only_judged_does_not_end_the_connection() {
    if skip_on_nginx("nginx judges the request's own URI only") {
        return;
    }
    let s = server(&format!(
        "location /dav/ {{ {DAV} }} location = /text {{ return 200 text; }}
         location /dav/moved/ {{ {DAV} keepalive_timeout 0; rewrite ^ /dav/x last; }}
         location /dav/zero/ {{ {DAV} keepalive_timeout 0; }}"
    ))
    .file("html/dav/a", "A")
    .mkdir("html/dav/zero")
    .start();
    for to in ["/dav/moved/b", "/dav/zero/b"] {
        let mut client = s.client();
        client.send(format!("COPY /dav/a HTTP/1.1\r\nHost: a.test\r\nDestination: {to}\r\n\r\n"));
        let answer = client.response();
        assert_ne!(answer.header("Connection"), Some("close"), "{to}: {}", answer.show());
        client.expect_alive("/text", 200);
    }
}

/// Each a place below `/files/` that its own GET, PUT and DELETE may not reach: its name, and what says so.
const CLOSED: [(&str, &str); 9] = [
    ("denied", "location /files/denied/ { deny all; }"),
    ("inner", "location /files/inner/ { internal; }"),
    ("asked", "location /files/asked/ { auth_request /no; }"),
    ("either", "location /files/either/ { satisfy any; auth_request /no; }"),
    ("all", "location /files/all/ { satisfy any; deny all; auth_request /no; }"),
    ("locked", "location /files/locked/ { auth_basic a; auth_basic_user_file %%DIR%%/users; }"),
    ("target", "if ($request_uri ~ ^/files/target/) { return 403; }"),
    ("line", "if ($request ~ \"^[A-Z]+ /files/line/[^ ]* HTTP/\") { return 403; }"),
    ("mapped", "if ($no) { return 403; }"),
];

/// `auth_request` and what a script says of `$request_uri` hold for every way into a place, as `deny` does.
#[test]
fn no_way_leads_past_what_refuses_a_request_of_its_own() {
    if skip_on_nginx("it judges the request's own URI only") {
        return;
    }
    let rules: String = CLOSED.iter().map(|(_, rule)| format!("{rule}\n")).collect();
    let mut setup = http(&format!(
        "map $request_uri $no {{ default 0; ~^/files/mapped/ 1; }}
         map $request_uri $tried {{ default $uri; ~^(/files)?/tried/(in/|hidden/) /none; }}
         log_format line '$request';
         access_log logs/lines.log line;
         server {{
             listen 127.0.0.1:%%PORT%%; root %%DIR%%/html;
             location = /no {{ return 403; }}
             location /files/ {{
                 {DAV} allowed_methods GET PUT POST DELETE PROPFIND MKCOL COPY MOVE; autoindex on; autoindex_format page;
                 autoindex_upload on;
                 autoindex_archive tar; upload_create_path on; upload_resumable on; delete_recursive on;
                 {rules}
                 location /files/tried/ {{ try_files $tried =404; }}
             }}
             location /moved/ {{ try_files $uri $uri/ =404; dav_methods MOVE; }}
             location /tried/ {{
                 try_files $tried $tried/ =404; autoindex on; autoindex_format page; autoindex_archive tar;
             }}
         }}"
    ))
    .file("users", "u:{{PLAIN}}p\n");
    for (name, _) in CLOSED {
        setup = setup.file(&format!("html/files/{name}/hidden/kept"), "secret");
    }
    let s = setup
        .file("html/files/open/hidden/kept", "open")
        .file("html/files/tried/hidden/kept", "")
        .file("html/tried/in/kept", "")
        .file("html/moved/d/file", "")
        .link("html/moved/d/dangling", "nothing")
        .file("html/tried/open", "")
        .file("html/files/open/gone", "")
        .file("html/files/open/here", "")
        .start();
    let mut table = Table::new("ways into a place");
    let archive = s.get("/files/?archive=tar").is(200).text().to_owned();
    let archive_of_files = archive.clone();
    let found = s.get("/files/?search=hidden").is(200).text().to_owned();
    assert!(archive.contains("open/hidden/kept") && found.contains("open/hidden"));
    table.row(OURS, "try_files by the target", || {
        s.get("/tried/in/kept").is(404);
        let archive = s.get("/tried/?archive=tar").is(200).text();
        assert!(archive.contains("open"));
        for text in [archive, s.get("/tried/?search=kept").is(200).text(), archive_of_files.clone()] {
            assert!(!text.contains("in/kept") && !text.contains("tried/hidden"), "{text}");
        }
    });
    table.row(OURS, "a link that leads nowhere is moved with its folder", || {
        transfer(&s, "MOVE", "/moved/d/", "/moved/e/").is(201);
        assert!(s.exists("html/moved/e/file") && s.path("html/moved/e/dangling").is_symlink());
    });
    let small = |target: &str, body: &str| s.method("POST", target, OWN_FORM, body.as_bytes());
    table.row(OURS, "what no rule refuses", || {
        small("/files/open/", "webserv-delete=gone").is(303);
        small("/files/open/", "webserv-move=here&webserv-to=%2Ffiles%2Fopen%2Fthere").is(303);
        assert!(!s.exists("html/files/open/gone") && s.exists("html/files/open/there"));
    });
    for (name, _) in CLOSED {
        table.row(OURS, name, || {
            let refused = |answer: Response| assert!([401, 403, 404].contains(&answer.status), "{}", answer.status);
            let place = format!("/files/{name}/");
            refused(s.get(&format!("{place}hidden/kept")));
            assert!(!archive.contains(&format!("{name}/hidden")), "the archive");
            assert!(!found.contains(&format!("{name}/hidden")), "the search");
            form(&s, "/files/", &format!("{name}/new")).is(403);
            transfer(&s, "COPY", "/files/open/", &place).is(403);
            transfer(&s, "COPY", "/files/open/hidden/kept", &format!("{place}new")).is(403);
            for method in ["COPY", "MOVE"] {
                refused(transfer(&s, method, &place, "/files/open/taken/"));
                refused(transfer(&s, method, &format!("{place}hidden/"), "/files/open/taken/"));
                refused(transfer(&s, method, &format!("{place}hidden/kept"), "/files/open/taken"));
            }
            refused(small(&format!("{place}hidden/"), "webserv-delete=kept"));
            refused(small(&format!("{place}hidden/"), "webserv-move=kept&webserv-to=%2Ffiles%2Fopen%2Ftaken"));
            refused(small("/files/", &format!("webserv-delete={name}/")));
            refused(small("/files/", &format!("webserv-move={name}/&webserv-to=%2Ffiles%2Fopen%2Ftaken")));
            assert_eq!(s.read(&format!("html/files/{name}/hidden/kept")), b"secret");
        });
    }
    table.row(OURS, "nothing else is there", || {
        let names: Vec<String> = s.snapshot("html/files").into_keys().collect();
        let files: Vec<&String> = names.iter().filter(|name| !name.ends_with("hidden/kept")).collect();
        assert!(files.iter().all(|name| !name.ends_with("new") && !name.contains("taken")), "{files:?}");
    });
    // The log tells what the client sent, not what was supposed.
    s.await_file("logs/lines.log", |log| log.contains("POST /files/ HTTP/") && !log.contains("DELETE /files/"));
}
