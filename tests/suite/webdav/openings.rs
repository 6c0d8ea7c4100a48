//! What file managers send from the moment when a share is mounted, replayed: each request with its fields and its
//! body, and what of the answer the client goes on with. Finder's are those of Apple's published client (webdavfs),
//! Nautilus' those of gvfs, Explorer's from captures of its WebClient. The Files of iOS mounts no WebDAV itself (its
//! servers are SMB's): apps do that for it, by URLSession; what one of them asks first is from a log in a public issue
//! (nextcloud/ios 1438).

use super::*;
use std::time::{Duration, UNIX_EPOCH};

/// A request of a recording, the status that its client goes on with, and what it takes from the answer: `Name: value`
/// of the head, or text of the body; none of it, after a `!`. `TOKEN`, `ETAG` and `DATE` are those of earlier answers,
/// `HOST` is the server.
type Step = (&'static str, &'static str, String, String, u16, &'static [&'static str]);

fn step(
    method: &'static str,
    target: &'static str,
    fields: &str,
    body: &str,
    status: u16,
    needs: &'static [&'static str],
) -> Step {
    (method, target, fields.to_owned(), body.to_owned(), status, needs)
}

/// Replays a recording on one connection, as its client does.
fn replay(s: &Server, agent: &str, recording: Vec<Step>) {
    let mut connection = s.client();
    let host = format!("127.0.0.1:{}", s.port());
    let (mut token, mut etag, mut date) = (String::new(), String::new(), String::new());
    for (method, target, fields, body, status, needs) in recording {
        if fields.contains("If-Range: DATE") {
            // Only the date of a file that was not written just now is a strong validator.
            let file =
                std::fs::File::options().write(true).open(s.path(&format!("html{target}"))).expect("it is there");
            file.set_modified(UNIX_EPOCH + Duration::from_secs(1_000_000_000)).expect("its time is set");
            date = s.get(target).is(200).header("Last-Modified").expect("one").to_owned();
        }
        let known = [("TOKEN", &token), ("ETAG", &etag), ("DATE", &date), ("HOST", &host)];
        let fields = known.iter().fold(fields, |fields, (name, value)| fields.replace(name, value));
        // Without a body these clients name no length, but where they send an empty file.
        let is_silent = fields.contains("Transfer-Encoding") || body.is_empty() && method != "PUT";
        let length = if is_silent { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        connection.send(format!(
            "{method} {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\n{fields}{length}\r\n{body}"
        ));
        let r = if method == "HEAD" { connection.response_to_head() } else { connection.response() };
        assert_eq!(r.status, status, "{agent}: {method} {target}\n{}", r.show());
        for need in needs {
            let (is_unwanted, text) = need.strip_prefix('!').map_or((false, *need), |text| (true, text));
            let is_there = match text.split_once(": ").filter(|(name, _)| !name.contains('<')) {
                Some((name, value)) => r.header(name).is_some_and(|there| there.contains(value)),
                None => r.text().contains(text),
            };
            assert_ne!(is_there, is_unwanted, "{agent}: {method} {target} needs {need}\n{}", r.show());
        }
        let keep = |name: &str, at: &mut String| {
            if let Some(value) = r.header(name) {
                *at = value.to_owned();
            }
        };
        keep("Lock-Token", &mut token);
        keep("ETag", &mut etag);
        keep("Last-Modified", &mut date);
    }
}

fn props(names: &[&str]) -> String {
    let names: String = names.iter().map(|name| format!("<D:{name}/>\n")).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:propfind xmlns:D=\"DAV:\">\n<D:prop>\n{names}</D:prop>\n\
         </D:propfind>\n"
    )
}

const XML: &str = "Accept: */*\r\nContent-Type: text/xml\r\n";
const FOUND: &[&str] =
    &["<D:resourcetype></D:resourcetype>", "<D:getcontentlength>", "<D:getlastmodified>", "<D:creationdate>"];

