//! The query of a listing and its forms: the jsonp callback, the entry to delete.
//!
//! Invariant: every name returned is one path segment: never empty, `.`, `..`, nor with `/` or NUL. Whether it exists
//! and may be deleted is for the caller to check.

/// The fields of the other forms: the name of a folder to make; a name, and its destination.
pub const FOLDER_FIELD: &str = "webserv-folder";
/// The entry that is to be renamed or moved.
pub const MOVE_FIELD: &str = "webserv-move";
/// Its new name or path.
pub const TO_FIELD: &str = "webserv-to";

/// The field of the delete form, posted as application/x-www-form-urlencoded to the directory.
pub const DELETE_FIELD: &str = "webserv-delete";

/// What a form of the page requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageAction {
    /// The entry of this name is deleted.
    Delete(Vec<u8>),
    /// A folder of this name.
    Folder(Vec<u8>),
    /// An entry (a folder with its slash) is moved: to a name, or to a path relative to here; one that ends in a
    /// slash keeps the name.
    Move { name: Vec<u8>, to: Vec<u8> },
}

/// What a form requests other than DELETE, for the handler that does it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormAction {
    /// The folder that the URI names is made.
    Folder,
    /// To this path.
    Move(Vec<u8>),
}

/// A form that is being done, for the page that says why it was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentForm {
    /// The path of the folder whose listing has the form.
    pub folder: Vec<u8>,
    pub asks: Asked,
}

/// What a form asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Nothing that can be done.
    Nothing,
    Action(PageAction),
    /// To store files, none of which was stored.
    Upload(NotStored),
}

/// Why nothing was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NotStored {
    /// The file that it is about; empty: it needs no name.
    pub name: Vec<u8>,
    /// The sentence for programs, in English.
    pub why: String,
    /// The size that it may have at most.
    pub most: Option<u64>,
    /// Whether the client may replace the file.
    pub can_replace: bool,
}

/// The request of a form. None: it is not one of our forms, or its name cannot be an entry's.
pub fn asked(body: &[u8]) -> Option<PageAction> {
    let text = |name: &str| argument(body, name.as_bytes()).map(|value| percent_decode(value, Plus::Space));
    if let Some(name) = delete_from_form(body) {
        return Some(PageAction::Delete(name));
    }
    if let Some(name) = text(FOLDER_FIELD) {
        return segment(name.trim_ascii().to_vec()).map(PageAction::Folder);
    }
    let coded = text(MOVE_FIELD)?;
    let is_folder = coded.ends_with(b"/");
    let mut name = segment(percent_decode(&coded, Plus::Literal))?;
    if is_folder {
        name.push(b'/');
    }
    let to = text(TO_FIELD).filter(|to| !to.is_empty() && !to.contains(&0))?;
    Some(PageAction::Move { name, to })
}

