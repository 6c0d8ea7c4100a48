//! The listing page beyond the list: folders made, names moved, files replaced, a folder as one file, languages.

use crate::client::Response;
use crate::harness::{OWN_FORM, Server, Setup, server, skip_on_nginx};
use std::fs;
use std::process::{Command, Stdio};

fn running() -> Server {
    server(
        "location /up/ { allowed_methods GET POST DELETE; autoindex_upload on; autoindex_archive zip; }
         location /up/closed/ { deny all; }
         location /up/kept/ { allowed_methods GET; autoindex on; }
         location /limited/ { allowed_methods GET POST; autoindex_upload on; upload_max_file_size 1536;
                              client_max_body_size 4k; upload_extensions !.exe; }
         location /post/ { allowed_methods GET POST; autoindex_upload on; }
         location /read/ { autoindex on; autoindex_format page; }
         location ~ \\.key$ { deny all; }",
    )
    .file("html/up/a.txt", "alpha")
    .file("html/up/taken.txt", "taken")
    .file("html/up/sub/größe 文.txt", "utf-8")
    .file("html/up/sub/server.key", "secret key")
    .file("html/up/closed/secret.txt", "secret")
    .file("html/up/kept/k.txt", "kept")
    .file("html/up/.hidden", "hidden")
    .file("html/post/old.txt", "old")
    .file("html/limited/old.txt", "old")
    .file("html/read/r.txt", "r")
    .start()
}

fn form(s: &Server, target: &str, fields: &str, body: &str) -> Response {
    s.method("POST", target, fields, body.as_bytes())
}

#[test]
fn a_folder_is_made_from_the_page() {
    if skip_on_nginx("the page") {
        return;
    }
    let s = running();
    for area in ["/up/", "/post/"] {
        let target = format!("{area}?webserv-folder");
        form(&s, &target, OWN_FORM, "webserv-folder=My+Ph%C3%B6tos").is(303);
        assert!(s.path(&format!("html{area}My Phötos")).is_dir());
        form(&s, &target, OWN_FORM, "webserv-folder=My+Ph%C3%B6tos").is(409);
        for name in ["a%2Fb", "..", "", ".git"] {
            form(&s, &target, OWN_FORM, &format!("webserv-folder={name}")).is(400);
        }
        let foreign = OWN_FORM.replace("same-origin", "cross-site");
        form(&s, &target, &foreign, "webserv-folder=x").is(403);
    }
    form(&s, "/read/?webserv-folder", OWN_FORM, "webserv-folder=x").is_one_of(&[403, 405]);
    assert!(!s.exists("html/read/x") && !s.exists("html/up/x"));
}

#[test]
fn an_entry_is_renamed_and_moved_from_the_page() {
    if skip_on_nginx("the page") {
        return;
    }
    let s = running();
    let go = |name: &str, to: &str| form(&s, "/up/", OWN_FORM, &format!("webserv-move={name}&webserv-to={to}")).status;
    assert_eq!(go("a.txt", "b+c.txt"), 303);
    assert_eq!(s.read("html/up/b c.txt"), b"alpha");
    // The name is sent as in its link, in a form: escaped twice.
    assert_eq!(go("b%2520c.txt", "sub%2F"), 303);
    assert_eq!(s.read("html/up/sub/b c.txt"), b"alpha");
    assert_eq!(form(&s, "/up/sub/", OWN_FORM, "webserv-move=b%2520c.txt&webserv-to=..%2Fa.txt").status, 303);
    for (to, status) in [
        ("taken.txt", 409),
        ("..%2Fread%2Fx", 403),
        ("..%2F..%2F..%2Fx", 400),
        ("closed%2Fx", 403),
        ("kept%2Fx", 403),
        ("none%2Fx", 404),
        ("bad%5Cname", 400),
    ] {
        assert_eq!(go("a.txt", to), status, "{to}");
    }
    assert_eq!((s.read("html/up/a.txt"), s.read("html/up/taken.txt")), (b"alpha".to_vec(), b"taken".to_vec()));
    // A folder that holds what another location rules stays as it is.
    assert_eq!(go("closed%2F", "open"), 403);
    assert_eq!(go("sub%2F", "moved"), 403);
    fs::remove_file(s.path("html/up/sub/server.key")).expect("removed");
    assert_eq!(go("sub%2F", "moved"), 303);
    assert!(s.path("html/up/moved/größe 文.txt").is_file());
    // Where nothing may be deleted nothing is moved either.
    form(&s, "/post/", OWN_FORM, "webserv-move=old.txt&webserv-to=new.txt");
    assert!(s.exists("html/post/old.txt") && !s.exists("html/post/new.txt"));
    let page = s.get("/up/?move=a.txt").text();
    assert!(page.contains("name=webserv-move value=\"a.txt\"") && page.contains("name=webserv-to"), "{page}");
    s.get("/up/?move=none").is(404);
}

