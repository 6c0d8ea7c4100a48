//! Tables of words and the values nginx parses from them.

use super::*;

#[test]
fn sizes() {
    for (text, memory, offset) in [
        ("0", Some(0), Some(0)),
        ("8192", Some(8192), Some(8192)),
        ("8k", Some(8192), Some(8192)),
        ("8K", Some(8192), Some(8192)),
        ("1m", Some(1 << 20), Some(1 << 20)),
        ("2G", None, Some(2 << 30)),
        ("007", Some(7), Some(7)),
        ("9223372036854775807", Some(i64::MAX as u64), Some(i64::MAX as u64)),
        ("9223372036854775808", None, None),
        ("9007199254740991k", Some(9007199254740991 << 10), Some(9007199254740991 << 10)),
        ("9007199254740992k", None, None),
        ("8589934592g", None, None),
        ("99999999999999999999999", None, None),
        ("", None, None),
        ("k", None, None),
        ("-1", None, None),
        ("+1", None, None),
        ("1 k", None, None),
        ("1kb", None, None),
        ("1.5m", None, None),
    ] {
        assert_eq!(Size::parse(text.as_bytes()).ok(), memory.map(Size), "{text}");
        assert_eq!(Size::parse_offset(text.as_bytes()).ok(), offset.map(Size), "{text}");
    }
}

#[test]
fn times() {
    let s = 1000;
    for (text, millis, seconds) in [
        ("0", Some(0), Some(0)),
        ("30", Some(30 * s), Some(30 * s)),
        ("30s", Some(30 * s), Some(30 * s)),
        ("500ms", Some(500), None),
        ("1s500ms", Some(1500), None),
        ("1h30m", Some(5400 * s), Some(5400 * s)),
        ("1h 30m", Some(5400 * s), Some(5400 * s)),
        ("1h  30", Some(3630 * s), Some(3630 * s)),
        ("1w2d", Some(9 * 86400 * s), Some(9 * 86400 * s)),
        ("1M", None, Some(30 * 86400 * s)),
        ("1y", None, Some(365 * 86400 * s)),
        ("1y1M", None, Some(395 * 86400 * s)),
        ("30 1h", None, None),
        ("30m1h", None, None),
        ("1h1h", None, None),
        ("5 m", None, None),
        ("1d ", Some(86400 * s), Some(86400 * s)),
        ("30 ", Some(30 * s), Some(30 * s)),
        ("30s ", Some(30 * s), Some(30 * s)),
        ("", None, None),
        ("s", None, None),
        ("-1", None, None),
        ("1x", None, None),
        ("9223372036854775", Some(9223372036854775000), Some(9223372036854775000)),
        ("9223372036854776", None, Some(9223372036854776000)),
        ("9223372036854775807ms", Some(i64::MAX as u64), None),
        ("99999999999999999999", None, None),
    ] {
        assert_eq!(Millis::parse(text.as_bytes()).ok(), millis.map(Millis), "{text}");
        assert_eq!(Millis::parse_seconds(text.as_bytes()).ok(), seconds.map(Millis), "{text}");
    }
}

#[test]
fn flags_numbers_and_choices() {
    assert_eq!((flag(b"on", "gzip"), flag(b"OFF", "gzip")), (Ok(true), Ok(false)));
    let error = flag(b"yes", "gzip").expect_err("nginx takes on and off only");
    assert_eq!(error.message, "invalid value \"yes\" in \"gzip\" directive, it must be \"on\" or \"off\"");
    assert_eq!(error.help.as_deref(), Some("write `on`"));
    assert_eq!(number(b"20", 100), Ok(20));
    assert_eq!(number(b"101", 100).map_err(|error| error.message), Err("invalid number".to_string()));
    assert!(number(b"", 9).is_err() && number(b"1a", 9).is_err());
    let choices = [("html", 1), ("json", 2)];
    assert_eq!(choice(b"JSON", &choices), Ok(2));
    let help = |text: &[u8]| choice(text, &choices).expect_err("no such choice").help.expect("there is help");
    assert_eq!((help(b"jsom"), help(b"pdf")), ("did you mean `json`?".into(), "one of `html`, `json`".into()));
    let error = Size::parse(b"x").expect_err("no digits").in_directive("client_body_buffer_size");
    assert_eq!(error.message, "\"client_body_buffer_size\" directive invalid value");
}

#[test]
fn access_modes() {
    for (words, mode, directory) in [
        (&["user:rw"][..], 0o600, 0o700),
        (&["user:rw", "group:rw", "all:r"], 0o664, 0o775),
        (&["group:r"], 0o640, 0o750),
        (&["user:r"], 0o400, 0o500),
        (&["all:rw"], 0o606, 0o707),
    ] {
        let parsed = Mode::parse(words.iter().map(|word| word.as_bytes()));
        assert_eq!(parsed.map(|mode| (mode.0, mode.directory().0)), Ok((mode, directory)), "{words:?}");
    }
    for words in [["user:rw", "other:r"], ["user:r", "group:w"], ["all:r", "x"]] {
        assert_eq!(Mode::parse(words.iter().map(|word| word.as_bytes())).map_err(|(n, _)| n), Err(1), "{words:?}");
    }
}
