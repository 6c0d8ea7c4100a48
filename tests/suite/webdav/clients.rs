//! Clients as they come: litmus, cadaver and rclone where they are installed, and the requests that Finder, Explorer,
//! Nautilus and iOS Files were seen to begin with.

use super::*;
use crate::uploads::clients::alone;
use std::process::Output;

/// Runs a program; None (said aloud) where it is not installed.
pub fn run(program: &str, args: &[&str], input: &str) -> Option<Output> {
    use std::io::Write;
    let child = alone(program)
        .args(args)
        .env("HOME", std::env::temp_dir())
        .current_dir(std::env::temp_dir())
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        skipped(&format!("{program} is not installed"));
        return None;
    };
    // One that has ended already reads nothing; how it ended says why.
    let _ = child.stdin.take().expect("piped").write_all(input.as_bytes());
    Some(child.wait_with_output().expect("it ended"))
}

pub fn url(s: &Server) -> String {
    format!("http://127.0.0.1:{}/", s.port())
}

#[test]
fn litmus_finds_nothing_but_dead_properties() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let s = share().start();
    let Some(out) = run("litmus", &["-k", &url(&s)], "") else { return };
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(text.contains("running `locks'"), "{text}");
    let failed = text.lines().filter(|line| line.contains("FAIL") && !line.contains("PROPPATCH"));
    // That of the property that could not be set.
    let failed: Vec<&str> = failed.filter(|line| !line.contains("propget")).collect();
    assert!(failed.is_empty(), "{failed:#?}\n{text}");
}

#[test]
fn cadaver_works_on_a_share() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let s = share().file("html/there.txt", "there").file("local.txt", "content").start();
    let script = format!(
        "mkcol new\ncd new\nput {} up.txt\nls\ncopy up.txt two.txt\nmove two.txt three.txt\nlock up.txt\nunlock up.txt\n\
         delete three.txt\ncd ..\nls\nrmcol new\nquit\n",
        s.path("local.txt").display()
    );
    let Some(out) = run("cadaver", &[&url(&s)], &script) else { return };
    let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
    assert!(text.contains("up.txt") && text.contains("there.txt"), "{text}");
    assert!(!text.contains("failed") && !text.contains("Could not"), "{text}");
    assert!(!s.exists("html/new") && s.exists("html/there.txt"));
}

#[test]
fn rclone_copies_syncs_moves_and_checks_odd_names() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let names = [
        "a b",
        "100%",
        "Q: why?.txt",
        "Vol. 2.",
        "ä ö",
        "._mac",
        ".DS_Store",
        ".~lock.a.odt#",
        "sub/deep/x&y",
        "+;,=@",
    ];
    let mut setup = share().mkdir("html/to");
    for (n, name) in names.iter().enumerate() {
        setup = setup.file(&format!("from/{name}"), format!("content {n}"));
    }
    let s = setup.start();
    let (from, remote) = (s.path("from").display().to_string(), format!(":webdav,url='{}':", url(&s)));
    let rclone = |args: &[&str]| run("rclone", &[&["--config", "/dev/null", "--retries", "1"], args].concat(), "");
    let Some(out) = rclone(&["copy", &from, &format!("{remote}to")]) else { return };
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for (n, name) in names.iter().enumerate() {
        assert_eq!(s.read(&format!("html/to/{name}")), format!("content {n}").into_bytes(), "{name}");
    }
    std::fs::remove_file(s.path("from/a b")).expect("removed");
    s.write("from/100%", "changed and longer");
    for args in [
        &["check", "--download", &from, &format!("{remote}to")][..],
        &["sync", &from, &format!("{remote}to")],
        &["check", "--download", &from, &format!("{remote}to")],
        &["move", &format!("{remote}to/sub"), &format!("{remote}to/moved")],
        &["purge", &format!("{remote}to")],
    ] {
        let out = rclone(args).expect("it is installed");
        // Before the sync they differ.
        let differs = args[0] == "check" && s.exists("html/to/a b");
        assert_eq!(out.status.success(), !differs, "{args:?}: {}", String::from_utf8_lossy(&out.stderr));
    }
    assert!(!s.exists("html/to"));
}

