//! The page that says why a form of the listing was refused, for browsers without scripts: in the words that the
//! scripts would have shown in place, and with the way back.

use super::page::{breadcrumbs, document, human, name, texts};
use super::query::{Asked, NotStored, PageAction, SentForm};
use super::words::{Language, Word, Words};

/// The page for a form that got this status; send it with [`super::PAGE_CSP`].
pub fn refused(form: &SentForm, status: u16, language: Language, out: &mut Vec<u8>) {
    let (words, path) = (language.words(), &form.folder[..]);
    let why = match &form.asks {
        Asked::Upload(upload) => not_stored(upload, status, language),
        // As the scripts say it.
        Asked::Action(PageAction::Delete(_)) if status == 409 => words.of("js_not_empty").to_owned(),
        _ => words.of_status(status),
    };
    document(Word::Title, path, language, out);
    breadcrumbs(path, &words, out);
    out.extend_from_slice(b"<h1>");
    let (key, entry) = match &form.asks {
        Asked::Upload(upload) if !upload.name.is_empty() => ("js_not_stored", &upload.name[..]),
        Asked::Upload(_) | Asked::Nothing => ("", &b""[..]),
        Asked::Action(PageAction::Delete(entry)) => ("js_not_deleted", &entry[..]),
        Asked::Action(PageAction::Folder(entry)) => ("js_not_made", &entry[..]),
        Asked::Action(PageAction::Move { name, .. }) => ("js_not_moved", name.strip_suffix(b"/").unwrap_or(name)),
    };
    match key {
        "" => texts(out, &[&capitalised(&why)]),
        key => words.because(key, out, |out| name(entry, out), &why),
    }
    texts(out, &["</h1>\n"]);
    if status == 409 && matches!(&form.asks, Asked::Upload(upload) if upload.can_replace) {
        replace(&words, out);
    }
    texts(out, &["<p><a href=\"./\">", words.get(Word::Back), "</a></p>\n</main>\n"]);
}

/// As the scripts say it: our own sentence where it is in the reader's language and names no directive.
fn not_stored(upload: &NotStored, status: u16, language: Language) -> String {
    let words = language.words();
    if language == Language::En && !matches!(status, 413 | 507) && !upload.why.is_empty() {
        return upload.why.clone();
    }
    let mut why = words.of_status(status);
    if let Some(most) = upload.most {
        let mut size = Vec::new();
        human(most, language, &mut size);
        let most = words.of("js_most").replace("{0}", &String::from_utf8_lossy(&size));
        why = words.of("js_colon").replace("{0}", &why).replace("{1}", &most);
    }
    why
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

/// The form once more, to replace what is there: a browser does not keep what it has sent.
fn replace(words: &Words, out: &mut Vec<u8>) {
    let label = words.of("js_replace");
    texts(
        out,
        &["<form id=up method=post enctype=multipart/form-data action=\"./?webserv-replace\">\n<label for=file>"],
    );
    texts(out, &[label, "</label>\n<input id=file name=file type=file multiple required>\n<button class=go>", label]);
    texts(out, &["</button>\n</form>\n"]);
}
