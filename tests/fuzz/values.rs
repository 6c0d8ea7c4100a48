//! What holds of the values of header fields, and of WebDAV's bodies.

use std::collections::HashSet;
use webserv::http::dav::xml::Element;
use webserv::http::dav::{body, condition, lock, xml};
use webserv::http::{date, disposition, etag, field_syntax, forwarded, signed_link, structured};

/// One value, read as each of the fields that are more than a token: what is read means the same when it is written.
pub fn fields(data: &[u8]) {
    if let Some(members) = structured::dictionary(data) {
        let keys: HashSet<&[u8]> = members.iter().map(|(key, _)| *key).collect();
        assert_eq!(keys.len(), members.len(), "each key once");
        assert!(keys.iter().all(|key| !key.is_empty()));
    }
    if let Some(read) = disposition::parse(data) {
        assert!(field_syntax::is_token(&read.kind) && !read.kind.iter().any(u8::is_ascii_uppercase));
    }
    if let Some(time) = date::parse(data) {
        let written = date::format(time);
        assert_eq!(date::parse(&written), Some(time), "{}", written.escape_ascii());
    }
    assert_eq!(forwarded::last_proto([data, b"for=_x;proto=https"].into_iter()).as_deref(), Some(&b"https"[..]));
    let members = field_syntax::list(data).map(<[u8]>::len).sum::<usize>();
    assert!(members <= data.len());
    for strength in [etag::Strength::Strong, etag::Strength::Weak] {
        let named = etag::matches(data, b"\"a\"", strength);
        assert!(!named || etag::has_member(data));
        // What stands before a list takes none of its members away, unless it opens a quote.
        let doubled = [b"\"a\", ", data].concat();
        assert!(etag::matches(&doubled, b"\"a\"", strength) || field_syntax::trim_ows(data) == b"*");
    }
    link(data);
}

/// The five values of a signed link, a line each: what is signed is read back as it was, and no other key does.
fn link(data: &[u8]) {
    let mut lines = data.splitn(5, |b| *b == b'\n');
    let values: [Vec<u8>; 5] = std::array::from_fn(|_| lines.next().unwrap_or_default().to_vec());
    let arguments = signed_link::sign(b"key", &values);
    let keys = |key: &[u8]| [Box::from(key)];
    match (signed_link::parse(&values), signed_link::read(&keys(b"key"), &arguments)) {
        (Ok(meant), read) => assert_eq!(read, Ok(meant)),
        (Err(why), read) => assert_eq!(read, Err(signed_link::LinkError::Malformed(why))),
    }
    assert_eq!(signed_link::read(&keys(b"other"), &arguments), Err(signed_link::LinkError::Signature));
}

/// WebDAV's XML and its `If`: bounded, and what is written again reads as it did.
pub fn dav(data: &[u8]) {
    if let Ok(element) = xml::parse(data) {
        let mut written = b"<D:outer xmlns:D=\"DAV:\">".to_vec();
        element.write(&mut written);
        written.extend_from_slice(b"</D:outer>");
        // One element more, and one level: a tree that was as large as is taken may be refused.
        if let Ok(again) = xml::parse(&written) {
            assert_eq!(again.children.iter().map(trimmed).collect::<Vec<_>>(), [trimmed(&element)]);
        } else {
            assert!(depth(&element) >= 31 || data.len() > 1000, "{}", written.escape_ascii());
        }
    }
    let _ = (body::propfind(data), body::proppatch(data), body::lockinfo(data));
    if let Some(lists) = condition::parse(data) {
        assert!(!lists.is_empty() && lists.iter().all(|list| !list.conditions.is_empty()));
        assert!(condition::tokens(&lists).all(|token| !token.is_empty() && !token.contains(&b'>')));
    }
    if let Some(token) = lock::lock_token(data) {
        assert_eq!(lock::Token::parse(token.to_string().as_bytes()), Some(token));
    }
    assert!((1..=600).contains(&lock::timeout(Some(data), 600)));
}

/// As it reads again: blanks around a text are not kept.
fn trimmed(element: &Element) -> Element {
    Element {
        name: element.name.clone(),
        text: element.text.trim().to_owned(),
        children: element.children.iter().map(trimmed).collect(),
    }
}

fn depth(element: &Element) -> usize {
    1 + element.children.iter().map(depth).max().unwrap_or_default()
}
