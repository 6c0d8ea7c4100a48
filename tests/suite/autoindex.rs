//! The listing of a directory, in each of nginx's formats.

use crate::client::find;
use crate::harness::{BOTH, Table, server};

#[test]
fn a_directory_is_listed() {
    let s = server(
        "location / { autoindex on; }
         location /exact/ { autoindex on; alias %%DIR%%/html/; autoindex_exact_size off; }
         location /json/ { autoindex on; alias %%DIR%%/html/; autoindex_format json; }
         location /xml/ { autoindex on; alias %%DIR%%/html/; autoindex_format xml; }
         location /off/ { alias %%DIR%%/html/; autoindex off; }",
    )
    .file("html/b.txt", "12345")
    .file("html/a b.txt", "")
    .file("html/é.txt", "x")
    .file("html/big", vec![b'x'; 30000])
    .file("html/.hidden", "x")
    .file("html/zdir/x", "x")
    .file("html/adir/x", "x")
    .file("html/a?b#c%d", "x")
    .file("html/a:b", "x")
    .file("html/withindex/index.html", "the index")
    .mkdir("html/empty")
    .start();
    let mut table = Table::new("autoindex");
    table.row(BOTH, "the html lists every entry but the hidden", || {
        let r = s.get("/");
        r.is(200).has("Content-Type", "text/html").contains("Index of /").contains("<a href=\"../\">../</a>");
        r.contains("href=\"b.txt\">b.txt</a>").contains("href=\"zdir/\">zdir/</a>");
        assert!(!r.text().contains(".hidden"));
    });
    table.row(BOTH, "directories come first", || {
        let text = s.get("/").text();
        let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} in {text}"));
        assert!(at("\"adir/\"") < at("\"empty/\"") && at("\"zdir/\"") < at("\"b.txt\""));
        assert!(at("\"a%20b.txt\"") < at("\"b.txt\"") && at("\"b.txt\"") < at("\"big\""));
    });
    table.row(BOTH, "names are encoded in links", || {
        s.get("/").contains("href=\"a%20b.txt\"").contains("href=\"%C3%A9.txt\"").contains("href=\"a%3Fb%23c%25d\"");
    });
    table.row(BOTH, "a colon in a name is no scheme", || {
        s.get("/").contains("href=\"a%3Ab\"");
    });
    table.row(BOTH, "sizes are exact", || {
        let r = s.get("/");
        let line = r.text().lines().find(|l| l.contains("\"big\"")).unwrap().to_owned();
        assert!(line.ends_with(" 30000"), "{line}");
    });
    table.row(BOTH, "sizes are rounded", || {
        let r = s.get("/exact/");
        let line = r.text().lines().find(|l| l.contains("\"big\"")).unwrap().to_owned();
        assert!(line.trim_end().ends_with(" 29K"), "{line}");
    });
    table.row(BOTH, "an index file wins", || {
        s.get("/withindex/").is(200).body_is("the index");
    });
    table.row(BOTH, "an empty directory", || {
        s.get("/empty/").is(200).contains("Index of /empty/").contains("../");
    });
    table.row(BOTH, "off", || {
        s.get("/off/").is(403);
    });
    table.row(BOTH, "a missing directory", || {
        s.get("/nothing/").is(404);
    });
    table.row(BOTH, "json", || {
        let r = s.get("/json/");
        r.is(200).has("Content-Type", "application/json");
        r.contains("{ \"name\":\"b.txt\", \"type\":\"file\", \"mtime\":\"").contains("\"size\":5 }");
        r.contains("{ \"name\":\"zdir\", \"type\":\"directory\", \"mtime\":\"");
        assert!(r.text().starts_with("[\r\n") && r.text().trim_end().ends_with(']'));
    });
    table.row(BOTH, "xml", || {
        let r = s.get("/xml/");
        r.is(200).has("Content-Type", "text/xml; charset=utf-8").contains("<?xml version=\"1.0\"?>").contains("<list>");
        r.contains(" size=\"5\">b.txt</file>").contains("<directory mtime=\"");
    });
    table.row(BOTH, "HEAD", || {
        let r = s.method("HEAD", "/", "", b"");
        r.is(200);
        assert!(r.body.is_empty());
    });
    table.row(BOTH, "POST is refused", || {
        s.method("POST", "/", "", b"x").is_one_of(&[403, 405]);
    });
    table.row(BOTH, "the html is nginx's, byte for byte", || {
        let stamp = std::time::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777);
        for name in ["html/same/dir", "html/same/f", "html/same/\u{e9}"] {
            if name.ends_with("dir") {
                std::fs::create_dir_all(s.path(name)).unwrap();
            } else {
                s.write(name, "0123456789");
            }
            std::fs::File::open(s.path(name)).unwrap().set_modified(stamp).unwrap();
        }
        let long = format!("html/same/{}", "n".repeat(60));
        s.write(&long, "");
        std::fs::File::open(s.path(&long)).unwrap().set_modified(stamp).unwrap();
        let gap = |n: usize| " ".repeat(n);
        let expected = [
            "<html>\r\n<head><title>Index of /same/</title></head>\r\n<body>\r\n".to_owned(),
            "<h1>Index of /same/</h1><hr><pre><a href=\"../\">../</a>\r\n".to_owned(),
            format!("<a href=\"dir/\">dir/</a>{}06-Nov-1994 08:49{}-\r\n", gap(47), gap(19)),
            format!("<a href=\"f\">f</a>{}06-Nov-1994 08:49{}10\r\n", gap(50), gap(18)),
            format!("<a href=\"{}\">{}..&gt;</a> 06-Nov-1994 08:49{}0\r\n", "n".repeat(60), "n".repeat(47), gap(19)),
            format!("<a href=\"%C3%A9\">\u{e9}</a>{}06-Nov-1994 08:49{}10\r\n", gap(49), gap(18)),
            "</pre><hr></body>\r\n</html>\r\n".to_owned(),
        ];
        s.get("/same/").body_is(expected.concat());
    });
}

#[test]
fn a_listing_escapes_names() {
    let s = server("location / { autoindex on; }").file("html/d/<b>x&\"'.txt", "x").start();
    let r = s.get("/d/");
    r.is(200);
    assert!(find(&r.body, b"<b>x").is_none(), "{}", r.text());
    assert!(find(&r.body, b"href=\"<").is_none(), "{}", r.text());
}