/// The page's own form of uploads, sent without scripts.
fn uploads_by_the_form(s: &Server, english: &str, german: &str) {
    let send = |target: &str, lines: &str, name: &str, size: usize| {
        let content = "x".repeat(size);
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n{content}\r\n--b--\r\n"
        );
        let lines = lines.replace("Content-Type: application/x-www-form-urlencoded\r\n", "");
        s.method("POST", target, &format!("{lines}Content-Type: multipart/form-data; boundary=b\r\n"), body.as_bytes())
    };
    for (target, lines, name, size, status, words) in [
        ("/up/", english, "a.txt", 1, 409, "<h1><bdi>a.txt</bdi> was not stored: the name is taken</h1>"),
        ("/up/", german, "a.txt", 1, 409, "<h1><bdi>a.txt</bdi> wurde nicht gespeichert: der Name ist vergeben</h1>"),
        ("/limited/", english, "b.txt", 3000, 413, "<bdi>b.txt</bdi> was not stored: too large: at most 1.5 KiB"),
        ("/limited/", german, "b.txt", 3000, 413, "zu groß: höchstens 1,5 KiB"),
        ("/limited/", english, "b.txt", 9000, 413, "<h1>Too large: at most 4.0 KiB</h1>"),
        ("/limited/", english, "b.exe", 1, 415, "<bdi>b.exe</bdi> was not stored: "),
    ] {
        let r = send(target, lines, name, size);
        r.is(status).has("Content-Type", "text/html; charset=utf-8");
        let page = r.text();
        assert!(page.contains(words) && page.contains("<a href=\"./\">") && page.contains("<style>"), "{name}: {page}");
        assert!(!page.contains("upload_") && !page.contains("body_size"), "no word of the configuration: {page}");
        assert!(r.header("Content-Security-Policy").is_some_and(|policy| policy.starts_with("default-src 'none'")));
        assert_eq!(page.contains("action=\"./?webserv-replace\""), status == 409, "{page}");
    }
    // The form that the page offers, once more with the file.
    send("/up/?webserv-replace", english, "taken.txt", 5).is_one_of(&[200, 201, 303]);
    assert_eq!(s.read("html/up/taken.txt"), b"xxxxx");
}

