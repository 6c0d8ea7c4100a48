//! Uploads from the page that break off and go on: `upload_resumable on`.

use super::*;
use serde_json::json;

fn setup() -> Setup {
    server(
        "client_max_body_size 64m;
         location /res/ {
             autoindex_upload on; allowed_methods GET POST PUT DELETE; upload_resumable on;
             if (-f $document_root/busy) { return 503; }
             if (-f $document_root/locked) { return 423; }
         }",
    )
    .file("html/index.html", "index")
    .mkdir("html/res")
    .file("mine/large.dat", noise(24 << 20))
    .file("mine/small.txt", "small")
    .restartable()
}

/// How fast the page's bytes leave, in bytes per second; 0 is as fast as they can.
pub fn throttle(page: &mut Page<'_>, rate: u32) {
    let rate = if rate == 0 { -1 } else { i64::from(rate) };
    let params = json!({"offline": false, "latency": 0, "downloadThroughput": -1, "uploadThroughput": rate});
    page.call("Network.emulateNetworkConditions", params);
}

/// Begins to upload the large file, and waits until a part of it is there.
fn begin(page: &mut Page<'_>, s: &Server) {
    // Slow enough that it is never all there before the test has done what it wants to do meanwhile.
    throttle(page, 1 << 20);
    page.choose("#file", &[&mine(s, "large.dat")]);
    page.click("#up button");
    page.until("document.querySelector('#queue progress')?.value > 0.1");
    // What the page has sent is not yet what the server has.
    eventually("a part is on the disk", || {
        s.get("/").is(200);
        s.snapshot("html/res").values().any(|content| content.len() > 1 << 20)
    });
}

/// Offsets at which the page went on.
fn offsets(page: &mut Page<'_>) -> Vec<u64> {
    let sent = page.requests();
    let offset = |request: &serde_json::Value| request["headers"]["Upload-Offset"].as_str()?.parse().ok();
    sent.iter().filter(|request| request["method"] == "PATCH").filter_map(offset).collect()
}

pub fn rows(table: &mut Table, browser: &mut Browser) {
    table.row(OURS, "an upload goes on where it was when the server was killed", || {
        let mut s = setup().start();
        let mut page = visit(browser, &s, "/res/");
        begin(&mut page, &s);
        s.kill_and_restart();
        throttle(&mut page, 0);
        page.until("document.getElementById('status').textContent === '1 stored'");
        assert!(s.read("html/res/large.dat") == noise(24 << 20));
        assert_eq!(s.snapshot("html/res").len(), 1, "the unfinished one is gone");
        let offsets = offsets(&mut page);
        assert!(offsets.len() > 1 && offsets.last() > Some(&0), "it did not begin again: {offsets:?}");
        assert_eq!(page.eval("localStorage.length"), 0);
        // 409: the browser itself repeats a request whose connection was reset, with an offset that no longer holds.
        is_clean(&mut page, &s, &["net::ERR", "409"]);
    });
    table.row(OURS, "a front that answers 503 while its server starts again ends no upload", || {
        let mut s = setup().start();
        let mut page = visit(browser, &s, "/res/");
        begin(&mut page, &s);
        s.write("html/busy", "");
        s.kill_and_restart();
        throttle(&mut page, 0);
        page.until("document.querySelector('#queue .note')?.textContent.includes('interrupted')");
        s.await_file("logs/access.log", |log| log.contains(" 503 "));
        std::fs::remove_file(s.path("html/busy")).expect("it is there");
        page.until("document.getElementById('status').textContent === '1 stored'");
        assert!(s.read("html/res/large.dat") == noise(24 << 20));
        assert!(offsets(&mut page).last() > Some(&0), "it did not begin again");
        is_clean(&mut page, &s, &["net::ERR", "409", "503"]);
    });
    table.row(OURS, "a name that is locked is told at once, not tried for a minute", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/res/");
        s.write("html/locked", "");
        page.choose("#file", &[&mine(&s, "large.dat")]);
        page.click("#up button");
        page.until("document.getElementById('status').textContent === '1 not stored'");
        let posts = page.requests().iter().filter(|request| request["method"] == "POST").count();
        assert_eq!(posts, 1);
        is_clean(&mut page, &s, &["423"]);
    });
    table.row(OURS, "it goes on after a reload, when the same file is chosen again", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/res/");
        begin(&mut page, &s);
        page.load(|page| {
            page.call("Page.reload", json!({}));
            // The page asks whether to leave, for something is under way.
            page.await_event("Page.javascriptDialogOpening");
            page.call("Page.handleJavaScriptDialog", json!({"accept": true}));
        });
        assert_eq!(page.eval("localStorage.length"), 1);
        throttle(&mut page, 0);
        page.choose("#file", &[&mine(&s, "large.dat")]);
        page.click("#up button");
        page.until("document.getElementById('status').textContent === '1 stored'");
        assert!(s.read("html/res/large.dat") == noise(24 << 20));
        assert!(offsets(&mut page).last() > Some(&0));
        is_clean(&mut page, &s, &["net::ERR"]);
    });
    table.row(OURS, "one that is cancelled is ended on the server too", || {
        let s = setup().start();
        let mut page = visit(browser, &s, "/res/");
        begin(&mut page, &s);
        page.click("#queue button");
        page.until("document.querySelector('#queue .note')?.textContent === 'cancelled'");
        eventually("nothing is left", || {
            s.get("/").is(200);
            s.snapshot("html/res").is_empty()
        });
        assert_eq!(page.eval("localStorage.length"), 0);
    });
    table.row(OURS, "a taken name is told, and replaced when asked", || {
        let s = setup().file("html/res/large.dat", "old!").start();
        let mut page = visit(browser, &s, "/res/");
        page.choose("#file", &[&mine(&s, "large.dat"), &mine(&s, "small.txt")]);
        page.click("#up button");
        page.until("document.getElementById('status').textContent === '1 stored, 1 not stored'");
        assert_eq!(s.read("html/res/large.dat"), b"old!");
        page.click("#queue button.replace");
        page.until("document.getElementById('status').textContent === '1 stored'");
        assert!(s.read("html/res/large.dat") == noise(24 << 20));
        assert_eq!(s.snapshot("html/res").len(), 2);
        is_clean(&mut page, &s, &["409"]);
    });
}
