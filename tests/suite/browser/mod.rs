//! The listing's page in a real browser: what people see, press and drop. Skipped, and said so, where there is no
//! Chromium (Debian: `apt-get install chromium`).

mod axe;
mod deletes;
mod devtools;
mod elsewhere;
mod handbook;
mod looks;
mod resume;
mod secure;
mod uploads;

use crate::harness::{Runs, Server, Setup, Table, eventually, noise, ours, server, skip_on_nginx, skipped};
use crate::uploads::clients::packages;
use devtools::{Browser, Page};
use std::path::PathBuf;

const OURS: Runs = ours("the page");
const TUS: &str = "tus-js-client/dist/tus.min.js";

/// A client that a page loads, from where `.ci/run` puts it; or None and said aloud.
fn script(path: &str) -> Option<Vec<u8>> {
    let path = packages().join("node_modules").join(path);
    let content = std::fs::read(&path);
    if content.is_err() {
        skipped(&format!("{} is not installed (.ci/run does)", path.display()));
    }
    content.ok()
}

/// One browser for all that is tested in it: starting one takes longer than most rows.
#[test]
fn the_page_in_a_real_browser() {
    if skip_on_nginx("the page") {
        return;
    }
    let Some(mut browser) = Browser::start() else {
        skipped("no Chromium: install it (Debian: apt-get install chromium) or name it in CHROMIUM to test the page");
        return;
    };
    let mut table = Table::new("the page in a browser");
    looks::rows(&mut table, &mut browser);
    uploads::rows(&mut table, &mut browser);
    deletes::rows(&mut table, &mut browser);
    resume::rows(&mut table, &mut browser);
    axe::rows(&mut table, &mut browser);
    secure::rows(&mut table, &mut browser);
    elsewhere::rows(&mut table, &mut browser);
    handbook::rows(&mut table, &mut browser);
}

fn setup() -> Setup {
    server(
        "client_max_body_size 64m;
         location / { autoindex on; autoindex_format page; }
         location /up/ { autoindex_upload on; allowed_methods GET POST PUT DELETE; }
         location /small/ { autoindex_upload on; allowed_methods GET POST; upload_max_file_size 1k;
                            upload_extensions !.exe; }
         location /over/ { autoindex_upload on; allowed_methods GET POST; upload_on_duplicate overwrite; }
         location /tree/ { autoindex_upload on; allowed_methods GET POST DELETE; delete_recursive on;
                           upload_create_path on; }
         location /any/ { autoindex_upload on; allowed_methods GET POST; upload_create_path on; upload_names any; }",
    )
    .file("html/index.txt", "an index")
    .file("html/up/old.txt", "old!")
    .file("html/up/large.bin", noise(5_000_000))
    .file("html/up/grüße & <b>co.txt", "utf-8")
    .file("html/up/sub/inner.txt", "inner")
    .file("html/small/old.txt", "old!")
    .file("html/over/old.txt", "old!")
    .file("html/tree/full/inner.txt", "inner")
    // What the browser's user has on the disk.
    .file("mine/one.txt", "the first file")
    .file("mine/two.txt", "the second file")
    .file("mine/old.txt", "mine")
    .file("mine/naïve 文件 %41.txt", "named in UTF-8")
    .file("mine/program.exe", "MZ")
    .file("mine/large.dat", noise(24 << 20))
}

/// A page of the browser on a path of the server, with its events from the start.
fn visit<'a>(browser: &'a mut Browser, s: &Server, path: &str) -> Page<'a> {
    let mut page = browser.page();
    page.open(&url(s, path));
    page
}

fn url(s: &Server, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", s.port())
}

fn mine(s: &Server, name: &str) -> PathBuf {
    s.path(&format!("mine/{name}"))
}

/// The script complained of nothing and nothing came from elsewhere. `expected`: what the console may say, such as the
/// status of an upload that the test wants refused.
#[track_caller]
fn is_clean(page: &mut Page<'_>, s: &Server, expected: &[&str]) {
    let (complaints, urls) = page.seen();
    let unexpected = |line: &&String| !expected.iter().any(|part| line.contains(part));
    let complaints: Vec<_> = complaints.iter().filter(unexpected).collect();
    assert!(complaints.is_empty(), "the console: {complaints:?}");
    let own = url(s, "/");
    let foreign: Vec<_> = urls.iter().filter(|url| !url.starts_with(&own) && !url.starts_with("data:")).collect();
    assert!(foreign.is_empty(), "asked for elsewhere: {foreign:?}");
}

/// The names in the listing, in the order shown.
#[track_caller]
fn names(page: &mut Page<'_>) -> Vec<String> {
    let shown = page.eval(
        "[...document.querySelectorAll('#rows tbody tr:not(.up):not([hidden]) bdi')].map(name => name.textContent)",
    );
    shown.as_array().expect("a list").iter().map(|name| name.as_str().expect("text").to_owned()).collect()
}
