//! The page: our own readable listing, for people. One HTML document with its style and scripts inside;
//! everything works without the scripts (sorting and deleting by links, uploading by a plain form).
//!
//! Links are relative, so that the page works behind a proxy that serves it under another path.
//!
//! Invariant: names reach the markup only through [`escape::text`] and [`escape::uri`]; there is no
//! inline handler and no `style=`, so [`PAGE_CSP`] lets nothing run but the hashed files beside this one.

use super::entry::{Listing, Totals};
use super::escape;
use super::kind::{Entry, Kind};
use super::query::DELETE_FIELD;
use super::sort::{Key, Order};
use super::time::Civil;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const UPLOAD_SCRIPT: &str = include_str!("upload.js");

/// A folder. Within the page, as all of it: browsers would ask for /favicon.ico, and every listing leave a 404 in the
/// log of a site that has none.
const ICON: &[u8] = b"<link rel=icon href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
    viewBox='0 0 16 16'%3E%3Cpath fill='%232d6fd9' d='M1 3h5l2 2h7v9H1z'/%3E%3C/svg%3E\">\n";

/// The Content-Security-Policy to send with the page and with [`confirm_delete`]. The hashes are those of
/// `page.css`, `page.js` and `upload.js` (a test compares).
pub const PAGE_CSP: &str = "default-src 'none'; style-src 'sha256-JMNjqQGhjfQb+SLQr7cmE6DrXGA22euFUWepwFQY6pk='; \
     script-src 'sha256-RQba6Tj40kG+IAHWE8mDudFBddn3kf4NB5ykXRYmoIQ=' 'sha256-bvD8f1jtMkcQdF4bQFWfYZmMSGKWbRNJ4TdKbKL6ts4='; \
     connect-src 'self'; img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'self'";

/// The document up to the first row.
pub fn head(listing: &Listing<'_>, out: &mut Vec<u8>) {
    document("Index of ", listing.path, out);
    breadcrumbs(listing.path, out);
    out.extend_from_slice(b"<h1><bdi>");
    escape::text(last_segment(listing.path), out);
    out.extend_from_slice(b"</bdi></h1>\n");
    totals(&listing.totals, out);
    if listing.can_upload {
        out.extend_from_slice(b"<form id=up method=post enctype=multipart/form-data action=\"./\"");
        if listing.can_replace {
            out.extend_from_slice(b" data-replace");
        }
        if listing.resumable {
            out.extend_from_slice(b" data-resumable");
        }
        out.extend_from_slice(
            b">\n\
              <label for=file>Add files</label>\n\
              <input id=file name=file type=file multiple required>\n\
              <button class=go>Upload</button>\n\
              <p id=hint hidden>You can also drop files anywhere on this page.</p>\n\
              </form>\n\
              <ul id=queue aria-label=Uploads></ul>\n",
        );
    }
    out.extend_from_slice(
        b"<p id=status role=status></p>\n\
          <p id=find hidden><label>Filter <input id=filter type=search autocomplete=off placeholder=\"press /\"></label></p>\n\
          <table>\n<caption>Contents of ",
    );
    escape::text(listing.path, out);
    out.extend_from_slice(b"</caption>\n<thead>\n<tr>");
    column(listing, Key::Name, "name", "Name", out);
    column(listing, Key::Size, "size", "Size", out);
    column(listing, Key::Time, "time", "Modified", out);
    if listing.can_delete {
        out.extend_from_slice(b"<th scope=col><span class=vh>Delete</span>");
    }
    out.extend_from_slice(b"\n<tbody id=rows>\n");
    if listing.path != b"/" {
        out.extend_from_slice(b"<tr class=\"d up\"><th scope=row><a href=\"../\">Parent folder</a><td><td>");
        if listing.can_delete {
            out.extend_from_slice(b"<td>");
        }
        out.push(b'\n');
    }
}

