//! Whole configurations in the manner of real ones (`tests/nginx_confs/`), asked the same of webserv and of nginx.
//!
//! The oracle is `WEBSERV_ORACLE=/path/to/nginx`, else `nginx` on the PATH from 1.25 on. Without one the answers are
//! still looked at for faults of the server, and the comparison is skipped, loudly.

use crate::client::Response;
use crate::harness::{Server, Setup, skip_on_nginx};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Major and minor.
pub type Version = (u32, u32);

/// The first release that has all the directives of these files.
const SINCE: Version = (1, 25);

/// method, host, target, further header lines, length of the body (none: no Content-Length).
pub type Ask = (&'static str, &'static str, &'static str, &'static str, Option<usize>);

/// The nginx to compare with, if there is one.
pub fn oracle() -> Option<PathBuf> {
    let (path, version) = oracle_of_any_age()?;
    // Named explicitly, it is taken as it is.
    (version >= SINCE || std::env::var_os("WEBSERV_ORACLE").is_some()).then_some(path)
}

/// The nginx to compare with, and its version, where one is told apart from another.
pub fn oracle_of_any_age() -> Option<(PathBuf, Version)> {
    let named = std::env::var_os("WEBSERV_ORACLE").map(PathBuf::from);
    if let Some(path) = &named {
        // What is not there must not pass for a comparison.
        assert!(path.is_file(), "WEBSERV_ORACLE: {} is not there", path.display());
    }
    let path = named.unwrap_or_else(|| PathBuf::from("nginx"));
    let out = Command::new(&path).arg("-v").output().ok()?;
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    let mut numbers = text.split_once("nginx/")?.1.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    let version = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (!text.contains("webserv")).then_some((path, version))
}

pub fn ask(s: &Server, (method, host, target, fields, body): Ask) -> Response {
    let length = body.map(|n| format!("Content-Length: {n}\r\n")).unwrap_or_default();
    let host = host.replace("%%PORT%%", &s.port().to_string());
    let fields = fields.replace("%%PORT%%", &s.port().to_string());
    let head = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{fields}{length}\r\n");
    let mut bytes = head.into_bytes();
    bytes.extend((0..body.unwrap_or_default()).map(|n| b'a' + (n % 26) as u8));
    let mut client = s.client();
    if method == "HEAD" {
        client.send(&bytes);
        return client.response_to_head();
    }
    client.request(&bytes)
}

/// What is compared. Each server's own: the standard pages of errors and redirects, what a 201 says of the stored file
/// (nginx: nothing), and whether the page of a 416 names a charset.
pub fn facts(s: &Server, r: &Response) -> String {
    let port = format!(":{}", s.port());
    let header = |name| r.all(name).join(" | ").replace(&port, ":PORT");
    let (body, kind) = match r.status {
        201 => ("what was stored".into(), String::new()),
        416 => ("a standard page".into(), header("Content-Type").replace("; charset=utf-8", "")),
        300.. if r.text().contains("<center>") => ("a standard page".into(), header("Content-Type")),
        _ => (r.text(), header("Content-Type")),
    };
    // Each server has its own name, time and validators of files; only ours says what a 405 allows.
    const OWN: [&str; 8] =
        ["allow", "date", "server", "last-modified", "etag", "content-length", "content-type", "transfer-encoding"];
    let mut lines: Vec<String> = r
        .headers
        .iter()
        .filter(|(name, _)| !OWN.iter().any(|own| own.eq_ignore_ascii_case(name)))
        .map(|(name, value)| match name.as_str() {
            "Expires" if value.ends_with("GMT") && !value.contains("1970") => "Expires".to_owned(),
            _ => format!("{name}: {}", value.replace(&port, ":PORT")),
        })
        .collect();
    lines.sort_unstable();
    // nginx adds its lines twice to a 416.
    lines.dedup();
    format!("{}\nContent-Type: {kind}\n{}\n\n{body}", r.status, lines.join("\n"))
}