/// Mounts, looks for its own files, and stores one: an empty PUT, a lock, the content in chunks, a look at its new
/// time.
fn finder() -> Vec<Step> {
    let stat = props(&["getlastmodified", "getcontentlength", "creationdate", "resourcetype"]);
    let quota = props(&["quota-available-bytes", "quota-used-bytes", "quota", "quotaused"]);
    let list = stat.replace("</D:prop>", "<A:appledoubleheader/>\n</D:prop>");
    let list = list.replace("<D:prop>", "<D:prop xmlns:A=\"http://www.apple.com/webdav_fs/props/\">");
    let synced = props(&["getlastmodified", "getetag"]);
    let kinds = props(&["resourcetype"]);
    let lock = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:lockinfo xmlns:D=\"DAV:\">\n<D:lockscope><D:exclusive/>\
        </D:lockscope>\n<D:locktype><D:write/></D:locktype>\n<D:owner>\n<D:href>http://www.apple.com/webdav_fs/</D:href>\n\
        </D:owner>\n</D:lockinfo>\n";
    let any = "Accept: */*\r\n";
    let depth = |depth: &str| format!("{XML}Depth: {depth}\r\n");
    let (zero, one) = (depth("0"), depth("1"));
    let locks = format!("{any}Depth: 0\r\nTimeout: Second-600\r\nContent-Type: text/xml; charset=\"utf-8\"\r\n");
    let again = format!("{any}Depth: 0\r\nTimeout: Second-600\r\nContent-Type: text/xml\r\nIf: (TOKEN)\r\n");
    let chunked = format!("{any}If: (TOKEN)\r\nX-Expected-Entity-Length: 11\r\nTransfer-Encoding: chunked\r\n");
    let to = |name: &str| format!("{any}Destination: http://HOST/{name}\r\n");
    let missing = |name| step("PROPFIND", name, &zero, &stat, 404, &[]);
    let held: &[&str] = &["<D:locktoken><D:href>", "<D:depth>0</D:depth>", "Second-600"];
    vec![
        // Without class 2 it mounts read-only.
        step("OPTIONS", "/", any, "", 200, &["DAV: 1, 2"]),
        step("PROPFIND", "/", &zero, &stat, 207, &["<D:collection/>", "<D:href>/</D:href>"]),
        step("PROPFIND", "/", &zero, &quota, 207, &["<D:quota-available-bytes>", "<D:quota-used-bytes>"]),
        step("PROPFIND", "/", &one, &list, 207, &["/there.txt</D:href>", "appledoubleheader", "404 Not Found"]),
        missing("/.hidden"),
        missing("/._."),
        missing("/.metadata_never_index"),
        missing("/.Spotlight-V100"),
        missing("/Backups.backupdb"),
        missing("/note.txt"),
        step("PUT", "/note.txt", any, "", 201, &[]),
        step("PROPFIND", "/note.txt", &zero, &stat, 207, FOUND),
        step("LOCK", "/note.txt", &locks, lock, 200, held),
        step("GET", "/note.txt", any, "", 200, &["Last-Modified: GMT"]),
        step("PUT", "/note.txt", &chunked, "6\r\nhello \r\n5\r\nworld\r\n0\r\n\r\n", 204, &[]),
        step("PROPFIND", "/note.txt", &zero, &synced, 207, &["<D:getlastmodified>", "<D:getetag>"]),
        step("LOCK", "/note.txt", &again, "", 200, held),
        step("PUT", "/note.txt", &format!("{any}If: (TOKEN)\r\n"), "hello again", 204, &[]),
        step("UNLOCK", "/note.txt", &format!("{any}Lock-Token: TOKEN\r\n"), "", 204, &[]),
        step("GET", "/note.txt", &format!("{any}Range: bytes=0-4\r\n"), "", 206, &["hello", "Last-Modified: GMT"]),
        step("GET", "/note.txt", &format!("{any}If-Range: DATE\r\nRange: bytes=6-\r\n"), "", 206, &["again"]),
        step("GET", "/note.txt", &format!("{any}If-Modified-Since: DATE\r\n"), "", 304, &[]),
        // The second file of each, and those of the folder's view.
        step("PUT", "/._note.txt", any, "", 201, &[]),
        step("LOCK", "/._note.txt", &locks, lock, 200, held),
        step("PUT", "/._note.txt", &chunked, "b\r\nxattr xattr\r\n0\r\n\r\n", 204, &[]),
        step("UNLOCK", "/._note.txt", &format!("{any}Lock-Token: TOKEN\r\n"), "", 204, &[]),
        step("PUT", "/.DS_Store", any, "", 201, &[]),
        // Editors store beside a file, then move over it: no Overwrite means that they may.
        step("PUT", "/note.txt.sb-1", any, "new", 201, &[]),
        step("MOVE", "/note.txt.sb-1", &to("note.txt"), "", 204, &["Date: GMT"]),
        step("MKCOL", "/untitled%20folder/", any, "", 201, &[]),
        step("MOVE", "/untitled%20folder/", &to("Photos/"), "", 201, &["Date: GMT"]),
        step("MOVE", "/note.txt", &to("Photos/note.txt"), "", 201, &[]),
        step("DELETE", "/Photos/note.txt", any, "", 204, &[]),
        // Only an empty folder is removed.
        step("PROPFIND", "/Photos/", &one, &kinds, 207, &["/Photos/</D:href>", "!note.txt"]),
        step("DELETE", "/Photos/", any, "", 204, &[]),
        step("DELETE", "/._note.txt", any, "", 204, &[]),
        step("DELETE", "/.DS_Store", any, "", 204, &[]),
    ]
}