/// A bare error page, without a word why and without a way back.
#[test]
fn a_refused_form_says_why_and_leads_back() {
    if skip_on_nginx("the page") {
        return;
    }
    let s = running();
    let html = format!("{OWN_FORM}Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n");
    let rows: &[(&str, &str, u16, &str)] = &[
        ("/up/", "webserv-move=a.txt&webserv-to=taken.txt", 409, "<bdi>a.txt</bdi> was not moved: the name is taken"),
        ("/up/", "webserv-move=a.txt&webserv-to=closed%2Fx", 403, "<bdi>a.txt</bdi> was not moved: not permitted"),
        ("/up/", "webserv-move=none&webserv-to=x", 404, "<bdi>none</bdi> was not moved: not found"),
        // An inner location refuses it.
        ("/up/", "webserv-delete=closed/", 403, "<bdi>closed</bdi> was not deleted: not permitted"),
        ("/up/", "webserv-delete=none", 404, "<bdi>none</bdi> was not deleted: not found"),
        ("/up/", "webserv-delete=%253Cb%253E/", 404, "<bdi>&lt;b&gt;</bdi> was not deleted: not found"),
        ("/up/?webserv-folder", "webserv-folder=sub", 409, "<bdi>sub</bdi> was not made: the name is taken"),
        ("/up/?webserv-folder", "webserv-folder=..", 400, "<h1>The name or the request was not accepted</h1>"),
    ];
    for (target, body, status, words) in rows {
        let r = form(&s, target, &html, body);
        r.is(*status).has("Content-Type", "text/html; charset=utf-8");
        let page = r.text();
        assert!(page.contains(words) && page.contains("<a href=\"./\">Back to the folder</a>"), "{body}: {page}");
        assert!(r.header("Content-Security-Policy").is_some_and(|policy| policy.starts_with("default-src 'none'")));
    }
    let german = format!("{html}Accept-Language: de\r\n");
    uploads_by_the_form(&s, &html, &german);
    let page = form(&s, "/up/", &german, rows[0].1).text();
    assert!(page.contains("wurde nicht verschoben: der Name ist vergeben") && page.contains("Zurück zum Ordner"));
    for question in ["delete", "move"] {
        let page = s.get(&format!("/up/?{question}=none")).is(404).text();
        assert!(page.contains("not found") && page.contains("Back to the folder"), "{page}");
    }
    let json = format!("{OWN_FORM}Accept: application/json\r\n");
    form(&s, "/up/", &json, rows[0].1).is(409).has("Content-Type", "application/problem+json");
    let inner = form(&s, "/up/", &json, "webserv-delete=closed/").is(403).text();
    assert!(inner.contains("\"detail\":\"the rules of a path"), "{inner}");
    assert!(s.exists("html/up/closed/secret.txt"));
}

#[test]
fn the_question_for_a_folder_says_that_all_in_it_goes() {
    if skip_on_nginx("the page") {
        return;
    }
    let s = server(
        "location /up/ { allowed_methods GET POST DELETE; autoindex_upload on; }
         location /all/ { allowed_methods GET POST DELETE; autoindex_upload on; delete_recursive on; }",
    )
    .file("html/up/sub/f", "f")
    .file("html/all/sub/f", "f")
    .start();
    for (target, words) in
        [("/up/", "Delete the folder {0}?"), ("/all/", "Delete the folder {0} and all that is in it?")]
    {
        let page = s.get(target).text();
        assert!(page.contains(&format!("data-folder=\"{words}\"")), "{page}");
        let asked = s.get(&format!("{target}?delete=sub")).text();
        assert!(asked.contains(&words.replace("{0}", "<bdi>sub</bdi>")), "{asked}");
    }
}

/// A bare 403: `curl -d @notes.txt` is what newcomers try first.
#[test]
fn data_that_is_no_form_of_the_page_is_told_how_files_are_sent() {
    if skip_on_nginx("the page") {
        return;
    }
    let s = running();
    let curl = "Content-Type: application/x-www-form-urlencoded\r\nAccept: */*\r\n";
    let said = form(&s, "/up/", curl, "some notes").is(403).text();
    assert!(said.contains("curl -F file=@NAME") && said.contains("curl -T NAME"), "{said}");
    let said = form(&s, "/up/", curl, "webserv-delete=a.txt").is(403).text();
    assert!(said.contains("on the listing's own page only") && !said.contains("curl"), "{said}");
    assert!(s.exists("html/up/a.txt"));
}

/// A bare 409, for programs and by hand.
#[test]
fn a_delete_that_is_refused_says_why() {
    if skip_on_nginx("the page") {
        return;
    }
    let s = running();
    fs::create_dir(s.path("html/up/filled")).expect("a directory");
    fs::write(s.path("html/up/filled/f"), "f").expect("written");
    let said = s.method("DELETE", "/up/filled/", "", b"").is(409).text();
    assert_eq!(said, "409 Conflict: the directory is not empty. Nothing was deleted.\n");
}

