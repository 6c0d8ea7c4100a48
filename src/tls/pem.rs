//! PEM: the sections of a text, with their headers (old encrypted keys have some). Text between sections is ignored,
//! as by OpenSSL.

use super::der;
use crate::http::escape;
use crate::util::byte_order_mark;

const LONGEST_LABEL: usize = 64;

/// A section between BEGIN and END.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// `CERTIFICATE`, `RSA PRIVATE KEY` …
    pub label: String,
    /// `Name: value` lines before the data.
    pub headers: Vec<(String, String)>,
    /// Decoded.
    pub der: Vec<u8>,
}

impl Section {
    /// The value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// All sections in order, or what is wrong with the first broken one.
pub fn parse(text: &[u8]) -> Result<Vec<Section>, String> {
    let mut sections = Vec::new();
    let mut lines = byte_order_mark::without(text).split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    while let Some(line) = lines.next() {
        let Some(label) = label(line, b"-----BEGIN ") else { continue };
        let mut section = Section { label, headers: Vec::new(), der: Vec::new() };
        let mut data = Vec::new();
        loop {
            let Some(line) = lines.next() else {
                return Err(format!("\"-----BEGIN {}-----\" has no end line", section.label));
            };
            if let Some(end) = self::label(line, b"-----END ") {
                if end != section.label {
                    return Err(format!("\"-----BEGIN {}-----\" ends with \"-----END {end}-----\"", section.label));
                }
                break;
            }
            match line.iter().position(|byte| *byte == b':') {
                Some(at) => {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes.trim_ascii()).into_owned();
                    section.headers.push((text(&line[..at]), text(&line[at + 1..])));
                }
                None => data.extend_from_slice(line),
            }
        }
        // Padding alone is valid base64 but decodes to nothing.
        if !escape::base64(&data, &mut section.der) || section.der.is_empty() {
            return Err(format!("the data of \"-----BEGIN {}-----\" is not base64", section.label));
        }
        sections.push(section);
    }
    Ok(sections)
}

fn label(line: &[u8], begin: &[u8]) -> Option<String> {
    let label = line.strip_prefix(begin)?.strip_suffix(b"-----")?;
    // A file with unrecognised line ends is one long line; no label is that long.
    (label.len() <= LONGEST_LABEL).then(|| String::from_utf8_lossy(label).into_owned())
}

/// What a text without any section appears to be, as the end of a sentence.
pub fn instead(text: &[u8]) -> &'static str {
    match text {
        [] => ": the file is empty",
        [der::SEQUENCE, ..] => {
            ": it looks like DER or PKCS#12, which `openssl x509`, `pkey` or `pkcs12` convert to PEM"
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => ": it is in UTF-16",
        _ if text.split(|byte| *byte == b'\n').any(is_whole_section) => {
            ": its lines do not end in a newline (literal \\n, or CR alone)"
        }
        _ => "",
    }
}

/// A section on one line: it went through an environment variable or JSON, or has classic Mac line ends (CR).
fn is_whole_section(line: &[u8]) -> bool {
    let begin = memchr::memmem::find(line, b"-----BEGIN ");
    begin.is_some_and(|at| memchr::memmem::find(&line[at..], b"-----END ").is_some())
}

/// A section as text, 64 columns wide.
pub fn write(label: &str, der: &[u8]) -> String {
    let mut data = Vec::new();
    escape::to_base64(der, &mut data);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in data.chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str("-----END ");
    out.push_str(label);
    out.push_str("-----\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_read_with_what_stands_around_them() {
        let text = b"Bag Attributes\r\n-----BEGIN A-----\r\nYWJj\r\nZA==\r\n-----END A-----\r\nx\n\
            -----BEGIN B C-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nYWJj\n-----END B C-----";
        let sections = parse(text).expect("two sections");
        assert_eq!(sections.len(), 2);
        assert_eq!((sections[0].label.as_str(), &*sections[0].der), ("A", &b"abcd"[..]));
        assert_eq!(sections[1].header("DEK-Info"), Some("AES-128-CBC,00"));
        assert_eq!(parse(b"nothing"), Ok(Vec::new()));
        assert_eq!(parse(b"\xef\xbb\xbf-----BEGIN A-----\nYWJj\n-----END A-----").expect("a mark").len(), 1);
        let one_line = format!("-----BEGIN A-----\r{}\r-----END A-----", "YWJj".repeat(20));
        assert_eq!(parse(one_line.as_bytes()), Ok(Vec::new()));
    }

    #[test]
    fn a_text_in_one_line_is_named_for_it() {
        let whole = write("PRIVATE KEY", &[7; 90]);
        for end in ["\\n", "\\r\\n", "\r", " "] {
            for (before, behind) in [("", ""), ("\"", "\"\n"), ("# the key\nKEY=", "\n"), ("\u{feff}", "")] {
                let text = format!("{before}{}{behind}", whole.replace('\n', end));
                assert_eq!(parse(text.as_bytes()), Ok(Vec::new()), "{text}");
                assert!(instead(text.as_bytes()).contains("do not end in a newline"), "{text}");
            }
        }
        for text in ["nothing", "a\nb\n", "-----BEGIN A", "-----END A-----\n-----BEGIN B ----\n"] {
            assert_eq!(instead(text.as_bytes()), "", "{text}");
        }
    }

    #[test]
    fn broken_sections_say_what_is_wrong() {
        for (text, want) in [
            ("-----BEGIN A-----\nYWJj\n", "has no end line"),
            ("-----BEGIN A-----\nYWJj\n-----END B-----\n", "ends with"),
            ("-----BEGIN A-----\n!!!\n-----END A-----\n", "not base64"),
            ("-----BEGIN A-----\n-----END A-----\n", "not base64"),
            ("-----BEGIN A-----\n\n=\n-----END A-----\n", "not base64"),
            ("-----BEGIN A-----\n====\n-----END A-----\n", "not base64"),
        ] {
            let why = parse(text.as_bytes()).expect_err(text);
            assert!(why.contains(want), "{why}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let der: Vec<u8> = (0..=255).collect();
        let sections = parse(write("CERTIFICATE", &der).as_bytes()).expect("a section");
        assert_eq!(sections[0].der, der);
    }
}
