//! The page: our own readable listing, for people. One HTML document with its style and scripts inside;
//! everything works without the scripts (sorting and deleting by links, uploading by a plain form).
//!
//! Links are relative, so that the page works behind a proxy that serves it under another path.
//!
//! Invariant: names reach the markup only through [`escape::text`] and [`escape::uri`]; there is no
//! inline handler and no `style=`, so [`PAGE_CSP`] lets nothing run but the hashed files beside this one.

use super::entry::{Archive, Listing, Totals};
use super::escape;
use super::kind::{Entry, Kind};
use super::query::{DELETE_FIELD, FOLDER_FIELD, MOVE_FIELD, TO_FIELD};
use super::sort::{Key, Order};
use super::time;
use super::words::{Language, Word, Words};
use crate::util::subpaths;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const UPLOAD_SCRIPT: &str = include_str!("upload.js");

/// Rows that are laid out together once they come into sight; page.css knows it, too.
const BLOCK: usize = 64;

/// The icon of a folder, inside the page: browsers would otherwise request /favicon.ico, and every listing would
/// leave a 404 in the log of a site without one.
const ICON: &[u8] = b"<link rel=icon href=\"data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' \
    viewBox='0 0 16 16'%3E%3Cpath fill='%232d6fd9' d='M1 3h5l2 2h7v9H1z'/%3E%3C/svg%3E\">\n";

/// The Content-Security-Policy to send with the page and with [`confirm_delete`]. The hashes are those of
/// `page.css`, `page.js` and `upload.js` (a test compares).
pub const PAGE_CSP: &str = "default-src 'none'; style-src 'sha256-JBCpuAoMI9KRNKSiZ6PEW3iDlqPfZ3WMC5CbGTbOXdw='; \
     script-src 'sha256-8p1VwgYoX0I+jX7tR6bCoqxDB3sLwByfIF1X4azPWm8=' 'sha256-z4bNIo0snfvCmN2fF74m7nR8D6o3447hlX0nsnqAKSA='; \
     connect-src 'self'; img-src 'self' data:; media-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'self'";

/// The document up to the first row.
pub fn head(listing: &Listing<'_>, out: &mut Vec<u8>) {
    let words = listing.view.language.words();
    let (title, of) = listing.search.map_or((Word::Title, listing.path), |search| (Word::Found, search.text));
    document(title, of, listing.view.language, out);
    breadcrumbs(listing.path, &words, out);
    out.extend_from_slice(b"<h1>");
    match listing.search {
        Some(search) => words.with(Word::Found, out, |out| name(search.text, out)),
        None => name(last_segment(listing.path), out),
    }
    out.extend_from_slice(b"</h1>\n");
    totals(listing, &words, out);
    if listing.view.can_upload {
        upload_form(listing, &words, out);
    }
    out.extend_from_slice(b"<p id=status role=status></p>\n");
    find(listing, &words, out);
    texts(out, &[if listing.view.can_move { "<table id=rows class=two>" } else { "<table id=rows>" }, "\n<caption>"]);
    words.named(Word::Contents, listing.path, out);
    out.extend_from_slice(b"</caption>\n<thead>\n<tr>");
    column(listing, Key::Name, "name", words.get(Word::Name), out);
    column(listing, Key::Size, "size", words.get(Word::Size), out);
    column(listing, Key::Time, "time", words.get(Word::Modified), out);
    if listing.view.can_delete {
        let word = if listing.view.can_move { Word::Actions } else { Word::Delete };
        texts(out, &["<th scope=col><span class=vh>", words.get(word), "</span>"]);
    }
    out.extend_from_slice(b"\n<tbody>\n");
    if listing.path != b"/" && listing.search.is_none() {
        texts(out, &["<tr class=\"d up\"><th scope=row><a href=\"../\">", words.get(Word::Parent), "</a><td><td>"]);
        if listing.view.can_delete {
            out.extend_from_slice(b"<td>");
        }
        out.push(b'\n');
    }
}

