//! The corpus of hostile names, by every way a name may come. Each is a 400 and changes nothing below the prefix.

use super::*;

/// Names as the bytes that the client means.
fn corpus() -> Vec<(&'static str, Vec<u8>)> {
    let texts: &[(&str, &str)] = &[
        ("a parent", "../evil"),
        ("many parents", "../../../../../../tmp/evil"),
        ("two dots", ".."),
        ("one dot", "."),
        ("three dots", "..."),
        ("a self segment", "./evil"),
        ("an absolute path", "/tmp/evil"),
        ("a directory that is there", "sub/evil"),
        ("a directory that is not", "new/evil"),
        ("a slash behind", "evil/"),
        ("only a slash", "/"),
        ("a backslash", "sub\\evil"),
        ("parents with backslashes", "..\\..\\evil"),
        ("a Windows path", "C:\\dir\\evil.txt"),
        ("a share", "\\\\host\\share\\evil"),
        ("a NUL", "evil\0.txt"),
        ("CR LF", "evil\r\nX-Evil: yes"),
        ("LF", "evil\n"),
        ("a tab", "evil\t.txt"),
        ("an escape sequence", "evil\x1b[2J"),
        ("DEL", "evil\x7f"),
        ("a C1 control", "evil\u{85}x"),
        ("a line separator", "evil\u{2028}x"),
        ("a right-to-left override", "evil\u{202e}gpj.exe"),
        ("a left-to-right isolate", "\u{2066}evil"),
        ("a right-to-left mark", "evil\u{200f}.txt"),
        ("an Arabic letter mark", "evil\u{61c}"),
        ("a dotfile", ".htaccess"),
        ("a dotfile of ours", ".webserv-upload-0123456789abcdef"),
        ("escaped dots and slash", "%2e%2e%2fevil"),
        ("an escaped slash", "sub%2Fevil"),
        ("an escaped backslash", "sub%5cevil"),
        ("an escaped NUL", "evil%00.txt"),
        ("an escaped CR LF", "evil%0d%0ax"),
        ("slashes escaped twice", "..%252f..%252fevil"),
        ("a name escaped twice", "sub%252fevil"),
        ("overlong UTF-8, escaped", "%c0%ae%c0%ae%c0%afevil"),
    ];
    let mut corpus: Vec<(&str, Vec<u8>)> = texts.iter().map(|(what, name)| (*what, name.as_bytes().to_vec())).collect();
    corpus.push(("256 bytes", vec![b'n'; 256]));
    corpus.push(("300 bytes", vec![b'n'; 300]));
    corpus.push(("2000 bytes", vec![b'n'; 2000]));
    corpus.push(("255 characters, 510 bytes", "\u{e9}".repeat(255).into_bytes()));
    corpus.push(("an overlong slash", b"..\xc0\xafevil".to_vec()));
    corpus.push(("an overlong dot", b"\xc0\xae\xc0\xae".to_vec()));
    corpus.push(("a surrogate", b"evil\xed\xa0\x80".to_vec()));
    corpus.push(("latin-1", b"evil\xe9.txt".to_vec()));
    corpus.push(("half a character", b"evil\xe2\x82".to_vec()));
    corpus
}

/// Every byte as `%XX`.
fn escaped(name: &[u8]) -> String {
    name.iter().map(|b| format!("%{b:02X}")).collect()
}

fn quoted(name: &[u8]) -> Vec<u8> {
    [b"\"", name, b"\""].concat()
}

fn disposed(parameters: &[u8], content: &[u8]) -> Vec<u8> {
    let head = [b"--", BOUNDARY.as_bytes(), b"\r\nContent-Disposition: form-data; name=\"f\"; ", parameters].concat();
    [&head[..], b"\r\n\r\n", content, b"\r\n"].concat()
}

fn post_with(fields: &[u8]) -> Vec<u8> {
    [
        b"POST /up/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 4\r\nContent-Disposition: ",
        fields,
        b"\r\n\r\nevil",
    ]
    .concat()
}

