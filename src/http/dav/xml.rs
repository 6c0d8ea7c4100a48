//! The XML of WebDAV requests: elements with namespaces and text. Document types, and entities other than XML's own
//! five, are refused; depth and number of elements are bounded. Also escapes the text of responses.
//!
//! Invariant: what is read costs memory in proportion to its bytes, whatever it says.

use quick_xml::NsReader;
use quick_xml::escape::unescape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use std::borrow::Cow;

/// Maximum depth of nested elements.
const DEPTH: usize = 32;
/// Maximum number of elements.
const ELEMENTS: usize = 1024;
/// Comments, instructions and marked sections: each costs about as much as an element, in fewer bytes.
const MAX_NON_ELEMENTS: usize = 1024;
/// Bytes of their namespaces: one that is written once is repeated with each element, here and in answers.
const NAMESPACES: usize = 128 << 10;

/// An element's or property's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Name {
    /// Empty: in no namespace.
    pub ns: Box<str>,
    pub name: Box<str>,
}

impl Name {
    /// Whether it is this name in the `DAV:` namespace. Case-sensitive, as XML is.
    pub fn is_dav(&self, name: &str) -> bool {
        &*self.ns == super::DAV && &*self.name == name
    }
}

/// One element of a parsed document, with all that is in it. Attributes are not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    pub name: Name,
    /// Its text, without that of its children.
    pub text: String,
    pub children: Vec<Element>,
}

impl Element {
    /// The first child of that name.
    pub fn dav(&self, name: &str) -> Option<&Element> {
        self.children.iter().find(|child| child.name.is_dav(name))
    }

    /// Writes it as it may stand where `D` is the prefix of [`super::DAV`].
    pub fn write(&self, out: &mut Vec<u8>) {
        open(&self.name, out);
        out.push(b'>');
        self.write_content(out);
        close(&self.name, out);
    }

    /// What is in it.
    pub fn write_content(&self, out: &mut Vec<u8>) {
        escape(self.text.trim(), out);
        self.children.iter().for_each(|child| child.write(out));
    }
}

/// `<name` with its namespace, not closed yet.
fn open(name: &Name, out: &mut Vec<u8>) {
    out.push(b'<');
    out.extend_from_slice(prefix(name));
    out.extend_from_slice(name.name.as_bytes());
    if &*name.ns != super::DAV && !name.ns.is_empty() {
        out.extend_from_slice(b" xmlns:x=\"");
        escape_attribute(&name.ns, out);
        out.push(b'"');
    }
}

fn close(name: &Name, out: &mut Vec<u8>) {
    out.extend_from_slice(b"</");
    out.extend_from_slice(prefix(name));
    out.extend_from_slice(name.name.as_bytes());
    out.push(b'>');
}

fn prefix(name: &Name) -> &'static [u8] {
    match &*name.ns {
        super::DAV => b"D:",
        "" => b"",
        _ => b"x:",
    }
}

/// An element without content.
pub fn empty(name: &Name, out: &mut Vec<u8>) {
    open(name, out);
    out.extend_from_slice(b"/>");
}