pub fn compare(name: &str, setup: impl Fn() -> Setup, asks: &[Ask]) {
    if skip_on_nginx("both servers are started here") {
        return;
    }
    let ours = setup().start();
    let oracle = oracle();
    if oracle.is_none() {
        // Past the test runner's capture.
        let _ = writeln!(std::io::stderr(), "skipped: {name}: no nginx to compare with (WEBSERV_ORACLE)");
    }
    let theirs = oracle.map(|path: PathBuf| setup().start_on(Path::new(&path)));
    let mut different = Vec::new();
    for asked in asks {
        let answer = ask(&ours, *asked);
        assert!(answer.status != 500, "{name}: {asked:?}: {}", answer.show());
        let Some(theirs) = &theirs else { continue };
        let (got, wanted) = (facts(&ours, &answer), facts(theirs, &ask(theirs, *asked)));
        if got != wanted {
            different.push(format!("{asked:?}\n--- webserv\n{got}\n--- nginx\n{wanted}"));
        }
    }
    assert!(different.is_empty(), "{name}: {} of {}:\n{}", different.len(), asks.len(), different.join("\n\n"));
}

pub fn conf(text: &str) -> Setup {
    Setup::full(text).file("conf/mime.types", include_str!("../../conf/mime.types"))
}

#[test]
fn a_static_site() {
    let setup = || {
        conf(include_str!("../nginx_confs/static_site.conf"))
            .file("html/index.html", "<p>home\n")
            .file("html/404.html", "<p>lost\n")
            .file("html/style.css", "p { color: red }\n".repeat(40))
            .file("html/app.js", "let a = 1\n")
            .file("html/data.json", "{}\n")
            .file("html/feed.xml", "<a/>\n")
            .file("html/logo.png", "png")
            .file("html/plain", "plain")
            .file("html/sub/index.htm", "sub")
            .file("html/.secret", "no")
            .file("html/.well-known/security.txt", "yes")
            .file("html/dump.sql", "no")
            .file("files/big.bin", "0123456789".repeat(10_000))
            .mkdir("html/empty")
    };
    const RANGE: &str = "Range: bytes=10-19\r\n";
    compare(
        "static_site",
        setup,
        &[
            ("GET", "a", "/", "", None),
            ("HEAD", "a", "/", "", None),
            ("GET", "a", "/index.html?x=y", "", None),
            ("GET", "a", "/style.css", "", None),
            ("HEAD", "a", "/style.css", "Accept-Encoding: gzip\r\n", None),
            ("GET", "a", "/app.js", "", None),
            ("GET", "a", "/data.json", "", None),
            ("GET", "a", "/feed.xml", "", None),
            ("GET", "a", "/logo.png", "", None),
            ("GET", "a", "/plain", "", None),
            ("GET", "a", "/sub", "", None),
            ("GET", "a:%%PORT%%", "/sub?q=1", "", None),
            ("GET", "a", "/sub/", "", None),
            ("GET", "a", "/empty/", "", None),
            ("GET", "a", "/nowhere", "", None),
            ("GET", "a", "/.secret", "", None),
            ("GET", "a", "/.well-known/security.txt", "", None),
            ("GET", "a", "/dump.sql", "", None),
            ("GET", "a", "/favicon.ico", "", None),
            ("GET", "a", "/downloads/big.bin", "", None),
            ("GET", "a", "/downloads/big.bin", RANGE, None),
            ("GET", "a", "/downloads/big.bin", "Range: bytes=100000-\r\n", None),
            ("GET", "a", "/downloads/big.bin", "Range: bytes=0-1,5-6\r\n", None),
            ("GET", "a", "/downloads/", "", None),
            ("GET", "a", "/%2e%2e/x", "", None),
            ("GET", "a", "/style.css", "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n", None),
            ("GET", "a", "//sub//./index.htm", "", None),
        ],
    );
}