/// The path of `to` relative to the folder `base`, without `.` and `..`. None: above the top, or invalid.
pub fn resolve(base: &[u8], to: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let bare = name.strip_suffix(b"/").unwrap_or(name);
    let mut parts: Vec<&[u8]> = Vec::new();
    let start: &[u8] = if to.starts_with(b"/") { b"" } else { base };
    let kept: &[u8] = if to.ends_with(b"/") || to.ends_with(b"..") || to == b"." { bare } else { b"" };
    for part in start.split(|b| *b == b'/').chain(to.split(|b| *b == b'/')).chain([kept]) {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    let slash: &[u8] = if name.ends_with(b"/") { b"/" } else { b"" };
    (!parts.is_empty()).then(|| [b"/", &parts.join(&b'/')[..], slash].concat())
}

/// The callback's name is longer than 128 bytes or not letters, digits, `_`, `.`: 400, as in nginx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidCallback;

/// The jsonp callback in a raw query. `None` (also when it is empty) means plain JSON, with JSON's type.
/// As nginx finds arguments: the first, its name in any case, the value not decoded.
pub fn callback(query: &[u8]) -> Result<Option<&[u8]>, InvalidCallback> {
    let value = query
        .split(|&byte| byte == b'&')
        .find_map(|argument| argument.split_at_checked(9).filter(|(name, _)| name.eq_ignore_ascii_case(b"callback=")))
        .map_or(&b""[..], |(_, value)| value);
    if value.len() > 128 || !value.iter().all(|&byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')) {
        return Err(InvalidCallback);
    }
    Ok((!value.is_empty()).then_some(value))
}

/// The entry of `?delete=NAME`: percent-encoded as in the entry's link; a directory's trailing `/` is removed. `None`
/// if the query has none, or the name cannot be an entry's.
pub fn delete_from_query(query: &[u8]) -> Option<Vec<u8>> {
    let value = argument(query, b"delete")?;
    segment(percent_decode(value, Plus::Literal))
}

/// The entry of `?move=NAME`; a folder keeps its slash.
pub fn move_from_query(query: &[u8]) -> Option<Vec<u8>> {
    let value = argument(query, b"move")?;
    let mut name = segment(percent_decode(value, Plus::Literal))?;
    if value.ends_with(b"/") {
        name.push(b'/');
    }
    Some(name)
}

/// The text of `?search=TEXT`, as a form sends it; `None` if it is empty or missing.
pub fn search_from_query(query: &[u8]) -> Option<Vec<u8>> {
    let text = percent_decode(argument(query, b"search")?, Plus::Space);
    let text = text.trim_ascii();
    (!text.is_empty()).then(|| text.to_vec())
}

/// The entry of the confirmed form ([`DELETE_FIELD`]). The form sends the percent-encoded name as its value, so that
/// any bytes survive the browser's own encoding: it is decoded twice.
pub fn delete_from_form(body: &[u8]) -> Option<Vec<u8>> {
    let value = argument(body, DELETE_FIELD.as_bytes())?;
    segment(percent_decode(&percent_decode(value, Plus::Space), Plus::Literal))
}

fn argument<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    query.split(|&byte| byte == b'&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix(b"="))
}

fn segment(mut name: Vec<u8>) -> Option<Vec<u8>> {
    if name.last() == Some(&b'/') {
        name.pop();
    }
    let entry = !matches!(&name[..], b"" | b"." | b"..") && !name.iter().any(|&byte| matches!(byte, b'/' | 0));
    entry.then_some(name)
}

/// What `+` means: a space in form encoding, itself in a path.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Plus {
    Space,
    Literal,
}