#[test]
fn hostile_names_are_refused_by_every_way_they_come() {
    if skip_on_nginx("uploads") {
        return;
    }
    let more = "location /put/ { allowed_methods GET PUT; upload_create_path on; }
         location /dav/ { dav_methods PUT DELETE MKCOL COPY MOVE; create_full_put_path on; }
         location /made/ { allowed_methods POST; upload_filename $upload_field_as; }";
    let s = setup(more).mkdir("html/up/sub").mkdir("html/put/sub").mkdir("html/dav/sub").mkdir("html/made/sub");
    let s = running(s.file("html/dav/good", "good").allow_log("evil"));
    let before = disk(&s);
    let unchanged = |what: &str| {
        assert!(disk(&s) == before, "{what}: {:?}", disk(&s).keys().collect::<Vec<_>>());
        assert!(!std::path::Path::new("/tmp/evil").exists(), "{what}");
    };
    let mut table = Table::new("hostile names");
    for (what, name) in corpus() {
        // Stored under dav_methods, as nginx does.
        let is_dotfile = matches!(&name[..], b"..." | b".htaccess");
        // A CR LF in a quoted name ends the header line: then the rest is no parameter.
        table.row(OURS, &format!("{what}: in a form"), || {
            let body = form(&[disposed(&[b"filename=", &quoted(&name)[..]].concat(), b"evil")]);
            post_form(&s, "/up/", &body).is(400);
            unchanged(what);
        });
        table.row(OURS, &format!("{what}: in a form, beside a good file"), || {
            let parameters = format!("filename*=UTF-8''{}", escaped(&name));
            let body = form(&[file("good", b"good"), disposed(parameters.as_bytes(), b"evil")]);
            post_form(&s, "/up/", &body).is(400);
            unchanged(what);
        });
        table.row(OURS, &format!("{what}: in Content-Disposition"), || {
            s.send(post_with(&[b"attachment; filename=", &quoted(&name)[..]].concat())).is(400);
            s.send(post_with(format!("attachment; filename*=UTF-8''{}", escaped(&name)).as_bytes())).is(400);
            unchanged(what);
        });
        table.row(OURS, &format!("{what}: made of a field"), || {
            let field = [
                format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"as\"\r\n\r\n").as_bytes(),
                &name,
                b"\r\n",
            ]
            .concat();
            post_form(&s, "/made/", &form(&[field, file("good", b"evil")])).is(400);
            unchanged(what);
        });
        table.row(OURS, &format!("{what}: in the target"), || {
            // Slashes and dots in a target are those of a path: it may then lie elsewhere, where nothing is allowed.
            let path = name.contains(&b'/') || matches!(&name[..], b"." | b"..");
            let statuses: &[u16] = if path { &[400, 403, 404, 405, 409] } else { &[400] };
            for (method, area) in [("POST", "/up/"), ("PUT", "/put/"), ("PUT", "/dav/")] {
                if path && (name.starts_with(b"sub/") || name.starts_with(b"new/") || name.starts_with(b"./")) {
                    continue;
                }
                // To the directory itself a POST brings a body for a new name.
                if method == "POST" && name == b"." || matches!(&name[..], b"/" | b"/tmp/evil") {
                    continue;
                }
                if area == "/dav/" && is_dotfile {
                    continue;
                }
                s.method(method, &format!("{area}{}", escaped(&name)), "", b"evil").is_one_of(statuses);
                unchanged(what);
            }
        });
        table.row(OURS, &format!("{what}: as a destination"), || {
            if name.starts_with(b"sub/")
                || name.starts_with(b"./")
                || name.starts_with(b"/")
                || name == b"evil/"
                || is_dotfile
            {
                return;
            }
            let path = name.contains(&b'/') || matches!(&name[..], b"." | b"..");
            let statuses: &[u16] = if path { &[400, 403, 404, 409] } else { &[400] };
            for method in ["COPY", "MOVE"] {
                let fields = format!("Destination: /dav/{}\r\n", escaped(&name));
                s.method(method, "/dav/good", &fields, b"").is_one_of(statuses);
                unchanged(what);
            }
            if !path {
                s.method("MKCOL", &format!("/dav/{}/", escaped(&name)), "", b"").is(400);
                unchanged(what);
            }
        });
    }
    table.row(OURS, "an empty name", || {
        s.send(post_with(b"attachment; filename=\"\"")).is(400);
        post_form(&s, "/up/", &form(&[disposed(b"filename=\"\"", b"evil")])).is(400);
        unchanged("empty");
    });
    let parameters: &[&str] = &[
        "filename=\"a\"; filename=\"b\"",
        "filename=a; FileName=b",
        "filename*=UTF-8''a; filename*=UTF-8''b",
        "filename*=a",
        "filename*=UTF-8''%4",
        "filename*=UTF-8''%zz",
        "filename*=UTF-8''%c0%af",
        "filename*=UTF-8'",
        "filename*=windows-1252''a",
        "filename*=UTF-16''%00a",
        "filename*=\"\"",
        "filename=",
        "filename",
        "filename=\"a",
        "filename=a b",
        "filename=\"good\"; filename*=UTF-8''..%2Fevil",
        "filename=\"x%0D%0Ay\"",
        "filename=\"x%00y\"",
    ];
    for parameter in parameters {
        table.row(OURS, &format!("malformed: {parameter}"), || {
            post_form(&s, "/up/", &form(&[disposed(parameter.as_bytes(), b"evil")])).is(400);
            s.send(post_with(format!("attachment; {parameter}").as_bytes())).is(400);
            unchanged(parameter);
        });
    }
    table.row(OURS, "directories on the way", || {
        for target in ["/put/.git/hooks/evil", "/put/.ssh/evil", "/put/new/.x/evil", "/dav/.webserv-x/evil", "/up/.x/"]
        {
            let method = if target.starts_with("/up/") { "POST" } else { "PUT" };
            s.method(method, target, "", b"evil").is(400);
            unchanged(target);
        }
    });
}

#[test]
fn an_area_below_a_dotted_directory_that_the_configuration_names_takes_uploads() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s =
        server("location /.well-known/acme-challenge/ { dav_methods PUT; }").mkdir("html/.well-known/acme-challenge");
    let s = running(s.file("html/index.html", "index"));
    s.method("PUT", "/.well-known/acme-challenge/token", "", b"x").is(201);
    assert_eq!(s.read("html/.well-known/acme-challenge/token"), b"x");
}

#[test]
fn odd_names_that_mean_nothing_else_are_kept_as_they_are() {
    if skip_on_nginx("uploads") {
        return;
    }
    let s = running(setup("location /put/ { allowed_methods GET PUT; }").mkdir("html/put"));
    let mut table = Table::new("odd names");
    for name in ["CON", "aux.txt", "1:b", "-rf", "*", "$(id)", "`id`", "|x", "<b>.html", "100%", "a b", "\u{1f600}"] {
        table.row(OURS, name, || {
            post_form(&s, "/up/", &form(&[file(name, b"odd")])).is(201);
            assert_eq!(s.read(&format!("html/up/{name}")), b"odd");
            s.method("PUT", &format!("/put/{}", escaped(name.as_bytes())), "", b"odd").is(201);
            s.get(&format!("/put/{}", escaped(name.as_bytes()))).is(200).body_is("odd");
        });
    }
}