/// The requests of a recording, each with the status that its client goes on with.
fn replay(s: &Server, client: &str, recording: &[(&str, &str, &str, &str, u16)]) {
    let mut connection: Option<Client> = None;
    let mut token = String::new();
    for (method, target, fields, body, status) in recording {
        let fields = fields.replace("TOKEN", &token);
        let connection = connection.get_or_insert_with(|| s.client());
        let text = format!(
            "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUser-Agent: {client}\r\n{fields}Content-Length: {}\r\n\r\n{body}",
            s.port(),
            body.len()
        );
        connection.send(text);
        let r = if *method == "HEAD" { connection.response_to_head() } else { connection.response() };
        assert_eq!(r.status, *status, "{client}: {method} {target}\n{}", r.show());
        if let Some(new) = r.header("Lock-Token") {
            token = new.to_owned();
        }
    }
}

const PROP: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><D:propfind xmlns:D=\"DAV:\"><D:prop><D:getlastmodified/>\
    <D:getcontentlength/><D:creationdate/><D:resourcetype/></D:prop></D:propfind>";
const QUOTA: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?><D:propfind xmlns:D=\"DAV:\"><D:prop>\
    <D:quota-available-bytes/><D:quota-used-bytes/><D:quota/><D:quotaused/></D:prop></D:propfind>";

