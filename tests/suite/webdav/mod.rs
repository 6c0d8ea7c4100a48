//! WebDAV as clients mount it (dav_ext_methods): what they ask for and what they are told.

mod clients;
mod locks;
mod openings;
mod programs;
mod propfind;

use crate::client::Response;
use crate::harness::{Runs, Server, Setup, Table, http, ours, skip_on_nginx, skipped};

const OURS: Runs = ours("nginx has no dav_ext_methods");

/// One server with these locations, and a zone for locks.
fn with_locks(locations: &str) -> Setup {
    http(&format!(
        "dav_ext_lock_zone zone=locks:1m timeout=10m;
         server {{ listen 127.0.0.1:%%PORT%%; server_name localhost; root %%DIR%%/html; client_max_body_size 10m;
                   {locations} }}"
    ))
}

/// A share at `/`, with locks; a form's area in `/form/`.
fn share() -> Setup {
    let block = "location / { dav_methods PUT DELETE MKCOL COPY MOVE; dav_ext_lock zone=locks;
                      dav_ext_methods PROPFIND OPTIONS LOCK UNLOCK PROPPATCH; }
         location /form/ { allowed_methods GET POST DELETE; upload_resumable on; upload_on_duplicate overwrite; }";
    with_locks(block).mkdir("html/form")
}

fn propfind(s: &Server, target: &str, depth: &str, body: &str) -> Response {
    s.method("PROPFIND", target, &format!("Depth: {depth}\r\n"), body.as_bytes())
}

/// Each `href` of a 207.
fn hrefs(r: &Response) -> Vec<String> {
    let text = r.text();
    let parts = text.split("<D:response><D:href>").skip(1);
    let mut all: Vec<String> = parts.filter_map(|part| part.split("</D:href>").next().map(str::to_owned)).collect();
    all.sort();
    all
}

const OWNED_LOCKINFO: &str = "<?xml version=\"1.0\"?><D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope>\
    <D:locktype><D:write/></D:locktype><D:owner><D:href>mailto:a@example</D:href></D:owner></D:lockinfo>";

/// Takes an exclusive lock; gives its token.
#[track_caller]
fn lock(s: &Server, target: &str, fields: &str) -> String {
    let r = s.method("LOCK", target, fields, OWNED_LOCKINFO.as_bytes());
    r.is_one_of(&[200, 201]);
    let token = r.header("Lock-Token").unwrap_or_else(|| panic!("no token in {}", r.show()));
    token.trim_matches(['<', '>']).to_owned()
}
