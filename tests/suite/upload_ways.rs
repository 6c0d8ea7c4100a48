//! Every rule of uploads against every way that a file can come in: what one way refuses, all refuse, and nothing of it
//! is left. Each way is shown to work with what the rules allow.

use crate::client::Response;
use crate::harness::{LOCKINFO, Server, Table, ours, skip_on_nginx};
use std::collections::BTreeMap;

const OURS: crate::harness::Runs = ours("uploads");

/// A file to be brought.
#[derive(Clone, Copy)]
struct Item {
    /// As in a URI: a backslash is `%5C`.
    name: &'static str,
    kind: &'static str,
    content: &'static str,
}

impl Item {
    /// The name as forms and file systems have it.
    fn plain(self) -> String {
        self.name.replace("%5C", "\\")
    }
}

const GOOD: Item = Item { name: "good.txt", kind: "text/plain", content: "ok" };

/// A location with one rule, and what breaks it.
struct Rule {
    title: &'static str,
    settings: &'static str,
    /// Below the area.
    dir: &'static str,
    bad: Item,
    /// The rule is about bytes that come: what moves within the area is as it was.
    counts_bytes: bool,
    /// It is about one path, or about what a file was when it came: not about trees that hold such a file already.
    spares_trees: bool,
    /// Nothing at all may come, not even what is good.
    refuses_all: bool,
}

const fn rule(title: &'static str, settings: &'static str, dir: &'static str, bad: Item) -> Rule {
    Rule { title, settings, dir, bad, counts_bytes: false, spares_trees: false, refuses_all: false }
}

const fn of_one(rule: Rule) -> Rule {
    Rule { spares_trees: true, ..rule }
}

const LONG: &str = "0123456789012345678901234567890123456789";

const RULES: &[Rule] = &[
    rule("upload_extensions, a list", "upload_extensions .txt;", "", Item { name: "bad.html", ..GOOD }),
    rule("upload_extensions, a denied one", "upload_extensions !.php;", "", Item { name: "bad.php.txt", ..GOOD }),
    of_one(rule("upload_types", "upload_types text/*;", "", Item { name: "bad.png", kind: "image/png", ..GOOD })),
    rule("upload_max_file_size", "upload_max_file_size 30;", "", Item { name: "bad.txt", content: LONG, ..GOOD }),
    of_one(rule("upload_names", "", "", Item { name: "bad%5C.txt", ..GOOD })),
    rule("a regex location that is denied", "", "", Item { name: "bad.secret", ..GOOD }),
    rule("a regex location that is internal", "", "", Item { name: "bad.inside", ..GOOD }),
    rule("a regex location that a backend answers", "", "", Item { name: "bad.php", ..GOOD }),
    rule("allowed_methods of a regex location", "", "", Item { name: "bad.fixed", ..GOOD }),
    rule("limits of a regex location", "", "", Item { name: "bad.small", content: LONG, ..GOOD }),
    rule(
        "a nested location that is denied",
        "location ^~ /NAME/in/ { deny all; }",
        "in/",
        Item { name: "bad.txt", ..GOOD },
    ),
    of_one(rule(
        "an exact location that is denied",
        "location = /NAME/bad.txt { deny all; }",
        "",
        Item { name: "bad.txt", ..GOOD },
    )),
    rule("a script that refuses", "if ($uri ~ bad) { return 403; }", "", Item { name: "bad.txt", ..GOOD }),
    Rule {
        counts_bytes: true,
        ..rule("upload_quota", "upload_quota 230;", "", Item { name: "bad.txt", content: LONG, ..GOOD })
    },
    Rule {
        counts_bytes: true,
        refuses_all: true,
        ..rule("upload_quota of files", "upload_quota 1m files=4;", "", Item { name: "bad.txt", ..GOOD })
    },
    Rule {
        counts_bytes: true,
        refuses_all: true,
        ..rule("upload_min_free", "upload_min_free 100%;", "", Item { name: "bad.txt", ..GOOD })
    },
];