/// The field that filters the rows, by script; as a plain form it searches everything below.
fn find(listing: &Listing<'_>, words: &Words, out: &mut Vec<u8>) {
    let (begin, end) = match listing.view.can_search {
        true => ("<form id=find role=search action=\"./\">", "</form>\n"),
        false => ("<p id=find hidden>", "</p>\n"),
    };
    texts(out, &[begin, "<label>", words.get(Word::Filter), " <input id=filter type=search autocomplete=off"]);
    texts(out, &[" data-press=\"", words.get(Word::Press), "\""]);
    if listing.view.can_search {
        out.extend_from_slice(b" name=search value=\"");
        escape::text(listing.search.map_or(b"", |search| search.text), out);
        texts(out, &["\"></label> <button>", words.get(Word::Search), "</button>"]);
    } else {
        out.extend_from_slice(b"></label>");
    }
    texts(out, &[end]);
}

pub(super) fn texts(out: &mut Vec<u8>, parts: &[&str]) {
    parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
}

/// The form for uploads: a plain form, and what the scripts need.
fn upload_form(listing: &Listing<'_>, words: &Words, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<form id=up method=post enctype=multipart/form-data action=\"./\"");
    let replace = match (listing.view.can_replace, listing.view.puts) {
        (false, _) => "",
        (true, true) => " data-replace",
        (true, false) => " data-replace=post",
    };
    texts(out, &[replace, if listing.view.resumable { " data-resumable" } else { "" }]);
    texts(out, &[if listing.view.takes_any_name { " data-dots" } else { "" }]);
    texts(
        out,
        &[if listing.view.can_nest { " data-folders" } else { "" }, ">\n<label for=file>", words.get(Word::Add)],
    );
    texts(out, &["</label>\n<input id=file name=file type=file multiple required>\n<button class=go>"]);
    texts(out, &[words.get(Word::Upload), "</button>\n"]);
    if listing.view.can_nest {
        texts(out, &["<button id=dir type=button hidden>", words.get(Word::AddFolder), "</button>\n"]);
    }
    texts(out, &["<p id=hint hidden>", words.get(Word::Hint), "</p>\n</form>\n"]);
    if listing.view.can_make {
        texts(out, &["<details id=make>\n<summary>", words.get(Word::NewFolder), "</summary>\n"]);
        texts(out, &["<form method=post action=\"./?webserv-folder\"><label class=vh for=folder>"]);
        texts(out, &[words.get(Word::NewFolder), "</label><input id=folder name=", FOLDER_FIELD]);
        texts(out, &[" required maxlength=255 autocomplete=off> <button>", words.get(Word::Make)]);
        texts(out, &["</button></form>\n</details>\n"]);
    }
    texts(out, &["<ul id=queue aria-label=\"", words.get(Word::Uploads), "\"></ul>\n"]);
}

/// A name as text, with a direction of its own. A name that is read from right to left has its extension where people
/// look for it, at the right end.
pub(super) fn name(name: &[u8], out: &mut Vec<u8>) {
    match extension_at(name).filter(|dot| *dot > 0 && has_rtl(name)) {
        Some(dot) => {
            out.extend_from_slice(b"<bdi dir=ltr><bdi>");
            escape::text(&name[..dot], out);
            out.extend_from_slice(b"</bdi>");
            escape::text(&name[dot..], out);
        }
        None => {
            out.extend_from_slice(b"<bdi>");
            escape::text(name, out);
        }
    }
    out.extend_from_slice(b"</bdi>");
}

/// Where the extension begins; that of an archive of tar is one with the word before it (`.tar.gz`).
fn extension_at(name: &[u8]) -> Option<usize> {
    let dot = memchr::memrchr(b'.', name)?;
    let archive = dot.checked_sub(4).filter(|at| name[*at..dot].eq_ignore_ascii_case(b".tar"));
    Some(archive.unwrap_or(dot))
}

/// Whether the name has letters that are written from right to left.
fn has_rtl(name: &[u8]) -> bool {
    let is_rtl = |c: char| {
        matches!(c, '\u{590}'..='\u{8ff}' | '\u{fb1d}'..='\u{fdff}' | '\u{fe70}'..='\u{feff}'
            | '\u{10800}'..='\u{10fff}' | '\u{1e800}'..='\u{1efff}')
    };
    !name.is_ascii() && name.utf8_chunks().any(|chunk| chunk.valid().chars().any(is_rtl))
}

