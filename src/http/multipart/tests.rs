//! Tests of the multipart parser: tables re-run at every split point.

use super::*;

/// One part as a caller would collect it.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
struct Part {
    head: PartHead,
    data: String,
    ended: bool,
}

/// Parses `text` in pieces that end at `cuts` and at its end.
fn feed(boundary: &str, text: &[u8], cuts: impl IntoIterator<Item = usize>) -> Result<(Vec<Part>, bool), u16> {
    let mut parser = Multipart::new(boundary.as_bytes()).map_err(|r| r.status().0)?;
    let (mut parts, mut at, mut ends): (Vec<Part>, usize, usize) = (Vec::new(), 0, 0);
    for cut in cuts.into_iter().chain([text.len()]) {
        loop {
            let input = &text[at..cut];
            let (used, event) = parser.next(input).map_err(|r| r.status().0)?;
            assert!(used <= input.len());
            at += used;
            let last = parts.last_mut().filter(|part| !part.ended);
            match (event, last) {
                (Event::More, _) => {
                    assert_eq!(at, cut, "More means that the input is used up");
                    break;
                }
                (Event::Part(head), None) => parts.push(Part { head, ..Part::default() }),
                (Event::Data(range), Some(part)) => {
                    assert!(!range.is_empty() && range.end <= used);
                    part.data.push_str(&String::from_utf8_lossy(&input[range]));
                }
                (Event::Held(bytes), Some(part)) => {
                    assert!(!bytes.is_empty());
                    part.data.push_str(&String::from_utf8_lossy(bytes));
                }
                (Event::PartEnd, Some(part)) => part.ended = true,
                (Event::End, None) => ends += 1,
                (event, last) => panic!("{event:?} where the part is {last:?}"),
            }
        }
    }
    assert_eq!(ends, usize::from(parser.finished()), "End comes once");
    Ok((parts, parser.finished()))
}

fn run(boundary: &str, text: &[u8]) -> Result<(Vec<Part>, bool), u16> {
    let whole = feed(boundary, text, []);
    for cut in 0..text.len() {
        assert_eq!(feed(boundary, text, [cut]), whole, "cut at {cut}: {}", text.escape_ascii());
    }
    assert_eq!(feed(boundary, text, 0..text.len()), whole, "bytewise: {}", text.escape_ascii());
    whole
}

fn data_of(text: &str) -> Result<(Vec<String>, bool), u16> {
    let text = text.replace("CD", "Content-Disposition: form-data; name=\"f\"");
    let (parts, finished) = run("B", text.as_bytes())?;
    assert!(parts.iter().take(parts.len().saturating_sub(1)).all(|p| p.ended));
    Ok((parts.into_iter().map(|p| p.data).collect(), finished))
}

#[test]
fn parts_are_taken_apart_whatever_their_data_looks_like() {
    let table: [(&str, &[&str]); 21] = [
        ("--B\r\nCD\r\n\r\nabc\r\n--B--\r\n", &["abc"]),
        ("--B\r\nCD\r\n\r\nabc\r\n--B--", &["abc"]),
        ("\r\n--B\r\nCD\r\n\r\nabc\r\n--B--", &["abc"]),
        ("preamble\r\n--B\r\nCD\r\n\r\nabc\r\n--B--\r\nepilogue\r\n--B\r\n", &["abc"]),
        ("pre--B\r\nX\r\n--B\r\nCD\r\n\r\nabc\r\n--B--", &["abc"]),
        ("--\r\n--B\r\nCD\r\n\r\nabc\r\n--B--", &["abc"]),
        ("--B\r\nCD\r\n\r\n\r\n--B--", &[""]),
        ("--B\r\nCD\r\n\r\n--B--", &[""]),
        ("--B\r\nCD\r\n\r\n--A\r\n--B--", &["--A"]),
        ("--B\r\nCD\r\n\r\n--\r\n--B--", &["--"]),
        ("--B\r\n\r\nabc\r\n--B--", &["abc"]),
        ("--B\r\n\r\na\r\n--B\r\n\r\nb\r\n--B\r\n\r\n\r\n\r\n--B--", &["a", "b", "\r\n"]),
        ("--B \t \r\n\r\na\r\n--B  \r\n\r\nb\r\n--B--  \r\n", &["a", "b"]),
        ("--B\r\n\r\n\r\r\n--B--", &["\r"]),
        ("--B\r\n\r\na\r\r\r\n--B--", &["a\r\r"]),
        ("--B\r\n\r\n\r\n\r\n-\r\n--\r\n--C\r\n--B--", &["\r\n\r\n-\r\n--\r\n--C"]),
        ("--B\r\n\r\na\n--B\nb\r\n--B--", &["a\n--B\nb"]),
        ("--B\r\n\r\n--B\r\n\r\n--B--", &["", ""]),
        ("--B\r\n\r\nx--B--\r\n--B--", &["x--B--"]),
        ("--B\r\n\r\n\r\n-\r\n--B--\r\n--B--junk", &["\r\n-"]),
        ("--B--\r\n", &[]),
    ];
    for (text, parts) in table {
        let parts = parts.iter().map(|p| p.to_string()).collect();
        assert_eq!(data_of(text), Ok((parts, true)), "{text:?}");
    }
}