#[test]
fn a_file_is_replaced_from_the_page_where_it_might_be_deleted() {
    if skip_on_nginx("the page") {
        return;
    }
    let s = running();
    let fields = |site: &str| {
        format!(
            "Sec-Fetch-Site: {site}\r\nContent-Type: text/plain\r\nContent-Disposition: attachment; filename=\"old.txt\"\r\n"
        )
    };
    fs::write(s.path("html/up/old.txt"), "old").expect("written");
    s.method("POST", "/up/", &fields("same-origin"), b"new").is(409);
    s.method("POST", "/up/?webserv-replace", &fields("cross-site"), b"new").is(403);
    // No page, but a program: it says so by PUT.
    let program = "Content-Disposition: attachment; filename=\"old.txt\"\r\n";
    s.method("POST", "/up/?webserv-replace", program, b"new").is(409);
    s.method("POST", "/up/?webserv-replace", &fields("same-origin"), b"new").is(200);
    assert_eq!(s.read("html/up/old.txt"), b"new");
    s.method("POST", "/post/?webserv-replace", &fields("same-origin"), b"new").is(409);
}

/// The names that a program finds in an archive.
fn listed(program: &str, args: &[&str], archive: &std::path::Path) -> Option<Vec<String>> {
    let out = Command::new(program).args(args).arg(archive).stderr(Stdio::null()).output().ok()?;
    assert!(out.status.success(), "{program}: {out:?}");
    let mut names: Vec<String> = String::from_utf8_lossy(&out.stdout).lines().map(str::to_owned).collect();
    names.sort();
    Some(names)
}