/// One row, with that many before it.
pub fn entry(listing: &Listing<'_>, at: usize, entry: &Entry<'_>, out: &mut Vec<u8>) {
    if at > 0 && at.is_multiple_of(BLOCK) {
        // The last ones need no height that is only expected.
        let is_full = listing.totals.dirs + listing.totals.files >= at + BLOCK;
        out.extend_from_slice(if is_full { b"<tbody class=block>\n" } else { b"<tbody>\n" });
    }
    let dir = entry.kind == Kind::Dir;
    out.extend_from_slice(if dir { b"<tr class=d><th scope=row><a href=\"" } else { b"<tr><th scope=row><a href=\"" });
    href(entry, out);
    out.extend_from_slice(b"\">");
    name(entry.name, out);
    out.extend_from_slice(if dir { b"/</a><td>" } else { b"</a><td" });
    if !dir {
        if entry.kind == Kind::File {
            out.extend_from_slice(b" title=\"");
            escape::grouped(entry.size, listing.view.language.number_marks().1, out);
            texts(out, &[" ", listing.view.language.get(Word::Bytes), "\">"]);
            human(entry.size, listing.view.language, out);
        } else {
            out.push(b'>');
        }
    }
    out.extend_from_slice(b"<td><time datetime=");
    time::push_iso(entry.mtime, out);
    out.push(b'>');
    let local = entry.mtime.saturating_add(i64::from(listing.view.utc_offset));
    time::push_date(local, out);
    out.push(b' ');
    time::push_clock(local, out);
    out.extend_from_slice(b"</time>");
    if listing.view.can_delete {
        out.extend_from_slice(b"<td>");
    }
    if listing.view.can_delete && !(dir && subpaths::contains(&listing.view.kept, b"", entry.name)) {
        if listing.view.can_move {
            action(listing, entry, ("m", "move"), (Word::RenameName, Word::Rename), out);
            out.push(b' ');
        }
        action(listing, entry, ("x", "delete"), (Word::DeleteName, Word::Delete), out);
    }
    out.push(b'\n');
}

/// A row's link to the page with a question.
fn action(
    listing: &Listing<'_>,
    entry: &Entry<'_>,
    what: (&str, &str),
    (full, short): (Word, Word),
    out: &mut Vec<u8>,
) {
    texts(out, &["<a class=", what.0, " rel=nofollow href=\"?", what.1, "="]);
    href(entry, out);
    let (before, after) = listing.view.language.get(full).split_once("{0}").unwrap_or_default();
    texts(out, &["\" aria-label=\"", before]);
    escape::text(entry.name, out);
    texts(out, &[after, "\">", listing.view.language.get(short), "</a>"]);
}

/// The rest of the document.
pub fn tail(listing: &Listing<'_>, out: &mut Vec<u8>) {
    // Always present: rows come and go while the page is open.
    let hidden = if listing.totals == Totals::default() { "" } else { " hidden" };
    let words = listing.view.language.words();
    let empty = if listing.search.is_some() { Word::Nothing } else { Word::Empty };
    texts(out, &["</table>\n<p id=empty", hidden, ">", words.get(empty), "</p>\n"]);
    if listing.search.is_some_and(|search| !search.is_all) {
        texts(out, &["<p>", words.get(Word::NotAll), "</p>\n"]);
    }
    archive(listing, &words, out);
    out.extend_from_slice(b"</main>\n");
    if listing.view.can_upload {
        texts(out, &["<div id=drop hidden>", words.get(Word::Drop), "</div>\n"]);
    }
    if listing.view.can_delete {
        out.extend_from_slice(
            b"<dialog id=ask aria-labelledby=question>\n<form method=dialog>\n<p id=question data-file=\"",
        );
        let folder = if listing.view.deletes_all { Word::DeleteAllQ } else { Word::DeleteFolderQ };
        texts(out, &[words.get(Word::DeleteQ), "\" data-folder=\"", words.get(folder)]);
        texts(
            out,
            &["\"><b><bdi id=name></bdi></b></p>\n<button value=keep autofocus>", words.get(Word::Keep), "</button>\n"],
        );
        texts(out, &["<button class=bad value=delete>", words.get(Word::Delete), "</button>\n</form>\n</dialog>\n"]);
    }
    if listing.view.can_move {
        out.extend_from_slice(b"<dialog id=to aria-labelledby=where>\n<form method=dialog>\n<p id=where>");
        words.with(Word::MoveQ, out, |out| out.extend_from_slice(b"<b><bdi id=from></bdi></b>"));
        texts(out, &["</p>\n<p><label for=target>", words.get(Word::MoveTo)]);
        texts(out, &["</label><br><input id=target autocomplete=off required></p>\n"]);
        texts(out, &["<button value=keep formnovalidate>", words.get(Word::Cancel), "</button>\n"]);
        texts(out, &["<button class=go value=move>", words.get(Word::Move), "</button>\n</form>\n</dialog>\n"]);
    }
    out.extend_from_slice(b"<script id=words type=application/json>");
    words.for_scripts(out);
    out.extend_from_slice(b"</script>\n");
    script(SCRIPT, out);
    if listing.view.can_upload || listing.view.can_delete {
        script(UPLOAD_SCRIPT, out);
    }
}

