//! PROPFIND, OPTIONS, PROPPATCH, and collections without their slash.

use super::*;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

#[test]
fn a_share_tells_what_is_in_it() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let s = share().file("html/d/a b&c.txt", "hello").file("html/d/.dot", "").mkdir("html/d/sub").start();
    s.write("html/d/.webserv-upload-1-1", "on its way");
    let mut table = Table::new("PROPFIND");
    table.row(OURS, "depth 0 is the resource alone", || {
        let r = propfind(&s, "/d/", "0", "");
        r.is(207).has("Content-Type", "application/xml; charset=utf-8");
        assert_eq!(hrefs(&r), ["/d/"]);
        r.contains("<D:resourcetype><D:collection/></D:resourcetype>");
    });
    table.row(OURS, "depth 1 is what is in it too, dotfiles and all, but not what is on its way", || {
        let r = propfind(&s, "/d/", "1", "");
        assert_eq!(hrefs(r.is(207)), ["/d/", "/d/.dot", "/d/a%20b%26c.txt", "/d/sub/"]);
        r.contains("<D:getcontentlength>5</D:getcontentlength>")
            .contains("<D:getcontenttype>text/plain</D:getcontenttype>");
    });
    table.row(OURS, "a collection may be named without its slash", || {
        let r = propfind(&s, "/d", "1", "");
        r.is(207).has("Content-Location", "/d/");
        assert_eq!(hrefs(&r).first().map(String::as_str), Some("/d/"));
    });
    table.row(OURS, "the ETag and the time are those of GET", || {
        let r = propfind(&s, "/d/a%20b&c.txt", "0", "");
        let get = s.get("/d/a%20b&c.txt");
        let tag = get.header("ETag").expect("one").replace('"', "&quot;");
        r.contains(&format!("<D:getetag>{tag}</D:getetag>"));
        let time = get.header("Last-Modified").expect("one");
        r.contains(&format!("<D:getlastmodified>{time}</D:getlastmodified>"));
    });
    table.row(OURS, "what is asked for and not there is told of as 404", || {
        let body = "<propfind xmlns='DAV:'><prop><getcontentlength/><x xmlns='urn:y'/></prop></propfind>";
        let r = propfind(&s, "/d/.dot", "0", body);
        r.is(207).contains("200 OK").contains("<x:x xmlns:x=\"urn:y\"/>").contains("404 Not Found");
    });
    table.row(OURS, "a property that is named twice is told once", || {
        let body = "<propfind xmlns='DAV:'><prop><getetag/><x xmlns='u'/><getetag/><x xmlns='u'/></prop></propfind>";
        let r = propfind(&s, "/d/.dot", "0", body);
        assert_eq!((r.is(207).text().matches("<D:getetag>").count(), r.text().matches("<x:x ").count()), (1, 1));
    });
    table.row(OURS, "a namespace costs no more than it sends, however many elements are in it", || {
        let body = |length: usize| {
            let names: String = (0..1000).map(|n| format!("<x:p{n}/>")).collect();
            format!("<propfind xmlns='DAV:' xmlns:x='{}'><prop>{names}</prop></propfind>", "n".repeat(length))
        };
        assert_eq!(propfind(&s, "/d/.dot", "0", &body(100)).is(207).text().matches("<x:p").count(), 1000);
        // Thirty megabytes in one piece once were a panic.
        propfind(&s, "/d/.dot", "0", &body(30_000)).is(400);
    });
    table.row(OURS, "names of properties", || {
        let r = propfind(&s, "/d/", "0", "<propfind xmlns='DAV:'><propname/></propfind>");
        r.is(207).contains("<D:displayname/>");
    });
    table.row(OURS, "room that is left, where it is asked for", || {
        let body = "<propfind xmlns='DAV:'><prop><quota-available-bytes/><quota-used-bytes/></prop></propfind>";
        propfind(&s, "/", "0", body).is(207).contains("<D:quota-available-bytes>").contains("<D:quota-used-bytes>");
    });
    table.row(OURS, "a whole tree at once is refused", || {
        propfind(&s, "/d/", "infinity", "").is(403).contains("propfind-finite-depth");
        // webdav4 asks without a Depth, of files with infinity.
        propfind(&s, "/d/a%20b&c.txt", "infinity", "").is(207);
        propfind(&s, "/none", "infinity", "").is(404);
        assert_eq!(hrefs(s.method("PROPFIND", "/d/", "", b"").is(207)), hrefs(&propfind(&s, "/d/", "1", "")));
        propfind(&s, "/d/", "2", "").is(400);
    });
    table.row(OURS, "what is not there, and bodies that are none", || {
        propfind(&s, "/none", "0", "").is(404);
        propfind(&s, "/d/a%20b&c.txt/", "0", "").is(404);
        for body in [
            "<propfind xmlns='DAV:'><prop/>",
            "<foo/>",
            "<D:propfind xmlns:D='DAV:'><D:prop><b:x xmlns:b=''/></D:prop></D:propfind>",
            "<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><propfind xmlns='DAV:'><prop>&e;</prop></propfind>",
        ] {
            propfind(&s, "/", "0", body).is(400);
        }
        propfind(&s, "/", "0", &" ".repeat(200_000)).is(413);
    });
    table.row(OURS, "OPTIONS says that it is WebDAV", || {
        let r = s.method("OPTIONS", "/d/", "", b"");
        r.is(200).has("DAV", "1, 2").has("MS-Author-Via", "DAV").has("Content-Length", "0");
        assert!(r.header("Allow").is_some_and(|allow| allow.contains("PROPFIND") && allow.contains("LOCK")));
    });
    table.row(OURS, "elsewhere nothing of it is answered", || {
        propfind(&s, "/form/", "0", "").is(405);
        s.method("OPTIONS", "/form/", "", b"").is(204).lacks("DAV");
    });
}