/// Undoes `%XX`; a `%` without two hex digits stays as it is.
fn percent_decode(value: &[u8], plus: Plus) -> Vec<u8> {
    let hex = |at: usize| value.get(at).and_then(|&byte| (byte as char).to_digit(16));
    let mut out = Vec::with_capacity(value.len());
    let mut at = 0;
    while let Some(&byte) = value.get(at) {
        at += 1;
        match byte {
            b'%' => match (hex(at), hex(at + 1)) {
                (Some(high), Some(low)) => {
                    out.push((high * 16 + low) as u8);
                    at += 2;
                }
                _ => out.push(byte),
            },
            b'+' if plus == Plus::Space => out.push(b' '),
            _ => out.push(byte),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, input, the entry's name.
    type Case = (&'static str, &'static [u8], Option<&'static [u8]>);

    #[test]
    fn a_callback_is_a_dotted_name() {
        let long = [b"callback=".as_slice(), &[b'a'; 129]].concat();
        type Expected = Result<Option<&'static [u8]>, InvalidCallback>;
        let table: &[(&str, &[u8], Expected)] = &[
            ("none", b"", Ok(None)),
            ("empty", b"callback=", Ok(None)),
            ("a name", b"a=b&callback=my.Fn_1&c", Ok(Some(b"my.Fn_1"))),
            ("any case", b"CallBack=f", Ok(Some(b"f"))),
            ("another argument's end", b"xcallback=f", Ok(None)),
            ("the first counts", b"callback=a&callback=b", Ok(Some(b"a"))),
            ("code", b"callback=alert(1)", Err(InvalidCallback)),
            ("encoded", b"callback=%61", Err(InvalidCallback)),
            ("too long", &long, Err(InvalidCallback)),
        ];
        for (name, query, expected) in table {
            assert_eq!(callback(query), *expected, "{name}");
        }
    }

    #[test]
    fn the_entry_to_delete_is_one_segment() {
        let table: &[Case] = &[
            ("no argument", b"sort=name", None),
            ("a name", b"delete=a.txt", Some(b"a.txt")),
            ("after others", b"x=1&delete=a%20b", Some(b"a b")),
            ("plus is plus in a link", b"delete=a+b", Some(b"a+b")),
            ("a directory", b"delete=sub/", Some(b"sub")),
            ("not UTF-8", b"delete=%ff%0A", Some(b"\xff\n")),
            ("a lone percent", b"delete=100%", Some(b"100%")),
            ("empty", b"delete=", None),
            ("the directory itself", b"delete=./", None),
            ("the parent", b"delete=..", None),
            ("the parent, encoded", b"delete=%2e%2E%2f", None),
            ("a path", b"delete=a%2Fb", None),
            ("NUL", b"delete=a%00b", None),
        ];
        for (name, query, expected) in table {
            assert_eq!(delete_from_query(query).as_deref(), *expected, "{name}");
        }
    }

    #[test]
    fn a_search_is_what_the_form_sends() {
        let table: &[Case] = &[
            ("none", b"sort=name", None),
            ("nothing", b"search=+%20", None),
            ("words", b"a=b&search=two+w%C3%B6rds%26", Some("two wörds&".as_bytes())),
        ];
        for (name, query, expected) in table {
            assert_eq!(search_from_query(query).as_deref(), *expected, "{name}");
        }
    }

    #[test]
    fn forms_name_a_folder_or_where_an_entry_goes() {
        let moved = |name: &str, to: &str| Some(PageAction::Move { name: name.into(), to: to.into() });
        let table = [
            ("webserv-folder=My+Photos", Some(PageAction::Folder(b"My Photos".to_vec()))),
            ("webserv-folder=a%2Fb", None),
            ("webserv-folder=..", None),
            ("webserv-folder=+", None),
            ("webserv-move=a%2520b.txt&webserv-to=c+d.txt", moved("a b.txt", "c d.txt")),
            ("webserv-move=sub%2F&webserv-to=..%2Fx", moved("sub/", "../x")),
            ("webserv-move=a&webserv-to=", None),
            ("webserv-move=..&webserv-to=x", None),
            ("x=y", None),
        ];
        for (body, expected) in table {
            assert_eq!(asked(body.as_bytes()), expected, "{body}");
        }
        let table = [
            ("/a/b/", "c", "n", Some("/a/b/c")),
            ("/a/b/", "c/", "n", Some("/a/b/c/n")),
            ("/a/b/", "..", "n/", Some("/a/n/")),
            ("/a/b/", "../../..", "n", None),
            ("/a/", "/x/./y//z", "n", Some("/x/y/z")),
            ("/", "/", "n", Some("/n")),
        ];
        for (base, to, name, expected) in table {
            let found = resolve(base.as_bytes(), to.as_bytes(), name.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{base} {to} {name}");
        }
    }

    #[test]
    fn the_form_survives_the_browsers_encoding() {
        let table: &[Case] = &[
            ("a name", b"webserv-delete=a.txt", Some(b"a.txt")),
            ("a space, as the page sends it", b"webserv-delete=a%2520b", Some(b"a b")),
            ("a space, as a person sends it", b"webserv-delete=a+b", Some(b"a b")),
            ("a plus", b"webserv-delete=a%252Bb", Some(b"a+b")),
            ("not UTF-8", b"webserv-delete=%25FF", Some(b"\xff")),
            ("the parent behind two encodings", b"webserv-delete=%252e%252e", None),
            ("another field", b"delete=a", None),
        ];
        for (name, body, expected) in table {
            assert_eq!(delete_from_form(body).as_deref(), *expected, "{name}");
        }
    }
}