/// The page that asks for confirmation of a delete without script, for `?delete=NAME`. Its form posts [`DELETE_FIELD`]
/// as application/x-www-form-urlencoded to the directory `path`; send it with [`PAGE_CSP`]. The caller has found the
/// entry and checked that this client may delete here.
///
/// `deletes_all`: a folder goes with what is in it.
pub fn confirm_delete(
    path: &[u8],
    (entry, kind): (&[u8], Kind),
    deletes_all: bool,
    language: Language,
    out: &mut Vec<u8>,
) {
    let words = language.words();
    document(Word::Title, path, language, out);
    breadcrumbs(path, &words, out);
    out.extend_from_slice(b"<h1>");
    let question = match kind {
        Kind::Dir if deletes_all => Word::DeleteAllQ,
        Kind::Dir => Word::DeleteFolderQ,
        _ => Word::DeleteQ,
    };
    words.with(question, out, |out| name(entry, out));
    out.extend_from_slice(b"</h1>\n<form method=post action=\"./\">\n<p><input type=hidden name=");
    out.extend_from_slice(DELETE_FIELD.as_bytes());
    out.extend_from_slice(b" value=\"");
    escape::uri(entry, out);
    texts(out, &["\"><button class=bad>", words.get(Word::Delete), "</button> &nbsp; <a href=\"./\">"]);
    texts(out, &[words.get(Word::KeepIt), "</a></p>\n</form>\n</main>\n"]);
}

/// The page that asks for a destination, for `?move=NAME` (a folder's with its slash). Its form posts [`MOVE_FIELD`]
/// and [`TO_FIELD`] to the directory `path`; send it with [`PAGE_CSP`].
pub fn ask_where(path: &[u8], entry: &[u8], language: Language, out: &mut Vec<u8>) {
    let (words, bare) = (language.words(), entry.strip_suffix(b"/").unwrap_or(entry));
    document(Word::Title, path, language, out);
    breadcrumbs(path, &words, out);
    out.extend_from_slice(b"<h1>");
    words.with(Word::MoveQ, out, |out| name(bare, out));
    texts(out, &["</h1>\n<form method=post action=\"./\">\n<input type=hidden name=", MOVE_FIELD, " value=\""]);
    escape::uri(bare, out);
    texts(out, &[if bare == entry { "" } else { "/" }, "\">\n<p><label for=target>", words.get(Word::MoveTo)]);
    texts(out, &["</label><br>\n<input id=target name=", TO_FIELD, " required autofocus autocomplete=off value=\""]);
    // A name that no field can hold is typed whole: what it shows instead would become part of the name.
    let mut shown = Vec::new();
    escape::text(bare, &mut shown);
    let mut plain = Vec::new();
    escape::html(bare, &mut plain);
    out.extend_from_slice(if shown == plain { &shown } else { b"" });
    texts(out, &["\"></p>\n<p><button class=go>", words.get(Word::Move), "</button> &nbsp; <a href=\"./\">"]);
    texts(out, &[words.get(Word::Cancel), "</a></p>\n</form>\n</main>\n"]);
}

/// The link that downloads the whole folder as one file.
fn archive(listing: &Listing<'_>, words: &Words, out: &mut Vec<u8>) {
    let kind = match listing.view.archive {
        Archive::Off => return,
        Archive::Zip => "zip",
        Archive::Tar => "tar",
    };
    texts(out, &["<p id=archive><a rel=nofollow download href=\"?archive=", kind, "\">"]);
    words.with(Word::Archive, out, |out| texts(out, &[kind]));
    out.extend_from_slice(b"</a></p>\n");
}

pub(super) fn document(title: Word, path: &[u8], language: Language, out: &mut Vec<u8>) {
    texts(out, &["<!doctype html>\n<html lang=", language.name(), ">\n<meta charset=utf-8>\n"]);
    texts(out, &["<meta name=viewport content=\"width=device-width,initial-scale=1\">\n<title>"]);
    language.words().named(title, path, out);
    out.extend_from_slice(b"</title>\n");
    out.extend_from_slice(ICON);
    out.extend_from_slice(b"<style>");
    lean(STYLE, out);
    out.extend_from_slice(b"</style>\n<body>\n");
}