type Way = (&'static str, fn(&Server, &str, &str, Item) -> Vec<Response>);

/// `area` ends in a slash; `dir` is below it, empty or ending in one. The last response is the one that stores.
const WAYS: &[Way] = &[
    ("PUT", |s, area, dir, item| vec![put(s, &format!("{area}{dir}{}", item.name), item, "")]),
    ("PUT in chunks", |s, area, dir, item| {
        let fields = format!("Content-Type: {}\r\nTransfer-Encoding: chunked\r\n", item.kind);
        let text = format!("{:x}\r\n{}\r\n0\r\n\r\n", item.content.len(), item.content);
        let target = format!("{area}{dir}{}", item.name);
        vec![s.send(format!("PUT {target} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n{text}"))]
    }),
    ("POST to the file", |s, area, dir, item| {
        let fields = format!("Content-Type: {}\r\n", item.kind);
        vec![s.method("POST", &format!("{area}{dir}{}", item.name), &fields, item.content.as_bytes())]
    }),
    ("POST to the directory", |s, area, dir, item| {
        let fields = format!(
            "Content-Type: {}\r\nContent-Disposition: attachment; filename*=UTF-8''{}\r\n",
            item.kind, item.name
        );
        vec![s.method("POST", &format!("{area}{dir}"), &fields, item.content.as_bytes())]
    }),
    ("a form", |s, area, dir, item| vec![form(s, &format!("{area}{dir}"), &[(&item.plain(), item)])]),
    ("a form, beside a good file", |s, area, dir, item| {
        vec![form(s, &format!("{area}{dir}"), &[("beside.txt", GOOD), (&item.plain(), item)])]
    }),
    ("a form with a folder", |s, area, dir, item| {
        let name = format!("{dir}{}", item.plain());
        let name = if dir.is_empty() { format!("folder/{name}") } else { name };
        vec![form(s, area, &[(&name, item)])]
    }),
    ("tus", |s, area, dir, item| tus(s, &format!("{area}{dir}"), item, &Tus::default())),
    ("tus with its content at once", |s, area, dir, item| {
        tus(s, &format!("{area}{dir}"), item, &Tus { at_once: true, ..Tus::default() })
    }),
    ("tus whose length comes later", |s, area, dir, item| {
        tus(s, &format!("{area}{dir}"), item, &Tus { deferred: true, ..Tus::default() })
    }),
    ("tus with a folder", |s, area, dir, item| {
        let folder = if dir.is_empty() { "folder/" } else { dir };
        tus(s, area, item, &Tus { folder, ..Tus::default() })
    }),
    ("tus of parts", |s, area, dir, item| {
        let target = format!("{area}{dir}");
        let (one, two) = item.content.split_at(1);
        let mut urls = Vec::new();
        let mut all = Vec::new();
        for text in [one, two] {
            let fields = format!(
                "Tus-Resumable: 1.0.0\r\nUpload-Length: {}\r\nUpload-Concat: partial\r\nContent-Type: application/offset+octet-stream\r\n",
                text.len()
            );
            let r = s.method("POST", &target, &fields, text.as_bytes());
            let url = r.header("Location").map(str::to_owned);
            all.push(r);
            let Some(url) = url else { return all };
            urls.push(url);
        }
        let fields = format!(
            "Tus-Resumable: 1.0.0\r\nUpload-Concat: final;{}\r\nUpload-Metadata: filename {},filetype {}\r\n",
            urls.join(" "),
            base64(item.plain().as_bytes()),
            base64(item.kind.as_bytes())
        );
        all.push(s.method("POST", &target, &fields, b""));
        all
    }),
    ("the draft, by POST", |s, area, dir, item| {
        let fields = format!("Content-Disposition: attachment; filename*=UTF-8''{}\r\n", item.name);
        draft(s, "POST", &format!("{area}{dir}"), &fields, item)
    }),
    ("the draft, by PUT", |s, area, dir, item| draft(s, "PUT", &format!("{area}{dir}{}", item.name), "", item)),
    ("COPY", |s, area, dir, item| {
        write(s, area, "from/source.zzz.txt", item.content);
        vec![transfer(s, "COPY", &format!("{area}from/source.zzz.txt"), &format!("{area}{dir}{}", item.name))]
    }),
    ("COPY to a whole URL", |s, area, dir, item| {
        write(s, area, "from/source.zzz.txt", item.content);
        let to = format!("http://localhost:{}{area}{dir}{}", s.port(), item.name);
        let fields = format!("Destination: {to}\r\n");
        vec![s.send(format!("COPY {area}from/source.zzz.txt HTTP/1.1\r\nHost: localhost:{}\r\n{fields}\r\n", s.port()))]
    }),
    ("COPY of a tree", |s, area, dir, item| {
        write(s, area, &format!("from/tree/{}", item.plain()), item.content);
        if dir.is_empty() {
            vec![transfer(s, "COPY", &format!("{area}from/tree/"), &format!("{area}copied/"))]
        } else {
            vec![transfer(s, "COPY", &format!("{area}from/tree/"), &format!("{area}{dir}copied/"))]
        }
    }),
    ("MOVE", |s, area, dir, item| {
        write(s, area, "from/source.zzz.txt", item.content);
        vec![transfer(s, "MOVE", &format!("{area}from/source.zzz.txt"), &format!("{area}{dir}{}", item.name))]
    }),
    ("MOVE of a tree", |s, area, dir, item| {
        write(s, area, &format!("from/tree/{}", item.plain()), item.content);
        vec![transfer(s, "MOVE", &format!("{area}from/tree/"), &format!("{area}{dir}moved/"))]
    }),
    ("the listing's form that moves", |s, area, dir, item| {
        write(s, area, "source.zzz.txt", item.content);
        let to = format!("{dir}{}", item.name).replace('%', "%25");
        let body = format!("webserv-move=source.zzz.txt&webserv-to={to}");
        let fields = format!(
            "Content-Type: application/x-www-form-urlencoded\r\nOrigin: http://localhost:{}\r\nSec-Fetch-Site: same-origin\r\n",
            s.port()
        );
        vec![s.method("POST", area, &fields, body.as_bytes())]
    }),
    ("LOCK of a free name", |s, area, dir, item| {
        vec![s.method("LOCK", &format!("{area}{dir}{}", item.name), "Timeout: Second-1\r\n", LOCKINFO)]
    }),
];

#[derive(Default)]
struct Tus<'a> {
    at_once: bool,
    deferred: bool,
    folder: &'a str,
}