#[test]
fn what_clients_of_desktops_and_phones_begin_with_is_answered() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let s = share().file("html/there.txt", "there").start();
    let mut table = Table::new("recorded openings");
    table.row(OURS, "Finder saves a file", || {
        let recording = [
            ("OPTIONS", "/", "Accept: */*\r\n", "", 200),
            ("PROPFIND", "/", "Depth: 0\r\nContent-Type: text/xml\r\n", PROP, 207),
            ("PROPFIND", "/", "Depth: 0\r\nContent-Type: text/xml\r\n", QUOTA, 207),
            ("PROPFIND", "/", "Depth: 1\r\nContent-Type: text/xml\r\n", PROP, 207),
            ("PROPFIND", "/._.", "Depth: 0\r\nContent-Type: text/xml\r\n", PROP, 404),
            ("PROPFIND", "/.DS_Store", "Depth: 0\r\nContent-Type: text/xml\r\n", PROP, 404),
            ("PUT", "/.DS_Store", "", "", 201),
            ("LOCK", "/.DS_Store", "Depth: 0\r\nTimeout: Second-600\r\nContent-Type: text/xml\r\n", LOCKINFO, 200),
            ("PUT", "/.DS_Store", "If: (TOKEN)\r\nX-Expected-Entity-Length: 5\r\n", "store", 204),
            ("UNLOCK", "/.DS_Store", "Lock-Token: TOKEN\r\n", "", 204),
            ("PUT", "/._a.txt", "", "", 201),
            ("PROPFIND", "/a.txt", "Depth: 0\r\nContent-Type: text/xml\r\n", PROP, 404),
            ("MKCOL", "/untitled%20folder", "", "", 201),
            ("PROPFIND", "/untitled%20folder", "Depth: 0\r\nContent-Type: text/xml\r\n", PROP, 207),
            ("MOVE", "/untitled%20folder", "Destination: /Photos\r\nOverwrite: F\r\n", "", 201),
            ("DELETE", "/._a.txt", "", "", 204),
            ("DELETE", "/Photos", "", "", 204),
        ];
        replay(&s, "WebDAVFS/3.0.0 (03008000) Darwin/22.6.0 (x86_64)", &recording);
    });
    table.row(OURS, "Explorer copies a file", || {
        let patch = "<?xml version=\"1.0\" encoding=\"utf-8\" ?><D:propertyupdate xmlns:D=\"DAV:\" \
            xmlns:Z=\"urn:schemas-microsoft-com:\"><D:set><D:prop><Z:Win32CreationTime>Mon, 01 Jan 2024 10:00:00 GMT\
            </Z:Win32CreationTime><Z:Win32LastModifiedTime>Mon, 01 Jan 2024 10:00:00 GMT</Z:Win32LastModifiedTime>\
            <Z:Win32FileAttributes>00000020</Z:Win32FileAttributes></D:prop></D:set></D:propertyupdate>";
        let translate = "translate: f\r\n";
        let recording = [
            ("OPTIONS", "/", translate, "", 200),
            ("PROPFIND", "/", "Depth: 0\r\ntranslate: f\r\n", "", 207),
            ("PROPFIND", "/", "Depth: 1\r\ntranslate: f\r\n", "", 207),
            ("PROPFIND", "/desktop.ini", "Depth: 0\r\ntranslate: f\r\n", "", 404),
            ("PROPFIND", "/new.docx", "Depth: 0\r\ntranslate: f\r\n", "", 404),
            ("PUT", "/new.docx", translate, "", 201),
            ("LOCK", "/new.docx", "Timeout: Second-3600\r\ntranslate: f\r\n", LOCKINFO, 200),
            ("PROPPATCH", "/new.docx", "If: (TOKEN)\r\ntranslate: f\r\n", patch, 207),
            ("HEAD", "/new.docx", translate, "", 200),
            ("PUT", "/new.docx", "If: (TOKEN)\r\ntranslate: f\r\n", "words", 204),
            ("PROPPATCH", "/new.docx", "If: (TOKEN)\r\ntranslate: f\r\n", patch, 207),
            ("UNLOCK", "/new.docx", "Lock-Token: TOKEN\r\ntranslate: f\r\n", "", 204),
            ("MOVE", "/new.docx", "Destination: http://127.0.0.1/renamed.docx\r\nOverwrite: F\r\n", "", 201),
            ("DELETE", "/renamed.docx", translate, "", 204),
        ];
        replay(&s, "Microsoft-WebDAV-MiniRedir/10.0.19045", &recording);
    });
    table.row(OURS, "Nautilus and iOS Files look around", || {
        let gvfs = "<?xml version=\"1.0\" encoding=\"utf-8\" ?><D:propfind xmlns:D=\"DAV:\"><D:prop><D:creationdate/>\
            <D:displayname/><D:getcontentlength/><D:getcontenttype/><D:getetag/><D:getlastmodified/><D:resourcetype/>\
            </D:prop></D:propfind>";
        let recording = [
            ("OPTIONS", "/", "", "", 200),
            ("PROPFIND", "/", "Depth: 0\r\nApply-To-Redirect-Ref: T\r\nContent-Type: application/xml\r\n", gvfs, 207),
            ("PROPFIND", "/", "Depth: 1\r\nApply-To-Redirect-Ref: T\r\nContent-Type: application/xml\r\n", gvfs, 207),
            ("PROPFIND", "/there.txt", "Depth: 0\r\nContent-Type: application/xml\r\n", gvfs, 207),
            ("GET", "/there.txt", "Accept-Encoding: gzip, deflate\r\n", "", 200),
            ("MKCOL", "/Dir/", "", "", 201),
            ("PUT", "/Dir/x.txt", "", "x", 201),
            ("MOVE", "/Dir/x.txt", "Destination: /Dir/y.txt\r\nOverwrite: F\r\n", "", 201),
            ("COPY", "/Dir/y.txt", "Destination: /Dir/z.txt\r\nOverwrite: F\r\nDepth: infinity\r\n", "", 201),
            ("DELETE", "/Dir/", "", "", 204),
        ];
        replay(&s, "gvfs/1.50.3", &recording);
    });
}
