//! Tables for the names of header fields. Nothing here reads a whole head.

use super::*;

#[test]
fn a_field_name_is_known_in_any_case_and_nothing_else_is() {
    let table = [
        ("Host", HeaderId::Host),
        ("hOST", HeaderId::Host),
        ("content-length", HeaderId::ContentLength),
        ("Content_Length", HeaderId::Other),
        ("TRANSFER-ENCODING", HeaderId::TransferEncoding),
        ("If-Unmodified-Since", HeaderId::IfUnmodifiedSince),
        ("X-Anything", HeaderId::Other),
        ("Hos", HeaderId::Other),
        ("", HeaderId::Other),
        ("Te", HeaderId::Te),
        ("VIA", HeaderId::Via),
        ("Hos\r", HeaderId::Other),
        ("x\rpad", HeaderId::Other),
        ("upload@length", HeaderId::Other),
        ("If-Unmodified\u{d}Since", HeaderId::Other),
        ("X-Accel-Xedirect", HeaderId::Other),
        ("Upload-Deeer-Length", HeaderId::Other),
        ("\u{c9}tag", HeaderId::Other),
    ];
    for (name, id) in table {
        assert_eq!(HeaderId::of(name.as_bytes()), id, "{name}");
    }
}

#[test]
fn a_byte_in_lower_case_is_what_the_library_makes_of_it() {
    for byte in 0..=255u8 {
        let word = u64::from_le_bytes([byte; 8]);
        assert_eq!(lower(word).to_le_bytes(), [byte.to_ascii_lowercase(); 8], "{byte}");
    }
    assert_eq!(lower(u64::from_le_bytes(*b"A[Z`@aZ\xc1")).to_le_bytes(), *b"a[z`@az\xc1");
}