/// Maps a drive, copies a document to it, opens it in Office, renames and removes it.
fn explorer() -> Vec<Step> {
    let lock = "<?xml version=\"1.0\" encoding=\"utf-8\" ?><D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/>\
        </D:lockscope><D:locktype><D:write/></D:locktype><D:owner><D:href>HOME\\user</D:href></D:owner></D:lockinfo>";
    let patch = "<?xml version=\"1.0\" encoding=\"utf-8\" ?><D:propertyupdate xmlns:D=\"DAV:\" \
        xmlns:Z=\"urn:schemas-microsoft-com:\"><D:set><D:prop><Z:Win32CreationTime>Mon, 01 Jan 2024 10:00:00 GMT\
        </Z:Win32CreationTime><Z:Win32LastAccessTime>Mon, 01 Jan 2024 10:00:00 GMT</Z:Win32LastAccessTime>\
        <Z:Win32LastModifiedTime>Mon, 01 Jan 2024 10:00:00 GMT</Z:Win32LastModifiedTime>\
        <Z:Win32FileAttributes>00000020</Z:Win32FileAttributes></D:prop></D:set></D:propertyupdate>";
    let plain = "Connection: Keep-Alive\r\ntranslate: f\r\n";
    let depth = |depth: &str| format!("{plain}Depth: {depth}\r\nContent-Length: 0\r\n");
    let (zero, one) = (depth("0"), depth("1"));
    let fresh = format!("{plain}Cache-Control: no-cache\r\nPragma: no-cache\r\n");
    let xml = format!("{fresh}Content-Type: text/xml; charset=\"utf-8\"\r\n");
    let locks = format!("{xml}Timeout: Second-3600\r\n");
    let holds = format!("{fresh}If: (TOKEN)\r\n");
    let patches = format!("{xml}If: (TOKEN)\r\n");
    let unlocks = format!("{fresh}Lock-Token: TOKEN\r\n");
    let to = |name: &str| format!("{plain}Destination: http://HOST/{name}\r\nOverwrite: F\r\nContent-Length: 0\r\n");
    let missing = |name| step("PROPFIND", name, &zero, "", 404, &[]);
    // Without the lock in the body it tells the user that a parameter is incorrect.
    let held: &[&str] = &["<D:activelock>", "<D:locktoken><D:href>", "<D:timeout>Second-", "Lock-Token: <"];
    // Of a lock that is refreshed the token is in the body alone.
    let held_again = &held[..3];
    let set: &[&str] = &["HTTP/1.1 200 OK", "Win32LastModifiedTime", "!403", "!424"];
    vec![
        step("OPTIONS", "/", plain, "", 200, &["DAV: 1, 2", "MS-Author-Via: DAV", "Allow: PROPFIND", "Allow: LOCK"]),
        step("PROPFIND", "/", &zero, "", 207, &["<D:collection/>", "<D:supportedlock>", "<D:getlastmodified>"]),
        missing("/AutoRun.inf"),
        missing("/desktop.ini"),
        missing("/Thumbs.db"),
        step("PROPFIND", "/", &one, "", 207, &["there.txt</D:href>", "<D:getcontentlength>5<", "<D:creationdate>"]),
        missing("/new%20words.docx"),
        step("PUT", "/new%20words.docx", plain, "", 201, &[]),
        step("PROPFIND", "/new%20words.docx", &zero, "", 207, &["new%20words.docx</D:href>", "<D:getcontentlength>0<"]),
        step("LOCK", "/new%20words.docx", &locks, lock, 200, held),
        step("PROPPATCH", "/new%20words.docx", &patches, patch, 207, set),
        step("HEAD", "/new%20words.docx", &fresh, "", 200, &["Content-Length: 0"]),
        step("PUT", "/new%20words.docx", &holds, "words", 204, &[]),
        step("PROPPATCH", "/new%20words.docx", &patches, patch, 207, set),
        step("UNLOCK", "/new%20words.docx", &unlocks, "", 204, &[]),
        step(
            "PROPFIND",
            "/new%20words.docx",
            &zero,
            "",
            207,
            &["<D:getcontentlength>5<", "<D:getlastmodified>Mon, 01 Jan 2024 10:00:00 GMT<", "!<D:activelock>"],
        ),
        // Word: a file of its own beside, the document locked while it is open.
        step("PUT", "/~%24w%20words.docx", plain, "", 201, &[]),
        step("LOCK", "/~%24w%20words.docx", &locks, lock, 200, held),
        step("PUT", "/~%24w%20words.docx", &holds, "user", 204, &[]),
        step("UNLOCK", "/~%24w%20words.docx", &unlocks, "", 204, &[]),
        step("LOCK", "/new%20words.docx", &locks, lock, 200, held),
        step("GET", "/new%20words.docx", plain, "", 200, &["words", "ETag: \"", "Last-Modified: GMT"]),
        step("LOCK", "/new%20words.docx", &format!("{locks}If: (TOKEN)\r\n"), "", 200, held_again),
        step("PUT", "/new%20words.docx", &holds, "more words", 204, &[]),
        step("UNLOCK", "/new%20words.docx", &unlocks, "", 204, &[]),
        step("DELETE", "/~%24w%20words.docx", plain, "", 204, &[]),
        step("MKCOL", "/New%20folder", &format!("{plain}Content-Length: 0\r\n"), "", 201, &[]),
        step("MOVE", "/New%20folder", &to("Letters"), "", 201, &[]),
        step("MOVE", "/new%20words.docx", &to("Letters/words.docx"), "", 201, &[]),
        step("DELETE", "/Letters", plain, "", 204, &[]),
    ]
}