/// One row.
pub fn entry(listing: &Listing<'_>, entry: &Entry<'_>, out: &mut Vec<u8>) {
    let dir = entry.kind == Kind::Dir;
    out.extend_from_slice(if dir { b"<tr class=d><th scope=row><a href=\"" } else { b"<tr><th scope=row><a href=\"" });
    href(entry, out);
    out.extend_from_slice(b"\"><bdi>");
    escape::text(entry.name, out);
    out.extend_from_slice(if dir { b"</bdi>/</a><td>" } else { b"</bdi></a><td" });
    if !dir {
        if entry.kind == Kind::File {
            out.extend_from_slice(b" title=\"");
            escape::grouped(entry.size, out);
            out.extend_from_slice(b" bytes\">");
            human(entry.size, out);
        } else {
            out.push(b'>');
        }
    }
    out.extend_from_slice(b"<td><time datetime=");
    Civil::from_unix(entry.mtime).push_iso(out);
    out.push(b'>');
    let local = Civil::from_unix(entry.mtime.saturating_add(i64::from(listing.utc_offset)));
    local.push_date(out);
    out.push(b' ');
    local.push_clock(out);
    out.extend_from_slice(b"</time>");
    if listing.can_delete {
        out.extend_from_slice(b"<td><a class=x rel=nofollow href=\"?delete=");
        href(entry, out);
        out.extend_from_slice(b"\" aria-label=\"Delete ");
        escape::text(entry.name, out);
        out.extend_from_slice(b"\">Delete</a>");
    }
    out.push(b'\n');
}

/// The rest of the document.
pub fn tail(listing: &Listing<'_>, out: &mut Vec<u8>) {
    // There in any case: rows come and go while the page is open.
    let hidden = if listing.totals == Totals::default() { "" } else { " hidden" };
    out.extend_from_slice(format!("</table>\n<p id=empty{hidden}>This folder is empty.</p>\n</main>\n").as_bytes());
    if listing.can_upload {
        out.extend_from_slice(b"<div id=drop hidden>Drop to upload</div>\n");
    }
    if listing.can_delete {
        out.extend_from_slice(
            b"<dialog id=ask aria-labelledby=question>\n<form method=dialog>\n\
              <p id=question>Delete <b><bdi id=name></bdi></b>?</p>\n\
              <button value=keep autofocus>Keep</button>\n\
              <button class=bad value=delete>Delete</button>\n</form>\n</dialog>\n",
        );
    }
    script(SCRIPT, out);
    if listing.can_upload || listing.can_delete {
        script(UPLOAD_SCRIPT, out);
    }
}

/// The page that asks before a delete without script, in answer to `?delete=NAME`. Its form posts
/// [`DELETE_FIELD`] as application/x-www-form-urlencoded to the directory `path`; send it with [`PAGE_CSP`].
/// The caller has found the entry and knows that this client may delete here.
pub fn confirm_delete(path: &[u8], name: &[u8], kind: Kind, out: &mut Vec<u8>) {
    document("Delete from ", path, out);
    breadcrumbs(path, out);
    out.extend_from_slice(b"<h1>Delete ");
    out.extend_from_slice(if kind == Kind::Dir { b"the folder <bdi>" } else { b"<bdi>" });
    escape::text(name, out);
    out.extend_from_slice(b"</bdi>?</h1>\n<form method=post action=\"./\">\n<p><input type=hidden name=");
    out.extend_from_slice(DELETE_FIELD.as_bytes());
    out.extend_from_slice(b" value=\"");
    escape::uri(name, out);
    out.extend_from_slice(
        b"\"><button class=bad>Delete</button> &nbsp; <a href=\"./\">Keep it</a></p>\n</form>\n</main>\n",
    );
}

fn document(title: &str, path: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(
        b"<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n\
          <meta name=viewport content=\"width=device-width,initial-scale=1\">\n<title>",
    );
    out.extend_from_slice(title.as_bytes());
    escape::text(path, out);
    out.extend_from_slice(b"</title>\n");
    out.extend_from_slice(ICON);
    out.extend_from_slice(b"<style>");
    out.extend_from_slice(STYLE.as_bytes());
    out.extend_from_slice(b"</style>\n<body>\n");
}

fn script(source: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<script>");
    out.extend_from_slice(source.as_bytes());
    out.extend_from_slice(b"</script>\n");
}