#[test]
fn collections_need_no_slash_and_replace_files() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let s = share().file("html/d/in/a", "a").file("html/f", "f").start();
    let transfer = |method: &str, from: &str, to: &str| s.method(method, from, &format!("Destination: {to}\r\n"), b"");
    let mut table = Table::new("collections without their slash");
    table.row(OURS, "COPY to a new name is 201, over another 204", || {
        transfer("COPY", "/d", "/e").is(201);
        transfer("COPY", "/d", "/e/").is(204);
        assert_eq!(s.read("html/e/in/a"), b"a");
        transfer("COPY", "/f", "/g").is(201);
        transfer("COPY", "/f", "/g").is(204);
    });
    table.row(OURS, "a file takes the place of a collection, and the other way round", || {
        transfer("COPY", "/f", "/e").is(204);
        assert_eq!(s.read("html/e"), b"f");
        transfer("COPY", "/d", "/e").is(204);
        assert_eq!(s.read("html/e/in/a"), b"a");
        transfer("MOVE", "/g", "/e").is(204);
        assert_eq!(s.read("html/e"), b"f");
        assert!(!s.exists("html/g"));
        s.method("COPY", "/d", "Destination: /e\r\nOverwrite: F\r\n", b"").is(412);
        assert_eq!(s.read("html/e"), b"f");
    });
    table.row(OURS, "MOVE and DELETE", || {
        transfer("MOVE", "/d", "/moved").is(201);
        assert!(s.exists("html/moved/in/a") && !s.exists("html/d"));
        s.method("DELETE", "/moved", "", b"").is(204);
        assert!(!s.exists("html/moved"));
        transfer("COPY", "/f/", "/x").is_one_of(&[404, 409]);
        s.method("DELETE", "/f/", "", b"").is_one_of(&[404, 409]);
        assert!(s.exists("html/f"));
    });
    table.row(OURS, "a Destination of the front", || {
        transfer("COPY", "/f", "https://localhost/front").is_one_of(&[201, 400]);
        let host = format!("http://127.0.0.1:{}/g2", s.port());
        s.send(format!("COPY /f HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nDestination: {host}\r\n\r\n", s.port())).is(201);
        s.send("COPY /f HTTP/1.1\r\nHost: a\r\nDestination: https://a:8443/g3\r\n\r\n").is(201);
        s.send("COPY /f HTTP/1.1\r\nHost: a\r\nDestination: https://b/g4\r\n\r\n").is(400);
    });
    table.row(OURS, "nothing is left behind", || {
        let hidden = |name: &String| name.contains(".webserv-");
        assert_eq!(s.snapshot("html").into_keys().filter(hidden).collect::<Vec<_>>(), [""; 0]);
    });
}

