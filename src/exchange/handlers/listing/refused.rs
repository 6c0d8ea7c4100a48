//! The page that says why a form of the listing was refused, for browsers without scripts: in the words that the
//! scripts would have shown in place, and with the way back.

use super::page::{breadcrumbs, document, name, texts};
use super::query::{PageAction, SentForm};
use super::words::{Language, Word};

/// The page for a form that got this status; send it with [`super::PAGE_CSP`].
pub fn refused(form: &SentForm, status: u16, language: Language, out: &mut Vec<u8>) {
    let (words, path) = (language.words(), &form.folder[..]);
    let why = match &form.action {
        // As the scripts say it.
        Some(PageAction::Delete(_)) if status == 409 => words.of("js_not_empty").to_owned(),
        _ => words.of_status(status),
    };
    document(Word::Title, path, language, out);
    breadcrumbs(path, &words, out);
    out.extend_from_slice(b"<h1>");
    let (key, entry) = match &form.action {
        None => ("", &b""[..]),
        Some(PageAction::Delete(entry)) => ("js_not_deleted", &entry[..]),
        Some(PageAction::Folder(entry)) => ("js_not_made", &entry[..]),
        Some(PageAction::Move { name, .. }) => ("js_not_moved", name.strip_suffix(b"/").unwrap_or(name)),
    };
    match key {
        "" => texts(out, &[&why]),
        key => words.because(key, out, |out| name(entry, out), &why),
    }
    texts(out, &["</h1>\n<p><a href=\"./\">", words.get(Word::Back), "</a></p>\n</main>\n"]);
}