fn tus(s: &Server, target: &str, item: Item, how: &Tus<'_>) -> Vec<Response> {
    let mut metadata =
        format!("filename {},filetype {}", base64(item.plain().as_bytes()), base64(item.kind.as_bytes()));
    if !how.folder.is_empty() {
        metadata += &format!(",relativePath {}", base64(format!("{}{}", how.folder, item.plain()).as_bytes()));
    }
    let length = item.content.len();
    let said = if how.deferred { "Upload-Defer-Length: 1\r\n".into() } else { format!("Upload-Length: {length}\r\n") };
    let typed = if how.at_once { "Content-Type: application/offset+octet-stream\r\n" } else { "" };
    let fields = format!("Tus-Resumable: 1.0.0\r\n{said}{typed}Upload-Metadata: {metadata}\r\n");
    let r = s.method("POST", target, &fields, if how.at_once { item.content.as_bytes() } else { b"" });
    let url = r.header("Location").map(str::to_owned);
    let mut all = vec![r];
    let (Some(url), false) = (url, how.at_once) else { return all };
    let late = if how.deferred { format!("Upload-Length: {length}\r\n") } else { String::new() };
    let fields =
        format!("Tus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n{late}Content-Type: application/offset+octet-stream\r\n");
    all.push(s.method("PATCH", path(&url), &fields, item.content.as_bytes()));
    all
}

