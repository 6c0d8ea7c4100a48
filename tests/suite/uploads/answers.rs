//! Responses: refusals as the client reads them, before the body where they are known by then, variables.

use super::*;

/// Settings of the area `/a/`, and what then is refused.
struct Case {
    name: &'static str,
    settings: &'static str,
    status: u16,
    /// Method, target and header lines.
    head: (&'static str, &'static str, &'static str),
    length: usize,
    /// What the answer tells besides.
    told: &'static str,
}

const fn case(
    name: &'static str,
    settings: &'static str,
    status: u16,
    head: (&'static str, &'static str, &'static str),
    length: usize,
    told: &'static str,
) -> Case {
    Case { name, settings, status, head, length, told }
}

/// Refused by the head alone.
const CASES: &[Case] = &[
    case("the body", "client_max_body_size 1k;", 413, ("POST", "/a/x", ""), 1025, "client_max_body_size 1k"),
    case("the file", "upload_max_file_size 1k;", 413, ("POST", "/a/x", ""), 1025, "upload_max_file_size 1k"),
    case("the file, PUT", "upload_max_file_size 1k;", 413, ("PUT", "/a/x", ""), 1025, "upload_max_file_size 1k"),
    case("no password", "auth_basic a; auth_basic_user_file users;", 401, ("POST", "/a/x", ""), 9, "Unauthorized"),
    case("an address", "deny all;", 403, ("PUT", "/a/x", ""), 9, "Forbidden"),
    case("a method", "allowed_methods GET;", 405, ("POST", "/a/x", ""), 9, "Not Allowed"),
    case("a method, DELETE", "allowed_methods GET;", 405, ("DELETE", "/a/old", ""), 9, "Not Allowed"),
    case("a name that is taken", "", 409, ("POST", "/a/old", ""), 9, "upload_on_duplicate error"),
    case("create-only", "", 412, ("PUT", "/a/old", "If-None-Match: *\r\n"), 9, "precondition"),
    case("another version", "", 412, ("PUT", "/a/old", "If-Match: \"x\"\r\n"), 9, "precondition"),
    case("a type", "upload_types image/*;", 415, ("POST", "/a/x", "Content-Type: a/b\r\n"), 9, "upload_types image/*"),
    case("an extension", "upload_extensions .jpg !.php;", 415, ("PUT", "/a/x", ""), 9, "upload_extensions .jpg !.php"),
    case("a coding", "", 415, ("PUT", "/a/x", "Content-Encoding: gzip\r\n"), 9, "Content-Encoding"),
    case("a range", "", 400, ("PUT", "/a/x", "Content-Range: bytes 0-8/20\r\n"), 9, "Content-Range"),
    case("no digest", "upload_verify_digest require;", 400, ("PUT", "/a/x", ""), 9, "upload_verify_digest require"),
    case("the quota", "upload_quota 100;", 507, ("PUT", "/a/x", ""), 200, "upload_quota 100"),
    case("files", "upload_quota 1g files=1;", 507, ("PUT", "/a/x", ""), 9, "upload_quota 1g files=1"),
    case("room", "upload_min_free 100%;", 507, ("PUT", "/a/x", ""), 9, "upload_min_free 100%"),
    case("a name", "", 400, ("PUT", "/a/.x", ""), 9, "dot"),
    case("no directory", "", 409, ("PUT", "/a/b/x", ""), 9, "does not exist"),
];

fn refusing(case: &Case) -> Server {
    let methods = if case.settings.contains("allowed_methods") { "" } else { "allowed_methods GET POST PUT;" };
    let block = format!("location /a/ {{ {methods} {} }}", case.settings);
    running(server(&block).file("html/index.html", "index").file("html/a/old", "old").file("conf/users", "x:y\n"))
}

#[test]
fn a_refusal_says_what_was_wrong_before_the_body_is_asked_for() {
    if skip_on_nginx("uploads") {
        return;
    }
    let mut table = Table::new("early refusals");
    for case in CASES {
        table.row(OURS, case.name, || {
            let s = refusing(case);
            let before = disk(&s);
            let (method, target, fields) = case.head;
            let head = |more: &str| {
                let length = case.length;
                format!("{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{fields}{more}\r\n")
            };
            // No interim answer, and none that waits for the body.
            let mut client = s.client();
            client.send(head("Expect: 100-continue\r\nAccept: application/json, text/html;q=0.9\r\n"));
            let r = client.response();
            r.is(case.status).has("Content-Type", "application/problem+json").has("Connection", "close");
            let text = r.text();
            assert!(text.contains(&format!("{{\"status\":{},\"title\":\"", case.status)), "{text}");
            assert!(text.contains(case.told), "{text}");
            if case.told.starts_with("upload_") || case.told.starts_with("client_") {
                assert!(text.contains(&format!("\"limit\":\"{}", case.told)), "{text}");
            }
            client.expect_closed();
            // With the body, for people and for those who want nothing in particular.
            for (accept, kind) in [("text/html,*/*;q=0.8", "text/html"), ("text/plain", "text/plain"), ("*/*", "text/")]
            {
                let mut client = s.client();
                let request = head(&format!("Accept: {accept}\r\n")).into_bytes();
                client.try_send([&request[..], &noise(case.length)].concat());
                let r = client.response();
                assert!(r.is(case.status).header("Content-Type").is_some_and(|v| v.starts_with(kind)), "{}", r.show());
                assert!(r.text().contains(case.told), "{}", r.show());
            }
            if case.status == 405 {
                assert!(client_allow(&s, method, target).contains("GET"));
            }
            assert_eq!(before, disk(&s));
            if case.told.starts_with("upload_") {
                assert!(s.error_log().contains(&format!("(\"{}\", ", case.told)) || case.told.ends_with("error"));
                assert!(s.error_log().contains("conf/test.conf:") || case.told.ends_with("error"), "{}", s.error_log());
            }
        });
    }
}

fn client_allow(s: &Server, method: &str, target: &str) -> String {
    s.method(method, target, "Accept: application/json\r\n", b"").header("Allow").unwrap_or_default().to_owned()
}

/// A client that reads nothing before it has sent everything still reads its answer.
#[test]
fn a_refused_64_mb_upload_reads_its_answer_after_all_is_sent() {
    if skip_on_nginx("uploads") {
        return;
    }
    const SIZE: usize = 64 << 20;
    let mut table = Table::new("large refusals");
    let heads = [
        ("by the body's size", "client_max_body_size 1m;", 413, "POST", ""),
        ("by the file's size", "client_max_body_size 0; upload_max_file_size 1m;", 413, "PUT", ""),
        ("by the method", "client_max_body_size 0;", 405, "DELETE", ""),
        ("by the method, in chunks", "client_max_body_size 0;", 405, "DELETE", "Transfer-Encoding: chunked\r\n"),
        ("by its name", "client_max_body_size 0;", 409, "POST", ""),
        ("after some of it, in chunks", "client_max_body_size 1m;", 413, "POST", "Transfer-Encoding: chunked\r\n"),
        ("after some of it, a form", "client_max_body_size 0; upload_max_file_size 1m;", 413, "POST", "form"),
    ];
    for (name, settings, status, method, framing) in heads {
        table.row(OURS, name, || {
            let block = format!("location /a/ {{ allowed_methods GET POST PUT; {settings} }}");
            let s = running(server(&block).file("html/index.html", "index").file("html/a/old", "old"));
            let before = disk(&s);
            let target = if status == 409 { "/a/old" } else { "/a/x" };
            let (framing, start) = match framing {
                "form" => {
                    let start = file("x", b"");
                    let start = start[..start.len() - 2].to_vec();
                    (format!("Content-Length: {}\r\n{}", SIZE + start.len(), form_type()), start)
                }
                "" => (format!("Content-Length: {SIZE}\r\n"), Vec::new()),
                chunked => (chunked.to_owned(), Vec::new()),
            };
            let mut client = s.client();
            client.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{framing}\r\n")).send(start);
            let block = noise(1 << 20);
            for _ in 0..SIZE >> 20 {
                if framing.contains("chunked") {
                    client.send("100000\r\n").send(&block).send("\r\n");
                } else {
                    client.send(&block);
                }
            }
            client.response().is(status);
            assert!(client.rest().is_empty());
            assert_eq!(before, disk(&s));
        });
    }
}

#[test]
fn variables_tell_of_uploads() {
    if skip_on_nginx("uploads") {
        return;
    }
    let http = "log_format up '$upload_status $upload_files [$upload_file_name] $upload_file_ext $upload_file_size \
        $upload_file_path <$upload_field_note>';
        server {
            listen 127.0.0.1:%%PORT%%;
            root html;
            location /a/ {
                allowed_methods GET POST PUT;
                upload_on_duplicate overwrite;
                access_log logs/up.log up;
                add_header X-Note $upload_field_note;
                add_header X-Files $upload_files;
            }
            location /by/ { allowed_methods POST; upload_filename $upload_field_who-$upload_file_name; }
            location /thanks/ { allowed_methods POST; upload_return 303 /done?f=$upload_file_name&n=$upload_field_note; }
            location /text/ { allowed_methods POST; upload_return 200 '$upload_files $upload_file_size $upload_field_Note'; }
        }";
    let s = crate::harness::http(http).file("html/index.html", "index").mkdir("html/a").mkdir("html/by");
    let s = running(s.mkdir("html/thanks").mkdir("html/text"));
    let field = |name: &str, value: &str| part(&format!("name=\"{name}\""), "", value.as_bytes());
    let mut table = Table::new("upload variables");
    table.row(OURS, "in headers and logs", || {
        let two = form(&[field("note", "hi there"), file("a.tar.gz", b"12345"), file("b", b"1")]);
        post_form(&s, "/a/", &two).is(201).has("X-Note", "hi there").has("X-Files", "2");
        s.method("PUT", "/a/raw", "", b"123").is(201).lacks("X-Note").has("X-Files", "1");
        post_form(&s, "/a/", &form(&[field("note", "a\r\nX-Evil: b"), file("c", b"1")])).is(201).lacks("X-Evil");
        post_form(&s, "/a/", &form(&[field("note", "n"), file("../x", b"1")])).is(400);
        s.get("/a/raw").is(200);
        let dir = s.path("html/a").canonicalize().expect("it is there").display().to_string();
        let lines = [
            format!("stored 2 [a.tar.gz] .gz 5 {dir}/a.tar.gz <hi there>"),
            format!("stored 1 [raw]  3 {dir}/raw <->"),
            format!("stored 1 [c]  1 {dir}/c <a\\x0D\\x0AX-Evil: b>"),
            "refused 0 [-] - - - <n>".to_owned(),
            "- - [-] - - - <->".to_owned(),
        ];
        let log = s.await_file("logs/up.log", |text| text.lines().count() == lines.len());
        assert_eq!(log.lines().collect::<Vec<_>>(), lines);
    });
    table.row(OURS, "in names", || {
        post_form(&s, "/by/", &form(&[field("who", "ann"), file("x.txt", b"1")])).is(201);
        assert!(s.exists("html/by/ann-x.txt"));
        post_form(&s, "/by/", &form(&[file("y.txt", b"1"), field("who", "bob")])).is(201);
        assert!(s.exists("html/by/bob-y.txt"));
        let before = disk(&s);
        post_form(&s, "/by/", &form(&[field("who", "../"), file("z", b"1")])).is(400);
        assert_eq!(before, disk(&s));
    });
    table.row(OURS, "in upload_return", || {
        let r = post_form(&s, "/thanks/", &form(&[field("note", "a&b=/"), file("x y.txt", b"1")]));
        assert_eq!(located(r.is(303)), "/done?f=x%20y.txt&n=a%26b%3D%2F");
        post_form(&s, "/text/", &form(&[field("note", "N"), file("x", b"12"), file("y", b"1")]))
            .is(200)
            .body_is("2 2 N");
    });
    table.row(OURS, "too many fields", || {
        let before = disk(&s);
        let fields: Vec<Vec<u8>> = (0..3000).map(|n| field(&format!("f{n}"), "")).collect();
        post_form(&s, "/a/", &form(&fields)).is(413).contains("64 KiB");
        post_form(&s, "/a/", &form(&[field("f", &"x".repeat(70_000)), file("x", b"1")])).is(413);
        assert_eq!(before, disk(&s));
    });
}

#[test]
fn the_answer_to_several_files_is_what_accept_likes_best() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = area("upload_on_duplicate overwrite;");
    let mut table = Table::new("answers by Accept");
    let rows: &[(&str, &str, &str)] = &[
        (
            "application/json",
            "application/json",
            "{\"files\":[{\"name\":\"a.txt\",\"size\":1,\"location\":\"/a/a.txt\"",
        ),
        ("text/html;q=0.3, application/json;q=0.31", "application/json", "},{\"name\":\"b \\u003C&.txt\",\"size\":2,"),
        ("text/html;q=0.4, application/json;q=0.31", "text/html; charset=utf-8", "<bdi>b &lt;&amp;.txt</bdi>"),
        ("application/json;q=0, */*", "text/plain; charset=utf-8", "/a/b%20%3C%26.txt 2 bytes"),
        ("text/html;q=1.000,text/plain", "text/html; charset=utf-8", "href=\"/a/b%20%3C%26.txt\""),
        ("*/*", "text/plain; charset=utf-8", "/a/a.txt 1 bytes"),
    ];
    for (accept, kind, part) in rows {
        table.row(OURS, accept, || {
            let fields = format!("{}Accept: {accept}\r\n", form_type());
            let r = s.method("POST", "/a/", &fields, &form(&[file("a.txt", b"1"), file("b <&.txt", b"22")]));
            r.is_one_of(&[200, 201]).has("Content-Type", kind).contains(part);
            assert_eq!(located(&r), "/a/");
        });
    }
}

/// The groups behind a variable were those that its `map` matched.
#[test]
fn groups_in_the_name_of_a_file_are_those_of_its_location() {
    if skip_on_nginx("upload_filename") {
        return;
    }
    let block = "map $request_uri $kind { '~/cap/(.)(.)' k; }
         server { listen 127.0.0.1:%%PORT%%; root %%DIR%%/html;
             location ~ ^/cap/(\\w+)-(\\w+)/$ { allowed_methods POST; upload_store %%DIR%%/html/made;
                 upload_filename $1-$kind-$2; upload_return 303 /made/$1-$kind-$2; } }";
    let s = http(block).mkdir("html/made").start();
    let answer = crate::harness::post_files(&s, "/cap/ab-cd/", &[("f", "x")]);
    assert!(answer.is(303).header("Location").is_some_and(|to| to.ends_with("/made/ab-k-cd")), "{}", answer.show());
    assert_eq!(s.read("html/made/ab-k-cd"), b"x");
}