/// Mounts, lists, makes, copies, replaces by the tag it was shown, renames without slashes, counts before it removes.
fn nautilus() -> Vec<Step> {
    let names = ["creationdate", "displayname", "getcontentlength", "getcontenttype", "getetag", "getlastmodified"];
    let list = props(&[&names[..], &["resourcetype"]].concat());
    let (stat, room) =
        (props(&["resourcetype", "getcontentlength"]), props(&["quota-available-bytes", "quota-used-bytes"]));
    let xml =
        |depth: &str| format!("Accept-Encoding: gzip, deflate\r\nDepth: {depth}\r\nContent-Type: application/xml\r\n");
    let (zero, one) = (xml("0"), xml("1"));
    let follow = |fields: &str| format!("{fields}Apply-To-Redirect-Ref: T\r\n");
    let to = |name: &str, over: &str| format!("Destination: http://HOST/{name}\r\nOverwrite: {over}\r\n");
    let named: &[&str] =
        &["<D:displayname>there.txt<", "<D:getcontenttype>text/plain<", "<D:getetag>&quot;", "!<D:collection"];
    vec![
        step("OPTIONS", "/", "", "", 200, &["DAV: 1", "Allow: PROPFIND"]),
        step("PROPFIND", "/", &zero, &stat, 207, &["<D:href>/</D:href>", "<D:collection/>"]),
        step("PROPFIND", "/", &follow(&zero), &list, 207, &["<D:collection/>", "<D:getlastmodified>"]),
        step("PROPFIND", "/", &zero, &room, 207, &["<D:quota-available-bytes>", "<D:quota-used-bytes>"]),
        step("PROPFIND", "/", &follow(&one), &list, 207, &["<D:href>/there.txt</D:href>"]),
        step("PROPFIND", "/there.txt", &follow(&zero), &list, 207, named),
        step("GET", "/there.txt", "Accept-Encoding: identity\r\n", "", 200, &["there", "Content-Length: 5"]),
        step("GET", "/there.txt", "Range: bytes=2-\r\n", "", 206, &["ere"]),
        step("HEAD", "/note.txt", "", "", 404, &[]),
        step("PUT", "/note.txt", "", "one", 201, &["ETag: \""]),
        step("PUT", "/copied.txt", "X-OC-Mtime: 1700000000\r\n", "copied", 201, &["X-OC-MTime: accepted"]),
        step("PROPFIND", "/copied.txt", &zero, &list, 207, &["<D:getlastmodified>Tue, 14 Nov 2023 22:13:20 GMT<"]),
        step("HEAD", "/note.txt", "", "", 200, &["ETag: \"", "Content-Length: 3"]),
        step("HEAD", "/note.txt", "If-Match: ETAG\r\n", "", 200, &[]),
        step("PUT", "/note.txt", "If-Match: ETAG\r\n", "two", 204, &["ETag: \""]),
        step("PUT", "/note.txt", "If-Match: \"another\"\r\n", "three", 412, &[]),
        step("MKCOL", "/Dir/", "", "", 201, &[]),
        step("MKCOL", "/Dir/", "", "", 405, &[]),
        // Folders without their slash: an answer of 301 is followed, and then repeated with the slash.
        step("MOVE", "/Dir", &to("Photos", "F"), "", 201, &[]),
        step("PROPFIND", "/Photos/note.txt", &zero, &stat, 404, &[]),
        step("MOVE", "/note.txt", &to("Photos/note.txt", "F"), "", 201, &[]),
        step("COPY", "/Photos/note.txt", &to("copied.txt", "F"), "", 412, &[]),
        step("COPY", "/Photos/note.txt", &to("copied.txt", "T"), "", 204, &[]),
        step("PROPFIND", "/Photos", &one, &stat, 207, &["/Photos/</D:href>", "/Photos/note.txt</D:href>"]),
        step("DELETE", "/Photos/note.txt", "", "", 204, &[]),
        step("PROPFIND", "/Photos", &one, &stat, 207, &["/Photos/</D:href>", "!note.txt"]),
        step("DELETE", "/Photos", "", "", 204, &[]),
        step("DELETE", "/copied.txt", "", "", 204, &[]),
    ]
}