#[test]
fn a_single_page_application() {
    let setup = || {
        conf(include_str!("../nginx_confs/spa.conf"))
            .file("html/index.html", "<div id=app>\n")
            .file("html/assets/app.3f2a.js", "start()\n")
            .file("html/assets/app.3f2a.css", "p{}\n")
            .file("html/api/users.json", "[]\n")
            .file("html/docs/index.html", "docs\n")
            .file("html/docs/guide/index.html", "guide\n")
            .file("html/docs/api.html", "api\n")
            .file("html/about/index.html", "about\n")
            .file("html/.git/config", "no")
    };
    compare(
        "spa",
        setup,
        &[
            ("GET", "localhost", "/", "", None),
            ("GET", "localhost", "/users/12/edit?tab=1", "", None),
            ("HEAD", "localhost", "/users/12", "", None),
            ("GET", "localhost", "/about", "", None),
            ("GET", "localhost", "/about/", "", None),
            ("GET", "localhost", "/index.html", "", None),
            ("GET", "localhost", "/assets/app.3f2a.js", "", None),
            ("GET", "localhost", "/assets/app.3f2a.css", "", None),
            ("GET", "localhost", "/assets/gone.js", "", None),
            ("GET", "localhost", "/assets/", "", None),
            ("GET", "localhost", "/env.js", "", None),
            ("GET", "Other.Test:%%PORT%%", "/env.js", "", None),
            ("GET", "localhost", "/api/users", "", None),
            ("GET", "localhost", "/api/nothing", "", None),
            ("GET", "localhost", "/api/no%20thing?x", "", None),
            ("GET", "localhost", "/api/", "", None),
            ("GET", "localhost", "/docs", "", None),
            ("GET", "localhost", "/docs/guide", "", None),
            ("GET", "localhost", "/docs/v2/api.html", "", None),
            ("GET", "localhost", "/docs/v2/none", "", None),
            ("GET", "localhost", "/docs/none", "", None),
            ("GET", "localhost", "/.git/config", "", None),
            ("GET", "localhost", "/x/.git/config", "", None),
            ("POST", "localhost", "/env.js", "", Some(3)),
            ("GET", "localhost", "/index.html/x", "", None),
        ],
    );
}

#[test]
fn a_blog() {
    let setup = || {
        conf(include_str!("../nginx_confs/blog.conf"))
            .file("html/index.php", "<?php")
            .file("html/wp-login.php", "<?php")
            .file("html/wp-content/uploads/evil.php", "<?php")
            .file("html/wp-content/uploads/cat.png", "png")
            .file("html/robots.txt", "User-agent: *\n")
            .file("html/readme.html", "<p>read\n")
            .file("html/.htaccess", "no")
            .file("html/static/index.html", "static\n")
    };
    compare(
        "blog",
        setup,
        &[
            ("GET", "blog.test", "/", "", None),
            ("GET", "blog.test", "/?s=word", "", None),
            ("GET", "www.blog.test", "/a/b?c=d", "", None),
            ("GET", "WWW.Blog.Test:%%PORT%%", "/a", "", None),
            ("GET", "blog.test", "/2024/05/hello-world/", "", None),
            ("GET", "blog.test", "/2024/05/hello-world/?replytocom=1", "", None),
            ("GET", "blog.test", "/a%20b", "", None),
            ("GET", "blog.test", "/caf%C3%A9/", "", None),
            ("GET", "blog.test", "/sitemap.xml", "", None),
            ("GET", "blog.test", "/feed", "", None),
            ("GET", "blog.test", "/feed/?x=1", "", None),
            ("GET", "blog.test", "/archives/2024/05", "", None),
            ("GET", "blog.test", "/archives/2024/05/?p=2", "", None),
            ("GET", "blog.test", "/archives/24/05", "", None),
            ("GET", "blog.test", "/wp-login", "", None),
            ("GET", "blog.test", "/wp-login.php", "", None),
            ("POST", "blog.test", "/wp-login.php", "", Some(10)),
            ("GET", "blog.test", "/wp-admin/x.php", "", None),
            ("GET", "blog.test", "/wp-content/uploads/evil.php", "", None),
            ("GET", "blog.test", "/wp-content/uploads/cat.png", "", None),
            ("GET", "blog.test", "/wp-content/uploads/dog.png", "", None),
            ("GET", "blog.test", "/robots.txt", "", None),
            ("GET", "blog.test", "/readme.html", "", None),
            ("GET", "blog.test", "/.htaccess", "", None),
            ("GET", "blog.test", "/static", "", None),
            ("GET", "blog.test", "/static/", "", None),
            ("GET", "blog.test", "/index.php/path", "Cookie: wordpress_logged_in=1\r\n", None),
        ],
    );
}

