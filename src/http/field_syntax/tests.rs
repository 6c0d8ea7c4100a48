//! Tables for classes of bytes and lists. Nothing here reads a whole head.

use super::*;

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
    let table: [(&str, &[&str]); 8] = [
        ("a, b", &["a", "b"]),
        ("a", &["a"]),
        ("", &[""]),
        (",a,,", &["", "a", "", ""]),
        ("\"a,b\" ,\tc", &["\"a,b\"", "c"]),
        ("\"a\\\",b\",c", &["\"a\\\",b\"", "c"]),
        ("\"open, c", &["\"open, c"]),
        ("\\, a", &["\\", "a"]),
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

#[test]
fn a_weight_has_up_to_three_digits_and_is_at_most_1() {
    let table = [
        ("a", Some(1000)),
        ("a;b=c", Some(1000)),
        ("a ; q=0", Some(0)),
        ("a;Q=0.5", Some(500)),
        ("a;b=c;q=0.25", Some(250)),
        ("a;q=0.501", Some(501)),
        ("a;q=1.", Some(1000)),
        ("a;q=1.000", Some(1000)),
        ("a;q=1.001", None),
        ("a;q=0.1234", None),
        ("a;q=2", None),
        ("a;q=0.5x", None),
        ("a;q=", None),
    ];
    for (member, expected) in table {
        assert_eq!(weighted(member.as_bytes()), (&b"a"[..], expected), "{member}");
    }
    assert_eq!([weight(b"q=0.3"), weight(b"b=0.3"), weight(b"")], [Some(300), None, None]);
}