/// An app behind Files: everything that is known, by allprop; a range of a film; a file that must not replace one.
fn ios() -> Vec<Step> {
    let all = "<?xml version=\"1.0\" encoding=\"utf-8\" ?>\n<D:propfind xmlns:D=\"DAV:\">\n<D:allprop/></D:propfind>";
    let common = "Accept: */*\r\nAccept-Language: de-DE,de;q=0.9\r\nAccept-Encoding: gzip, deflate\r\n";
    let xml = |depth: &str| format!("{common}Depth: {depth}\r\nContent-Type: text/xml; charset=\"utf-8\"\r\n");
    let to = |name: &str| format!("{common}Destination: http://HOST/{name}\r\nOverwrite: F\r\n");
    vec![
        step("PROPFIND", "/", &xml("0"), all, 207, &["<D:collection/>", "HTTP/1.1 200 OK"]),
        step("PROPFIND", "/", &xml("1"), all, 207, &["<D:displayname>there.txt<", "<D:getcontentlength>5<"]),
        step("GET", "/there.txt", &format!("{common}Range: bytes=0-1\r\n"), "", 206, &["Content-Range: bytes 0-1/5"]),
        step("GET", "/there.txt", &format!("{common}Range: bytes=2-\r\n"), "", 206, &["ere"]),
        step("PUT", "/IMG_0001.HEIC.tmp", &format!("{common}Overwrite: F\r\n"), "picture", 201, &[]),
        step("MOVE", "/IMG_0001.HEIC.tmp", &to("IMG_0001.HEIC"), "", 201, &[]),
        step("MKCOL", "/Neuer%20Ordner%20%C3%BC/", common, "", 201, &[]),
        step("COPY", "/IMG_0001.HEIC", &to("Neuer%20Ordner%20%C3%BC/a.heic"), "", 201, &[]),
        step(
            "PROPFIND",
            "/Neuer%20Ordner%20%C3%BC",
            &xml("1"),
            all,
            207,
            &["/Neuer%20Ordner%20%C3%BC/a.heic</D:href>"],
        ),
        // A search of everything: refused, as trees may be large; the client goes on folder by folder.
        step("PROPFIND", "/", &xml("infinity"), all, 403, &["propfind-finite-depth"]),
        step("DELETE", "/Neuer%20Ordner%20%C3%BC/", common, "", 204, &[]),
        step("DELETE", "/IMG_0001.HEIC", common, "", 204, &[]),
    ]
}