/// A source file as it is sent: without indentation and without lines that are only comments.
fn lean(source: &str, out: &mut Vec<u8>) {
    for line in source.lines().map(str::trim_start) {
        if !line.is_empty() && !line.starts_with("//") && !line.starts_with("/*") {
            texts(out, &[line, "\n"]);
        }
    }
}

fn script(source: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b"<script>");
    lean(source, out);
    out.extend_from_slice(b"</script>\n");
}

/// The way up, each part a link as many `../` away as it is above. An empty part (`//`) counts as a step
/// but is not shown.
pub(super) fn breadcrumbs(path: &[u8], words: &Words, out: &mut Vec<u8>) {
    let inner = path.strip_prefix(b"/").unwrap_or(path);
    let steps = inner.iter().filter(|&&byte| byte == b'/').count();
    texts(out, &["<nav aria-label=\"", words.get(Word::Path), "\">\n<ol>\n<li><a href=\""]);
    up(steps, out);
    out.extend_from_slice(if steps == 0 { b"\" aria-current=page" } else { b"\"" });
    texts(out, &[" aria-label=\"", words.get(Word::Top), "\">/</a>\n"]);
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

fn totals(listing: &Listing<'_>, words: &Words, out: &mut Vec<u8>) {
    let totals = &listing.totals;
    // A search that found nothing says so below.
    if listing.search.is_some() && *totals == Totals::default() {
        return out.extend_from_slice(b"<p id=totals></p>\n");
    }
    let is_one = |n| n == 1 || n == 0 && listing.view.language.has_one_for_none();
    let counted = |n: usize, one, many| format!("{n} {}", words.get(if is_one(n) { one } else { many }));
    let folders = counted(totals.dirs, Word::Folder, Word::Folders);
    let text = format!("{folders}, {}", counted(totals.files, Word::File, Word::Files));
    out.extend_from_slice(b"<p id=totals>");
    out.extend_from_slice(text.as_bytes());
    if totals.files > 0 {
        out.extend_from_slice(b", ");
        human(totals.bytes, listing.view.language, out);
    }
    out.extend_from_slice(b"</p>\n");
}

/// A column's head: a link to the same page sorted by it, or the other way round if it already is.
fn column(listing: &Listing<'_>, key: Key, word: &str, label: &str, out: &mut Vec<u8>) {
    // Search results are in the order of their paths.
    if listing.search.is_some() {
        texts(out, &["<th scope=col>", label]);
        return zone(listing, key, out);
    }
    let current = (listing.view.sort.key == key).then_some(listing.view.sort.order);
    let (aria, next) = match current {
        Some(Order::Ascending) => (" aria-sort=ascending", "desc"),
        Some(Order::Descending) => (" aria-sort=descending", "asc"),
        // People usually look for the largest or the latest first.
        None => ("", if key == Key::Name { "asc" } else { "desc" }),
    };
    out.extend_from_slice(b"<th scope=col");
    for part in [aria, "><a rel=nofollow href=\"?sort=", word, "&amp;order=", next, "\">", label, "</a>"] {
        out.extend_from_slice(part.as_bytes());
    }
    zone(listing, key, out);
}

/// The time zone, beside the column's head.
fn zone(listing: &Listing<'_>, key: Key, out: &mut Vec<u8>) {
    if key == Key::Time {
        let minutes = listing.view.utc_offset / 60;
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
    // An entry's name has no slash; a search result is named by its path.
    for (at, part) in entry.name.split(|byte| *byte == b'/').enumerate() {
        if at > 0 {
            out.push(b'/');
        }
        escape::uri(part, out);
    }
    if entry.kind == Kind::Dir {
        out.push(b'/');
    }
}

/// `999 B`, `1.5 KiB`, `12 MiB`: two or more digits, rounded half up.
pub(super) fn human(bytes: u64, language: Language, out: &mut Vec<u8>) {
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
        out.extend_from_slice(language.number_marks().0.as_bytes());
        escape::number(tenths % 10, 0, out);
    } else {
        escape::number(rounded(1, unit) as u64, 0, out);
    }
    out.extend_from_slice(UNITS.get(unit).copied().unwrap_or_default());
}

#[cfg(test)]
mod tests;