#[test]
fn properties_are_not_kept_but_windows_times_are() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let s = share().file("html/f", "f").start();
    let patch = |body: &str| s.method("PROPPATCH", "/f", "", body.as_bytes());
    let mut table = Table::new("PROPPATCH");
    table.row(OURS, "what Windows sets after a copy", || {
        let r = patch(
            "<?xml version=\"1.0\" encoding=\"utf-8\" ?><D:propertyupdate xmlns:D=\"DAV:\" \
             xmlns:Z=\"urn:schemas-microsoft-com:\"><D:set><D:prop>\
             <Z:Win32CreationTime>Sun, 06 Nov 1994 08:49:37 GMT</Z:Win32CreationTime>\
             <Z:Win32LastAccessTime>Sun, 06 Nov 1994 08:49:37 GMT</Z:Win32LastAccessTime>\
             <Z:Win32LastModifiedTime>Sun, 06 Nov 1994 08:49:37 GMT</Z:Win32LastModifiedTime>\
             <Z:Win32FileAttributes>00000020</Z:Win32FileAttributes></D:prop></D:set></D:propertyupdate>",
        );
        r.is(207).contains("200 OK");
        assert_eq!(std::fs::metadata(s.path("html/f")).expect("stat").mtime(), 784_111_777);
    });
    table.row(OURS, "the time that rclone keeps, by PROPPATCH and by PUT", || {
        let r = patch(
            "<D:propertyupdate xmlns:D='DAV:'><D:set><D:prop><lastmodified xmlns='DAV:'>784111000</lastmodified></D:prop>\
             </D:set></D:propertyupdate>",
        );
        r.is(207).contains("200 OK");
        assert_eq!(std::fs::metadata(s.path("html/f")).expect("stat").mtime(), 784_111_000);
        let r = s.method("PUT", "/f", "X-OC-Mtime: 784111777.5\r\n", b"f");
        r.is(204).has("X-OC-MTime", "accepted");
        assert_eq!(std::fs::metadata(s.path("html/f")).expect("stat").mtime(), 784_111_777);
        s.get("/f").is(200).has("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
        for bad in ["now", "-1", "99999999999999"] {
            s.method("PUT", "/f", &format!("X-OC-Mtime: {bad}\r\n"), b"f").is(204).lacks("X-OC-MTime");
        }
        patch(
            "<D:propertyupdate xmlns:D='DAV:'><D:set><D:prop><D:lastmodified>soon</D:lastmodified></D:prop></D:set>\
             </D:propertyupdate>",
        )
        .is(207)
        .contains("403 Forbidden");
    });
    table.row(OURS, "all or none: the others are told of", || {
        let r = patch(
            "<D:propertyupdate xmlns:D='DAV:'><D:set><D:prop><a xmlns='urn:x'>1</a></D:prop></D:set>\
             <D:set><D:prop><Win32FileAttributes xmlns='urn:schemas-microsoft-com:'>0</Win32FileAttributes></D:prop></D:set>\
             <D:remove><D:prop><D:getetag/></D:prop></D:remove></D:propertyupdate>",
        );
        r.is(207).contains("403 Forbidden").contains("424 Failed Dependency");
        assert!(!r.text().contains("200 OK"));
    });
    table.row(OURS, "what is not there, and bodies that are none", || {
        s.method(
            "PROPPATCH",
            "/none",
            "",
            b"<D:propertyupdate xmlns:D='DAV:'><D:remove><D:prop><D:x/></D:prop></D:remove></D:propertyupdate>",
        )
        .is(404);
        patch("").is(400);
        patch("<D:propertyupdate xmlns:D='DAV:'/>").is(400);
    });
}

#[test]
fn a_share_is_mounted_by_its_name_without_the_slash() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let block = "location /share/ { dav_methods PUT DELETE; dav_ext_lock zone=locks;
                      dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK PROPPATCH; }
         location /closed/ { deny all; dav_ext_methods PROPFIND OPTIONS; }
         location /half/ { dav_ext_methods PROPFIND; }
         location = /own { return 200 own; }
         location /own/ { dav_ext_methods PROPFIND OPTIONS; }";
    let s =
        with_locks(block).file("html/share/f", "f").mkdir("html/closed").mkdir("html/half").mkdir("html/own").start();
    let mut table = Table::new("no slash");
    table.row(OURS, "what clients begin with", || {
        s.method("OPTIONS", "/share", "", b"").is(200).has("DAV", "1, 2").has("Content-Location", "/share/");
        let r = propfind(&s, "/share", "1", "");
        assert_eq!(hrefs(r.is(207).has("Content-Location", "/share/")), ["/share/", "/share/f"]);
        assert_eq!(propfind(&s, "/share/", "1", "").is(207).header("Content-Location"), None);
        let token = lock(&s, "/share", "");
        s.method("PUT", "/share/f", "", b"x").is(423);
        s.method("UNLOCK", "/share", &format!("Lock-Token: <{token}>\r\n"), b"").is(204);
        s.method("PUT", "/share/f", "", b"x").is(204);
    });
    table.row(OURS, "by the rules of that location", || {
        propfind(&s, "/closed", "0", "").is(403);
    });
    table.row(OURS, "for its own methods alone", || {
        propfind(&s, "/half", "0", "").is(207);
        assert_eq!(s.method("OPTIONS", "/half", "", b"").header("DAV"), None);
        s.get("/share").is(301);
    });
    table.row(OURS, "but where another location has that name", || {
        s.method("OPTIONS", "/own", "", b"").is(200).body_is("own");
    });
}

/// A directory that goes with the test.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_hundred_thousand_entries_are_told_of_in_constant_memory() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    // In memory: a disk takes a minute for as many.
    let memory = Path::new("/dev/shm");
    let root =
        if memory.is_dir() { memory } else { Path::new("/tmp") }.join(format!("webserv-many-{}", std::process::id()));
    let _removed = Removed(root.clone());
    std::fs::create_dir_all(root.join("many")).expect("made");
    for n in 0..100_000 {
        std::fs::File::create(root.join(format!("many/entry-with-a-longer-name-{n:06}"))).expect("made");
    }
    let s = with_locks(&format!("location / {{ root {}; dav_ext_methods PROPFIND; }}", root.display())).start();
    propfind(&s, "/", "1", "").is(207);
    let before = s.kilobytes("VmHWM");
    let mut client = s.client();
    client.send("PROPFIND /many/ HTTP/1.1\r\nHost: a\r\nDepth: 1\r\n\r\n");
    let r = client.response();
    assert_eq!(r.text().matches("<D:response>").count(), 100_001);
    let grown = s.kilobytes("VmHWM").saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB more for a listing of {} bytes", r.body.len());
}