/// The first look of an app at a share that was made for another server: properties of two namespaces, the second one
/// declared at each of them.
fn ios_cloud() -> Vec<Step> {
    let own =
        ["getlastmodified", "getetag", "getcontenttype", "resourcetype", "quota-available-bytes", "quota-used-bytes"];
    let own: String = own.iter().map(|name| format!("<d:{name} />")).collect();
    let other = ["permissions", "id", "fileid", "size", "favorite", "share-types", "owner-id", "comments-unread"];
    let other: String = other.iter().map(|name| format!("<{name} xmlns=\"http://owncloud.org/ns\"/>")).collect();
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<d:propfind xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\">\
         <d:prop>{own}{other}</d:prop></d:propfind>"
    );
    let fields = |depth: &str| format!("Depth: {depth}\r\nContent-Type: application/xml\r\nOCS-APIRequest: true\r\n");
    let root = &["<D:collection/>", "HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found", "http://owncloud.org/ns"];
    let list = &["/there.txt</D:href>", "<D:getetag>", "HTTP/1.1 404 Not Found"];
    vec![step("PROPFIND", "/", &fields("0"), &body, 207, root), step("PROPFIND", "/", &fields("1"), &body, 207, list)]
}

#[test]
fn what_clients_of_desktops_and_phones_send_is_answered_as_they_need_it() {
    if skip_on_nginx("dav_ext_methods") {
        return;
    }
    let s = share().file("html/there.txt", "there").start();
    let mut table = Table::new("recorded openings");
    let recordings = [
        ("Finder", "WebDAVFS/3.0.0 (03008000) Darwin/23.6.0 (arm64)", finder()),
        ("Explorer and Office", "Microsoft-WebDAV-MiniRedir/10.0.22631", explorer()),
        ("Nautilus", "gvfs/1.57.2", nautilus()),
        ("an app of iOS", "Files/1 CFNetwork/1496.0.7 Darwin/23.5.0", ios()),
        ("an app of iOS for another server", "Mozilla/5.0 (iOS) Nextcloud-iOS/3.0.8", ios_cloud()),
    ];
    for (name, agent, recording) in recordings {
        table.row(OURS, name, || replay(&s, agent, recording));
    }
    let left: Vec<String> = s.snapshot("html").into_keys().collect();
    assert_eq!(left, ["form/", "there.txt"], "each client removes what it has made");
}