/// In two pieces.
fn draft(s: &Server, method: &str, target: &str, fields: &str, item: Item) -> Vec<Response> {
    let (one, two) = item.content.split_at(1);
    let fields =
        format!("Content-Type: {}\r\nUpload-Draft-Interop-Version: 6\r\nUpload-Complete: ?0\r\n{fields}", item.kind);
    let mut client = s.client();
    client.send(crate::harness::request(method, target, &fields, one.as_bytes()));
    let r = loop {
        let r = client.response();
        if r.status != 104 {
            break r;
        }
    };
    let url = r.header("Location").map(str::to_owned);
    let mut all = vec![r];
    let Some(url) = url else { return all };
    let fields = "Content-Type: application/partial-upload\r\nUpload-Draft-Interop-Version: 6\r\nUpload-Complete: ?1\r\nUpload-Offset: 1\r\n";
    all.push(s.method("PATCH", path(&url), fields, two.as_bytes()));
    all
}

fn path(url: &str) -> &str {
    let rest = url.strip_prefix("http://").unwrap_or(url);
    rest.find('/').map_or(rest, |at| &rest[at..])
}

fn put(s: &Server, target: &str, item: Item, fields: &str) -> Response {
    s.method("PUT", target, &format!("Content-Type: {}\r\n{fields}", item.kind), item.content.as_bytes())
}

fn form(s: &Server, target: &str, files: &[(&str, Item)]) -> Response {
    let mut body = String::new();
    for (name, item) in files {
        let name = name.replace('\\', "\\\\");
        body += &format!(
            "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{name}\"\r\nContent-Type: {}\r\n\r\n{}\r\n",
            item.kind, item.content
        );
    }
    body += "--b--\r\n";
    s.method("POST", target, "Content-Type: multipart/form-data; boundary=b\r\n", body.as_bytes())
}

fn transfer(s: &Server, method: &str, from: &str, to: &str) -> Response {
    s.method(method, from, &format!("Destination: {to}\r\n"), b"")
}

fn write(s: &Server, area: &str, name: &str, content: &str) {
    let path = s.path(&format!("html{area}{name}"));
    std::fs::create_dir_all(path.parent().expect("below the area")).expect("mkdir");
    std::fs::write(path, content).expect("write");
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |n: u32| char::from(DIGITS[(n & 63) as usize]);
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let n = three.iter().fold(0u32, |n, b| n << 8 | u32::from(*b)) << (8 * (3 - three.len()));
        text.extend(&[digit(n >> 18), digit(n >> 12), digit(n >> 6), digit(n)][..=three.len()]);
        text.extend(std::iter::repeat_n('=', 3 - three.len()));
    }
    text
}

/// What a client could have put there: neither what the test itself wrote nor what is on its way.
fn stored(s: &Server, area: &str) -> BTreeMap<String, String> {
    let all = s.snapshot(&format!("html{area}"));
    let ours = |name: &str| name.starts_with("from/") || name == "source.zzz.txt" || name.contains(".webserv-");
    all.into_iter().filter(|(name, _)| !ours(name)).collect()
}

fn clear(s: &Server, area: &str) {
    let dir = s.path(&format!("html{area}"));
    let _ = std::fs::remove_dir_all(&dir);
    for below in ["", "in", "from"] {
        std::fs::create_dir_all(dir.join(below)).expect("mkdir");
    }
}