#[test]
fn a_body_that_is_cut_short_is_never_finished() {
    let text = "--B\r\nCD\r\n\r\nabc\r\n--B--";
    for end in 0..text.len() - 1 {
        assert!(!data_of(&text[..end]).expect("nothing malformed yet").1, "{:?}", &text[..end]);
    }
}

#[test]
fn malformed_bodies_are_refused() {
    let table = [
        ("--BX\r\n\r\na", 400),
        ("--B\n\r\na", 400),
        ("--B\rX", 400),
        ("--B-\r\n", 400),
        ("--B-X", 400),
        ("--B \tX\r\n", 400),
        ("--B\r\n\r\na\r\n--BX", 400),
        ("--B\r\nCD\nX: y\r\n\r\na", 400),
        ("--B\r\nCD\r\n\na", 400),
        ("--B\r\nno colon\r\n\r\na", 400),
        ("--B\r\nX : y\r\n\r\na", 400),
        ("--B\r\nCD\r\n folded\r\n\r\na", 400),
        ("--B\r\nX: \0\r\n\r\na", 400),
        ("--B\r\nCD\r\nCD\r\n\r\na", 400),
        ("--B\r\nContent-Disposition: attachment; name=f\r\n\r\na", 400),
        ("--B\r\nContent-Disposition: form-data; name=\"f\r\n\r\na", 400),
        ("--B\r\nCD; name=x\r\n\r\na", 400),
        ("--B\r\nContent-Type: a/b\r\nContent-Type: a/b\r\n\r\na", 400),
        ("--B\r\nCD\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==", 400),
    ];
    for (text, status) in table {
        assert_eq!(data_of(text), Err(status), "{text:?}");
    }
    for bytes in [HEADERS + 1, HEADERS * 3] {
        let text = format!("--B\r\nX: {}", "y".repeat(bytes));
        assert_eq!(feed("B", text.as_bytes(), []), Err(431));
        assert_eq!(feed("B", text.as_bytes(), 0..text.len()), Err(431));
    }
}

#[test]
fn a_part_head_names_the_field_the_file_and_the_type() {
    let text = "--B\r\ncontent-disposition: form-data; name=\"a%22b\"; filename=\"C:\\x.txt\"\r\nCONTENT-TYPE: text/plain\r\n\
                Content-Transfer-Encoding: 8bit\r\nX-Y: z\r\nContent-Digest: a=1\r\nrepr-digest: b=2\r\n\r\n\r\n--B--";
    let (parts, _) = run("B", text.as_bytes()).expect("sound");
    let head = PartHead {
        name: Some(b"a\"b".into()),
        filename: Some(b"C:\\x.txt".into()),
        content_type: Some(b"text/plain".into()),
        digests: vec![b"a=1".into(), b"b=2".into()],
    };
    assert_eq!(parts, [Part { head, data: String::new(), ended: true }]);
}

#[test]
fn the_boundary_is_found_in_the_content_type() {
    let seventy = "b".repeat(70);
    let table = [
        ("multipart/form-data; boundary=abc".into(), Some("abc")),
        ("Multipart/Form-Data;BOUNDARY=\"a b:c\"".into(), Some("a b:c")),
        ("multipart/form-data; charset=utf-8; boundary=----x'()+_,-./:=?".into(), None),
        (
            "multipart/form-data; boundary=----WebKitFormBoundary7MA4YWxkTrZu0gW".into(),
            Some("----WebKitFormBoundary7MA4YWxkTrZu0gW"),
        ),
        ("multipart/form-data; boundary=a/b=c ; x=y".into(), Some("a/b=c")),
        (format!("multipart/form-data; boundary={seventy}"), Some(seventy.as_str())),
        (format!("multipart/form-data; boundary={seventy}b"), None),
        ("multipart/form-data".into(), None),
        ("multipart/form-data; boundary=".into(), None),
        ("multipart/form-data; boundary=\"\"".into(), None),
        ("multipart/form-data; boundary=\"a \"".into(), None),
        ("multipart/form-data; boundary=\"a\u{e9}\"".into(), None),
        ("multipart/form-data; boundary=a; boundary=a".into(), None),
        ("multipart/form-data; boundary=a b".into(), None),
        ("multipart/form-datax; boundary=a".into(), None),
        ("multipart/mixed; boundary=a".into(), None),
        ("text/plain; boundary=a".into(), None),
        ("".into(), None),
    ];
    for (value, boundary) in table {
        let value: String = value;
        assert_eq!(boundary_of(value.as_bytes()).as_deref(), boundary.map(str::as_bytes), "{value}");
    }
    for bad in ["", " ", "a\r\nb", &"b".repeat(71)] {
        assert!(Multipart::new(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn a_long_boundary_split_anywhere_is_still_found() {
    let boundary = "----=_Part_--".repeat(5);
    let data = format!("\r\n--{}", &boundary[..60]).repeat(3);
    let text = format!("--{boundary}\r\n\r\n{data}\r\n--{boundary}--");
    let (parts, finished) = run(&boundary, text.as_bytes()).expect("sound");
    assert!(finished);
    assert_eq!(parts[0].data, data);
}