#[test]
fn a_folder_as_one_file_holds_what_its_client_may_read() {
    if skip_on_nginx("the page") {
        return;
    }
    let s = running();
    let expected = ["a.txt", "kept/", "kept/k.txt", "sub/", "sub/größe 文.txt", "taken.txt"];
    let zip = s.get("/up/?archive=zip");
    zip.is(200).has("Content-Type", "application/zip");
    assert!(
        zip.header("Content-Disposition").is_some_and(|value| value.starts_with("attachment; filename=\"up.zip\""))
    );
    fs::write(s.path("up.zip"), &zip.body).expect("written");
    fs::write(s.path("up.tar"), &s.get("/up/?archive=tar").is(200).body).expect("written");
    let reader = "import sys, zipfile; z = zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; print(*z.namelist(), sep='\\n')";
    if let Some(names) = listed("python3", &["-c", reader], &s.path("up.zip")) {
        assert_eq!(names, expected);
    }
    let reader =
        "import sys, tarfile; print(*[m.name + '/' * m.isdir() for m in tarfile.open(sys.argv[1])], sep='\\n')";
    if let Some(names) = listed("python3", &["-c", reader], &s.path("up.tar")) {
        assert_eq!(names, expected);
    }
    assert!(!String::from_utf8_lossy(&zip.body).contains("secret"));
    // Nothing where it was not asked for, and no body for HEAD.
    assert!(s.get("/read/?archive=zip").text().contains("r.txt"));
    let mut client = s.client();
    client.send(b"HEAD /up/?archive=zip HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response_to_head().is(200);
    client.get("/up/a.txt").is(200).body_is("alpha");
}

#[test]
fn the_page_speaks_the_readers_language() {
    if skip_on_nginx("the page") {
        return;
    }
    let s = running();
    let page = |accept: &str| s.get_with("/up/", &format!("Accept-Language: {accept}\r\n"));
    for (accept, lang, word) in [
        ("de-AT,de;q=0.9,en;q=0.5", "de", "Hochladen"),
        ("fr", "fr", "Supprimer"),
        ("ja,en;q=0.1", "ja", "アップロード"),
        ("nl", "en", "Upload"),
        ("zh-CN", "zh-Hans", "上传"),
    ] {
        let r = page(accept);
        assert!(r.is(200).text().contains(&format!("<html lang={lang}>")) && r.text().contains(word), "{accept}");
        assert!(r.header("Vary").is_some_and(|vary| vary.contains("Accept-Language")));
    }
    assert!(page("en").body.len() <= 35 << 10, "{}", page("en").body.len());
}

#[test]
fn an_extension_stays_at_the_right_end_whatever_the_direction() {
    if skip_on_nginx("the page") {
        return;
    }
    let s = running();
    let rows = [
        ("דוח שנתי.exe.txt", "<bdi dir=ltr><bdi>דוח שנתי.exe</bdi>.txt</bdi>"),
        ("דוח.Tar.gz", "<bdi dir=ltr><bdi>דוח</bdi>.Tar.gz</bdi>"),
        ("דוח.star.gz", "<bdi dir=ltr><bdi>דוח.star</bdi>.gz</bdi>"),
    ];
    for (name, _) in rows {
        fs::write(s.path("html/read").join(name), "x").expect("written");
    }
    let page = s.get("/read/").text();
    for (_, shown) in rows {
        assert!(page.contains(shown), "{shown} in {page}");
    }
}

#[test]
fn what_is_below_a_folder_is_searched() {
    if skip_on_nginx("autoindex_search") {
        return;
    }
    let many =
        |setup: Setup, n: usize| (0..n).fold(setup, |setup, at| setup.file(&format!("html/many/n{at}.txt"), "n"));
    let setup = server(
        "location / { autoindex on; autoindex_format page; }
         location /closed/ { autoindex off; }
         location /secret/ { autoindex on; autoindex_format page; deny all; }
         location ~ \\.key$ { deny all; }
         location /off/ { autoindex on; autoindex_format page; autoindex_search off; }",
    )
    .file("html/a/Report <1>.txt", "one")
    .file("html/a/b/REPORT two.txt", "two")
    .file("html/a/b/report.key", "key")
    .file("html/a/reports/other.txt", "other")
    .file("html/a/.report", "dot")
    .file("html/closed/report.txt", "closed")
    .file("html/secret/report.txt", "secret")
    .file("html/off/report.txt", "off")
    .link("html/a/report-link", "../closed")
    .file("html/a/Übung.txt", "u");
    let s = many(setup, 520).start();
    let page = s.get("/?search=+rEport");
    page.is(200)
        .contains("Search results for <bdi>rEport</bdi>")
        .contains("value=\"rEport\"")
        .contains("1 folder, 3 files");
    for shown in
        ["a/Report%20%3C1%3E.txt\"", "a/b/REPORT%20two.txt\"", "href=\"a/reports/\"", "href=\"off/report.txt\""]
    {
        page.contains(shown);
    }
    for hidden in ["report.key", ".report", "closed/", "secret/", "report-link", "?delete=", "?sort="] {
        assert!(!page.text().contains(hidden), "{hidden} in {}", page.text());
    }
    // In the order of the listing, not of the bytes: capitals would come first.
    let text = page.text();
    let at = |href: &str| text.find(href).unwrap_or_else(|| panic!("{href} in {text}"));
    assert!(
        at("a/b/REPORT%20two.txt") < at("a/Report%20%3C1%3E.txt") && at("a/Report%20%3C1%3E.txt") < at("a/reports/")
    );
    s.get("/a/?search=%C3%BCBUNG").is(200).contains("Übung.txt").contains("1 file");
    s.get("/a/?search=nowhere").is(200).contains("Nothing found.");
    s.get("/many/?search=n").is(200).contains("500 files").contains("Not all of it was searched");
    s.get("/off/?search=nowhere").is(200).contains("href=\"report.txt\"");
    let json = s.get_with("/a/?search=report", "Accept: application/json\r\n");
    json.is(200).contains("\"name\":\"b/REPORT two.txt\"").contains("\"type\":\"directory\"");
}