#[test]
fn what_one_way_refuses_to_store_all_ways_refuse() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut block = String::new();
    let mut zones = String::new();
    for (n, rule) in RULES.iter().enumerate() {
        let settings = rule.settings.replace("NAME", &format!("r{n}"));
        block += &format!(
            "location /r{n}/ {{ allowed_methods GET POST PUT DELETE MKCOL COPY MOVE LOCK PROPFIND; dav_methods PUT DELETE MKCOL COPY MOVE;
              dav_ext_methods PROPFIND LOCK UNLOCK; dav_ext_lock zone=l; upload_resumable on; upload_create_path on;
              autoindex on; autoindex_upload on; {settings} }}\n"
        );
    }
    zones += "dav_ext_lock_zone zone=l:1m;";
    block += "location ~ \\.secret$ { deny all; }
        location ~ \\.inside$ { internal; }
        location ~ \\.php$ { proxy_pass http://127.0.0.1:1; }
        location ~ \\.fixed$ { allowed_methods GET; }
        location ~ \\.small$ { allowed_methods GET POST PUT DELETE MKCOL COPY MOVE; dav_methods PUT COPY MOVE; upload_resumable on; upload_max_file_size 30; }";
    let config =
        format!("{zones} server {{ listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html; {block} }}");
    let mut setup = crate::harness::http(&config);
    for n in 0..RULES.len() {
        setup = setup.mkdir(&format!("html/r{n}"));
    }
    let s = setup.start();
    let mut table = Table::new("rules of uploads x ways in");
    for (n, rule) in RULES.iter().enumerate() {
        let area = format!("/r{n}/");
        for (way, bring) in WAYS {
            let moves = way.contains("MOVE") || way.contains("moves");
            if moves && rule.counts_bytes {
                continue;
            }
            // It brings nothing.
            if way.starts_with("LOCK") && rule.bad.content == LONG {
                continue;
            }
            if rule.spares_trees && way.contains("tree") || rule.title.contains("exact") && way.contains("folder") {
                continue;
            }
            table.row(OURS, &format!("{}: {way}", rule.title), || {
                clear(&s, &area);
                if rule.title.starts_with("upload_quota") {
                    for name in ["a.txt", "b.txt", "c.txt", "d.txt"] {
                        write(&s, &area, &format!("from/{name}"), LONG);
                    }
                }
                if rule.title == "upload_quota" {
                    write(&s, &area, "from/e.txt", LONG);
                }
                let before = stored(&s, &area);
                if !rule.refuses_all && rule.title != "upload_quota" {
                    let good = bring(&s, &area, "", GOOD);
                    let last = good.last().expect("a response");
                    assert!(last.status < 400, "what is allowed is refused: {way} {}", last.show());
                    assert_ne!(stored(&s, &area), before, "what is allowed is not there: {}", last.show());
                    clear(&s, &area);
                }
                let refused = bring(&s, &area, rule.dir, rule.bad);
                let last = refused.last().expect("a response");
                assert!(last.status >= 400, "{way} of what the rule forbids: {}", last.show());
                assert_eq!(stored(&s, &area), before, "{way} left something: {}", last.show());
            });
        }
    }
}

/// The name that a taken one is changed to may belong to another location.
#[test]
fn the_name_that_a_renamed_upload_gets_is_judged_too() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = crate::harness::server(
        "location /up/ { allowed_methods GET POST PUT DELETE; upload_on_duplicate rename; upload_resumable on; }
         location = /up/a-1.txt { deny all; }
         location = /up/b-1.txt { allowed_methods GET POST; upload_max_file_size 1; }
         location = /up/c-1.txt { allowed_methods GET POST; upload_types image/*; }",
    )
    .mkdir("html/up")
    .start();
    let mut table = Table::new("renamed uploads");
    for (name, status) in [("a.txt", 403), ("b.txt", 413), ("c.txt", 415), ("d.txt", 201)] {
        table.row(OURS, name, || {
            form(&s, "/up/", &[(name, GOOD)]).is(201);
            form(&s, "/up/", &[(name, GOOD)]).is(status);
            let item = Item { name, ..GOOD };
            let fields = format!("Content-Type: text/plain\r\nContent-Disposition: attachment; filename={name}\r\n");
            s.method("POST", "/up/", &fields, item.content.as_bytes()).is(status);
            // Beside a file that may be stored: nothing is.
            form(&s, "/up/", &[("beside.txt", GOOD), (name, GOOD)]).is(status);
            assert_eq!(s.exists("html/up/beside.txt"), status == 201);
        });
    }
    let last = |all: Vec<Response>| all.last().expect("a response").status;
    table.row(OURS, "resumable uploads", || {
        for (name, status) in [("a.txt", 403), ("b.txt", 413), ("d.txt", 204)] {
            assert_eq!(last(tus(&s, "/up/", Item { name, ..GOOD }, &Tus::default())), status, "{name}");
        }
    });
    table.row(OURS, "what is there", || {
        let names: Vec<String> = s.snapshot("html/up").into_keys().filter(|name| name.contains("-1")).collect();
        assert_eq!(names, ["d-1.txt"], "each other second name is refused");
    });
}