/// Whether XML 1.0 can say it, as itself or escaped.
pub fn is_char(c: char) -> bool {
    !matches!(c, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

/// The value of an attribute, in which white space would be read as blanks (XML 1.0 §3.3.3).
fn escape_attribute(text: &str, out: &mut Vec<u8>) {
    for part in text.split_inclusive(['\t', '\n']) {
        let (rest, reference): (_, &[u8]) = match part.as_bytes() {
            [.., b'\t'] => (&part[..part.len() - 1], b"&#9;"),
            [.., b'\n'] => (&part[..part.len() - 1], b"&#10;"),
            _ => (part, b""),
        };
        escape(rest, out);
        out.extend_from_slice(reference);
    }
}

/// The text of an element. A carriage return would be read as a line feed (XML 1.0 §2.11). What XML 1.0 cannot say
/// becomes U+FFFD.
pub fn escape(text: &str, out: &mut Vec<u8>) {
    for c in text.chars() {
        match c {
            '<' => out.extend_from_slice(b"&lt;"),
            '>' => out.extend_from_slice(b"&gt;"),
            '&' => out.extend_from_slice(b"&amp;"),
            '"' => out.extend_from_slice(b"&quot;"),
            '\r' => out.extend_from_slice(b"&#13;"),
            c if !is_char(c) => out.extend_from_slice("\u{fffd}".as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Reads a document to its end.
///
/// # Errors
/// What is wrong with it, as the end of a sentence.
pub fn parse(body: &[u8]) -> Result<Element, &'static str> {
    let mut reader = NsReader::from_str(characters(body)?.trim_start_matches('\u{feff}'));
    reader.config_mut().expand_empty_elements = true;
    let mut stack: Vec<Element> = Vec::new();
    let mut root = None;
    let (mut elements, mut namespaces, mut asides) = (0, 0, 0);
    loop {
        let (ns, event) = reader.read_resolved_event().map_err(|_| "is not well-formed XML")?;
        if matches!(event, Event::Comment(_) | Event::CData(_) | Event::Decl(_) | Event::PI(_)) {
            asides += 1;
            if asides > MAX_NON_ELEMENTS {
                return Err("has too many comments, instructions and sections");
            }
        }
        match event {
            Event::Start(start) => {
                if root.is_some() {
                    return Err("goes on after its root element");
                }
                let ns = namespace(&ns)?;
                elements += 1;
                namespaces += ns.len();
                if stack.len() >= DEPTH || elements > ELEMENTS {
                    return Err("has too many elements");
                }
                if namespaces > NAMESPACES {
                    return Err("has too long namespaces");
                }
                stack.push(started(&ns, &start)?);
            }
            Event::End(_) => {
                let ended = stack.pop().ok_or("is not well-formed XML")?;
                match stack.last_mut() {
                    Some(parent) => parent.children.push(ended),
                    None => root = Some(ended),
                }
            }
            Event::Text(text) => say(&mut stack, &text.xml10_content())?,
            Event::CData(text) => say(&mut stack, &text.xml10_content())?,
            Event::GeneralRef(name) => {
                let c = match name.resolve_char_ref().map_err(|_| "has a character reference to no character")? {
                    Some(c) if is_character(c) => c,
                    Some(_) => return Err("has a character reference to no character"),
                    None => entity(&name.xml10_content()).ok_or("has an entity that is not XML's own")?,
                };
                say(&mut stack, c.encode_utf8(&mut [0; 4]))?;
            }
            Event::DocType(_) => return Err("has a document type"),
            Event::Eof => break,
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
    match (root, stack.is_empty()) {
        (Some(root), true) => Ok(root),
        _ => Err("is not well-formed XML"),
    }
}

/// A document's text, of the characters that XML has (XML 1.0 §2.2).
fn characters(body: &[u8]) -> Result<&str, &'static str> {
    let text = std::str::from_utf8(body).map_err(|_| "is not UTF-8")?;
    if text.chars().all(is_character) { Ok(text) } else { Err("has a character that XML does not have") }
}

fn is_character(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

fn started(ns: &str, start: &BytesStart<'_>) -> Result<Element, &'static str> {
    check_attributes(start)?;
    let name = Name { ns: ns.into(), name: local(start)?.into() };
    Ok(Element { name, text: String::new(), children: Vec::new() })
}

/// With its references read: it is written with references of our own.
fn namespace<'n>(ns: &ResolveResult<'n>) -> Result<Cow<'n, str>, &'static str> {
    match ns {
        ResolveResult::Bound(ns) => {
            let text = unescape(ns.0).map_err(|_| "has a namespace with a reference to no character")?;
            if text.chars().all(is_character) {
                Ok(text)
            } else {
                Err("has a namespace with a reference to no character")
            }
        }
        ResolveResult::Unbound => Ok(Cow::Borrowed("")),
        ResolveResult::Unknown(_) => Err("has a prefix without a namespace"),
    }
}

fn local<'e>(start: &'e BytesStart<'_>) -> Result<&'e str, &'static str> {
    let name = start.local_name().into_inner();
    let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.') || c > '\u{7f}';
    match !name.is_empty() && name.chars().all(is_name) {
        true => Ok(name),
        false => Err("has a name that is none"),
    }
}

/// A prefix cannot be bound to no namespace (Namespaces in XML 1.0 §2.2).
fn check_attributes(start: &BytesStart<'_>) -> Result<(), &'static str> {
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| "has an attribute that is not well-formed")?;
        if attribute.key.into_inner().starts_with("xmlns:") && attribute.value.is_empty() {
            return Err("binds a prefix to no namespace");
        }
    }
    Ok(())
}

fn say(stack: &mut [Element], text: &str) -> Result<(), &'static str> {
    match stack.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err("has text outside its root element"),
    }
    Ok(())
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "lt" => '<',
        "gt" => '>',
        "amp" => '&',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(element: &Element) -> String {
        let mut out = Vec::new();
        element.write(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn elements_keep_their_namespaces_and_their_text() {
        let table = [
            ("<D:a xmlns:D='DAV:'/>", "<D:a></D:a>"),
            ("<a xmlns='DAV:'><b>x&amp;y</b></a>", "<D:a><D:b>x&amp;y</D:b></D:a>"),
            ("<a>&#x41;&#66;<![CDATA[<c>]]></a>", "<a>AB&lt;c&gt;</a>"),
            ("<p:a xmlns:p='urn:\"x'/>", "<x:a xmlns:x=\"urn:&quot;x\"></x:a>"),
            ("<p:a xmlns:p='urn:a&amp;b'/>", "<x:a xmlns:x=\"urn:a&amp;b\"></x:a>"),
            ("<p:a xmlns:p='DAV&#58;'/>", "<D:a></D:a>"),
            ("\u{feff}<?xml version='1.0'?>\n<!-- c -->\n<a/>\n", "<a></a>"),
        ];
        for (text, expected) in table {
            assert_eq!(parse(text.as_bytes()).map(|root| shown(&root)).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn white_space_that_was_written_as_a_reference_stays_what_it_is() {
        for (text, expected) in [
            // Found by fuzzing: it was written as itself, and read again as a line feed.
            ("<a>x&#13;y</a>", "<a>x&#13;y</a>"),
            ("<a>x&#9;&#10;y</a>", "<a>x\t\ny</a>"),
            ("<p:a xmlns:p='u&#9;&#10;v&#13;&amp;'/>", "<x:a xmlns:x=\"u&#9;&#10;v&#13;&amp;\"></x:a>"),
        ] {
            let written = parse(text.as_bytes()).map(|root| shown(&root)).expect("it is well-formed");
            assert_eq!(written, expected);
            let again = parse(written.as_bytes()).map(|root| shown(&root));
            assert_eq!(again.as_deref(), Ok(expected), "read again");
        }
    }

    #[test]
    fn an_empty_element_has_its_namespace() {
        for (ns, expected) in [(super::super::DAV, "<D:a/>"), ("", "<a/>"), ("urn:x", "<x:a xmlns:x=\"urn:x\"/>")] {
            let mut out = Vec::new();
            empty(&Name { ns: ns.into(), name: "a".into() }, &mut out);
            assert_eq!(String::from_utf8_lossy(&out), expected);
        }
    }

    #[test]
    fn the_five_entities_are_what_they_stand_for() {
        let read = |text: &str| parse(text.as_bytes()).map(|root| shown(&root));
        assert_eq!(read("<a>&lt;&gt;&amp;&apos;&quot;</a>"), read("<a>&#60;&#62;&#38;&#39;&#34;</a>"));
        assert!(read("<a>&gt;</a>").is_ok());
        // What XML has no character for (found by fuzzing: it was read, and written as another one).
        for text in ["\0", "\u{1}", "\u{1f}", "\u{ffff}", "&#1;", "&#xfffe;"] {
            assert!(read(&format!("<a>{text}</a>")).is_err(), "{}", text.escape_default());
        }
    }

    #[test]
    fn what_is_not_well_formed_or_too_much_is_refused() {
        let deep = "<a>".repeat(DEPTH + 1) + &"</a>".repeat(DEPTH + 1);
        let wide = format!("<a>{}</a>", "<b/>".repeat(ELEMENTS));
        let long = format!("<a xmlns='{}'>{}</a>", "n".repeat(NAMESPACES / 8), "<b/>".repeat(8));
        let table = [
            "",
            "x",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "<p:a/>",
            "<a><p:b xmlns:p=''/></a>",
            "<x:a xmlns:x='&#0;'/>",
            "<x:a xmlns:x='&none;'/>",
            "<!DOCTYPE a [<!ENTITY x 'y'>]><a>&x;</a>",
            "<a>&x;</a>",
            "<a>&#0;</a>",
            "<a>& b</a>",
            "<a b=c/>",
            "<a!/>",
            "<p:a'b xmlns:p='urn:x'/>",
            "<p: xmlns:p='urn:x'/>",
            &deep,
            &wide,
            &long,
        ];
        for text in table {
            assert!(parse(text.as_bytes()).is_err(), "{text:.60}");
        }
        assert!(parse(b"<a>\xff</a>").is_err());
        // As much as there may be.
        let wide = format!("<a>{}</a>", "<b/>".repeat(ELEMENTS - 1));
        let long = format!("<a xmlns='{}'>{}</a>", "n".repeat(NAMESPACES / 8), "<b/>".repeat(7));
        assert!(parse(wide.as_bytes()).is_ok() && parse(long.as_bytes()).is_ok());
        for aside in ["<?a?>", "<!---->", "<![CDATA[]]>"] {
            let many = |n: usize| format!("<a>{}</a>", aside.repeat(n));
            assert!(parse(many(MAX_NON_ELEMENTS).as_bytes()).is_ok(), "{aside}");
            assert!(parse(many(MAX_NON_ELEMENTS + 1).as_bytes()).is_err(), "{aside}");
        }
    }

    /// Which of the characters beyond ASCII a name may have is not asked.
    #[test]
    fn a_name_has_no_other_signs_of_ascii_than_three() {
        for name in ["a-b_c.d", "a\u{b7}b", "\u{e9}\u{2028}"] {
            let root = parse(format!("<{name}/>").as_bytes()).expect(name);
            assert_eq!(&*root.name.name, name);
        }
        for name in ["a!", "a\x7fb", "a*"] {
            assert!(parse(format!("<{name}/>").as_bytes()).is_err(), "{}", name.escape_default());
        }
    }

    #[test]
    fn a_document_cut_anywhere_is_refused() {
        let whole = "<D:propfind xmlns:D='DAV:'><D:prop><D:x>a&amp;b</D:x></D:prop></D:propfind>";
        for at in 0..whole.len() {
            assert!(parse(&whole.as_bytes()[..at]).is_err(), "cut at {at}");
        }
    }
}