/// The way up, each part a link as many `../` away as it is above. An empty part (`//`) counts as a step
/// but is not shown.
fn breadcrumbs(path: &[u8], out: &mut Vec<u8>) {
    let inner = path.strip_prefix(b"/").unwrap_or(path);
    let steps = inner.iter().filter(|&&byte| byte == b'/').count();
    out.extend_from_slice(b"<nav aria-label=Path>\n<ol>\n<li><a href=\"");
    up(steps, out);
    out.extend_from_slice(if steps == 0 { b"\" aria-current=page" } else { b"\"" });
    out.extend_from_slice(b" aria-label=\"Top folder\">/</a>\n");
    for (step, part) in inner.split(|&byte| byte == b'/').take(steps).enumerate() {
        if part.is_empty() {
            continue;
        }
        out.extend_from_slice(b"<li><a href=\"");
        up(steps - step - 1, out);
        out.extend_from_slice(if step + 1 == steps { b"\" aria-current=page" } else { b"\"" });
        out.extend_from_slice(b"><bdi>");
        escape::text(part, out);
        out.extend_from_slice(b"</bdi></a>\n");
    }
    out.extend_from_slice(b"</ol>\n</nav>\n<main>\n");
}

fn up(steps: usize, out: &mut Vec<u8>) {
    if steps == 0 {
        out.extend_from_slice(b"./");
    }
    for _ in 0..steps {
        out.extend_from_slice(b"../");
    }
}

fn last_segment(path: &[u8]) -> &[u8] {
    path.split(|&byte| byte == b'/').rev().find(|part| !part.is_empty()).unwrap_or(b"/")
}

fn totals(totals: &Totals, out: &mut Vec<u8>) {
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    let text = format!("{} folder{}, {} file{}", totals.dirs, plural(totals.dirs), totals.files, plural(totals.files));
    out.extend_from_slice(b"<p id=totals>");
    out.extend_from_slice(text.as_bytes());
    if totals.files > 0 {
        out.extend_from_slice(b", ");
        human(totals.bytes, out);
    }
    out.extend_from_slice(b"</p>\n");
}

/// A column's head: a link to the same page sorted by it, or the other way round if it already is.
fn column(listing: &Listing<'_>, key: Key, word: &str, label: &str, out: &mut Vec<u8>) {
    let current = (listing.sort.key == key).then_some(listing.sort.order);
    let (aria, next) = match current {
        Some(Order::Ascending) => (" aria-sort=ascending", "desc"),
        Some(Order::Descending) => (" aria-sort=descending", "asc"),
        // The largest and the latest are what one looks for first.
        None => ("", if key == Key::Name { "asc" } else { "desc" }),
    };
    out.extend_from_slice(b"<th scope=col");
    for part in [aria, "><a rel=nofollow href=\"?sort=", word, "&amp;order=", next, "\">", label, "</a>"] {
        out.extend_from_slice(part.as_bytes());
    }
    if key == Key::Time {
        let minutes = listing.utc_offset / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        let zone = match minutes.unsigned_abs() {
            0 => " (UTC)".to_owned(),
            minutes => format!(" ({sign}{:02}:{:02})", minutes / 60, minutes % 60),
        };
        out.extend_from_slice(b"<span id=zone>");
        out.extend_from_slice(zone.as_bytes());
        out.extend_from_slice(b"</span>");
    }
}

fn href(entry: &Entry<'_>, out: &mut Vec<u8>) {
    escape::uri(entry.name, out);
    if entry.kind == Kind::Dir {
        out.push(b'/');
    }
}

/// `999 B`, `1.5 KiB`, `12 MiB`: two or more digits, rounded half up.
fn human(bytes: u64, out: &mut Vec<u8>) {
    const UNITS: [&[u8]; 7] = [b" B", b" KiB", b" MiB", b" GiB", b" TiB", b" PiB", b" EiB"];
    if bytes < 1024 {
        escape::number(bytes, 0, out);
        return out.extend_from_slice(UNITS[0]);
    }
    let rounded = |scale: u128, unit: usize| (u128::from(bytes) * scale + (1 << (unit * 10) >> 1)) >> (unit * 10);
    let mut unit = (bytes.ilog2() / 10) as usize;
    if rounded(1, unit) >= 1024 {
        unit += 1;
    }
    let tenths = rounded(10, unit) as u64;
    if tenths < 100 {
        escape::number(tenths / 10, 0, out);
        out.push(b'.');
        escape::number(tenths % 10, 0, out);
    } else {
        escape::number(rounded(1, unit) as u64, 0, out);
    }
    out.extend_from_slice(UNITS.get(unit).copied().unwrap_or_default());
}

#[cfg(test)]
mod tests;