#[test]
fn many_sites() {
    let setup = || {
        conf(include_str!("../nginx_confs/many_sites.conf"))
            .file("conf/users", "ann:{PLAIN}secret\n")
            .file("html/main/en/index.html", "main en\n")
            .file("html/main/de/index.html", "main de\n")
            .file("html/shop/index.html", "shop\n")
            .file("html/shop/a/index.html", "shop a\n")
            .file("html/shop/private/x", "no")
            .file("html/shop/staff/x", "staff\n")
            .file("html/news/index.html", "news\n")
            .file("html/users/bob/page.html", "bob\n")
    };
    compare(
        "many_sites",
        setup,
        &[
            ("GET", "nobody.test", "/", "", None),
            ("GET", "main.test", "/", "", None),
            ("GET", "main.test", "/", "Accept-Language: de-DE,de\r\n", None),
            ("GET", "www.main.test", "/en/", "", None),
            ("GET", "www.main.test", "/en", "", None),
            ("GET", "a.b.main.test", "/whoami", "Accept-Language: FR\r\n", None),
            ("GET", "main.test:%%PORT%%", "/old-page", "", None),
            ("GET", "main.test", "/old-page?x", "", None),
            ("GET", "main.test", "/product/42?ref=1", "", None),
            ("GET", "main.test", "/promo?src=mail", "", None),
            ("GET", "main.test", "/none", "", None),
            ("GET", "shop.test", "/", "", None),
            ("GET", "www.shop.test", "/a/", "", None),
            ("GET", "shop.test", "/a", "", None),
            ("GET", "shop.test", "/a/index.html", "", None),
            ("GET", "shop.test", "/private/x", "", None),
            ("GET", "shop.test", "/staff/x", "", None),
            ("GET", "shop.test", "/staff/x", "Authorization: Basic YW5uOnNlY3JldA==\r\n", None),
            ("GET", "shop.test", "/staff/x", "Authorization: Basic YW5uOndyb25n\r\n", None),
            ("GET", "news.test", "/", "", None),
            ("GET", "deep.www.news.test", "/", "", None),
            ("GET", "bob.users.test", "/page.html", "", None),
            ("GET", "eve.users.test", "/page.html", "", None),
            ("GET", "BOB.users.test.", "/page.html", "", None),
            ("GET", "b0b.users.test", "/page.html", "", None),
        ],
    );
}

#[test]
fn a_store_of_uploads() {
    let setup = || {
        conf(include_str!("../nginx_confs/uploads.conf"))
            .mkdir("tmp")
            .mkdir("html/small")
            .mkdir("html/unlimited")
            .file("html/index.html", "home\n")
            .file("html/store/old.txt", "old\n")
            .file("html/store/tree/a/b.txt", "b\n")
    };
    const COPY: &str = "Destination: /store/copy.txt\r\n";
    const MOVE: &str = "Destination: /store/moved.txt\r\n";
    compare(
        "uploads",
        setup,
        &[
            ("GET", "localhost", "/", "", None),
            ("POST", "localhost", "/", "", Some(5)),
            ("PUT", "localhost", "/x", "", Some(5)),
            ("DELETE", "localhost", "/index.html", "", None),
            ("PUT", "localhost", "/store/new.txt", "", Some(100)),
            ("GET", "localhost", "/store/new.txt", "", None),
            ("PUT", "localhost", "/store/new.txt", "", Some(50)),
            ("GET", "localhost", "/store/new.txt", "", None),
            ("PUT", "localhost", "/store/deep/er/file.bin", "", Some(1_500_000)),
            ("HEAD", "localhost", "/store/deep/er/file.bin", "", None),
            ("GET", "localhost", "/store/deep/er/file.bin", "Range: bytes=-10\r\n", None),
            ("PUT", "localhost", "/store/dir/", "", Some(5)),
            ("MKCOL", "localhost", "/store/made/", "", None),
            ("MKCOL", "localhost", "/store/made/", "", None),
            ("MKCOL", "localhost", "/store/none/made/", "", None),
            ("COPY", "localhost", "/store/old.txt", COPY, None),
            ("GET", "localhost", "/store/copy.txt", "", None),
            ("MOVE", "localhost", "/store/copy.txt", MOVE, None),
            ("GET", "localhost", "/store/copy.txt", "", None),
            ("GET", "localhost", "/store/moved.txt", "", None),
            ("DELETE", "localhost", "/store/old.txt", "", None),
            ("DELETE", "localhost", "/store/old.txt", "", None),
            ("DELETE", "localhost", "/store/tree/", "", None),
            ("GET", "localhost", "/store/tree/a/b.txt", "", None),
            ("POST", "localhost", "/store/new.txt", "", Some(5)),
            ("PUT", "localhost", "/small/ok", "", Some(1024)),
            ("GET", "localhost", "/small/ok", "", None),
            ("PUT", "localhost", "/unlimited/big", "", Some(9_000_000)),
            ("HEAD", "localhost", "/unlimited/big", "", None),
        ],
    );
}

