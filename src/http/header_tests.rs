//! Tables for names, byte classes and lists of header fields. Nothing here reads a whole head.

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

#[test]
fn a_token_ends_where_its_first_other_byte_stands() {
    for len in 1..20 {
        for at in 0..len {
            for byte in 0..=255u8 {
                let mut name = vec![b'n'; len];
                name[at] = byte;
                let expected = if is_token_byte(byte) { len } else { at };
                assert_eq!(token_len(&name), expected, "{byte} at {at} of {len}");
            }
        }
    }
    assert_eq!((token_len(b"Content-Length: 1"), token_len(b"a-B-c-Z-"), token_len(b"")), (14, 8, 0));
    for byte in 0..=255u8 {
        let plain = byte == b'-' || byte.is_ascii_alphabetic();
        assert_eq!(unusual_in_name(u64::from_le_bytes([byte; 8])) == 0, plain, "{byte}");
    }
}

#[test]
fn a_value_is_judged_alike_wherever_in_it_a_byte_stands() {
    for len in 1..40 {
        for at in 0..len {
            for byte in 0..=255u8 {
                let mut value = vec![b'v'; len];
                value[at] = byte;
                assert_eq!(is_field_value(&value), is_field_byte(byte), "{byte} at {at} of {len}");
                let text = if is_field_byte(byte) && byte != b'\t' { len } else { at };
                assert_eq!(text_len(&value), text, "{byte} at {at} of {len}");
            }
        }
    }
    assert!(!is_field_value(b"\t\t\t\t\t\t\t\t\x01") && is_field_value(b"") && is_field_value(b"\t\t\t\t\t\t\t\t\t"));
}

#[test]
fn a_list_is_split_at_commas_outside_quotes() {
    let table: [(&str, &[&str]); 7] = [
        ("a, b", &["a", "b"]),
        ("a", &["a"]),
        ("", &[""]),
        (",a,,", &["", "a", "", ""]),
        ("\"a,b\" ,\tc", &["\"a,b\"", "c"]),
        ("\"a\\\",b\",c", &["\"a\\\",b\"", "c"]),
        ("\"open, c", &["\"open, c"]),
    ];
    for (value, members) in table {
        let got: Vec<&[u8]> = list(value.as_bytes()).collect();
        assert_eq!(got, members.iter().map(|m| m.as_bytes()).collect::<Vec<_>>(), "{value}");
    }
}

#[test]
fn only_blanks_are_trimmed_and_only_text_is_a_value() {
    assert_eq!(trim_ows(b" \t a b\t "), b"a b");
    assert_eq!(trim_ows(b" \t "), b"");
    assert!(is_field_value(b"a\tb \xff"));
    for bad in [0u8, b'\r', b'\n', 0x0b, 0x1f, 0x7f] {
        assert!(!is_field_value(&[b'a', bad]), "{bad}");
    }
    assert!(is_token(b"x!#$-~") && !is_token(b"") && !is_token(b"a b") && !is_token(b"a(") && !is_token(b"\xe4"));
}