#[test]
fn recipes() {
    let setup = || {
        conf(include_str!("../nginx_confs/recipes.conf"))
            .file(
                "conf/redirects.map",
                "/old-1 /new-1;\n/old-2  https://x.test/new-2;\n~^/blog/(?<slug>.*)$ /posts/$slug;\n",
            )
            .file("html/index.html", "<p>a\n")
            .file("html/index-b.html", "<p>b\n")
            .file("html/404.html", "<p>lost\n")
            .file("html/maintenance.html", "<p>later\n")
            .file("html/about.html", "<p>about\n")
            .file("html/style.css", "p{}\n")
            .file("html/logo.png", "png")
            .file("html/.env", "secret")
            .file("html/notes.bak", "secret")
            .file("html/en/index.html", "<p>en\n")
            .file("html/de/seite.html", "<p>seite\n")
            .file("html/.well-known/acme/token", "token")
    };
    compare(
        "recipes",
        setup,
        &[
            ("GET", "a.test", "/", "X-Visitor: 1\r\n", None),
            ("GET", "a.test", "/", "X-Visitor: 2\r\n", None),
            ("GET", "a.test", "/", "X-Visitor: 3\r\n", None),
            ("GET", "a.test", "/", "X-Visitor: 4\r\n", None),
            ("GET", "a.test", "/about", "", None),
            ("GET", "a.test", "/style.css", "", None),
            ("GET", "a.test", "/nothing", "", None),
            ("GET", "a.test", "/?preview=maintenance", "", None),
            ("GET", "a.test", "/about?preview=maintenance", "", None),
            ("GET", "a.test", "/old-1", "", None),
            ("GET", "a.test", "/old-2?x", "", None),
            ("GET", "a.test", "/blog/a/b", "", None),
            ("GET", "www.a.test", "/about?x=y", "", None),
            ("GET", "a.test", "/", "X-Forwarded-For: 192.0.2.4\r\n", None),
            ("GET", "a.test", "/", "X-Forwarded-For: 2001:db8::5, 10.0.0.1\r\n", None),
            ("GET", "a.test", "/", "X-Forwarded-For: 192.0.2.4, 127.0.0.1\r\n", None),
            ("GET", "a.test", "/logo.png", "", None),
            ("GET", "a.test", "/logo.png", "Referer: http://evil.test/\r\n", None),
            ("GET", "a.test", "/logo.png", "Referer: https://www.example.com/x\r\n", None),
            ("GET", "a.test", "/logo.png", "Referer: http://example.net/\r\n", None),
            ("GET", "a.test", "/logo.png", "Referer: http://www.example.org/galleries/1\r\n", None),
            ("GET", "a.test", "/logo.png", "Referer: http://www.example.org/other\r\n", None),
            ("GET", "a.test", "/logo.png", "Referer: http://a.search.test/\r\n", None),
            ("GET", "a.test", "/logo.png", "Referer: masked\r\n", None),
            ("GET", "a.test", "/.env", "", None),
            ("GET", "a.test", "/notes.bak", "", None),
            ("GET", "a.test", "/robots.txt", "", None),
            ("GET", "a.test", "/en", "", None),
            ("GET", "a.test", "/en/x", "", None),
            ("GET", "a.test", "/de/seite.html", "", None),
            ("GET", "a.test", "/de", "", None),
            ("GET", "a.test", "/.well-known/carddav", "", None),
            ("GET", "a.test", "/.well-known/acme/token", "", None),
            ("GET", "a.test", "/.well-known/else", "", None),
            ("GET", "a.test", "/legacy/about.html?x=1", "", None),
            ("GET", "a.test", "/cart?a=b", "", None),
            ("GET", "a.test", "/cart", "Cookie: a=b; session=xyz; c=d\r\n", None),
            ("GET", "a.test", "/with%20space/x", "", None),
        ],
    );
}
