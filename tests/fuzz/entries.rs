//! What the fuzz targets check, one function a target: properties that hold for every input, not expected outputs.
//!
//! Shared by the libFuzzer targets beside it and by `tests/replay.rs`, which runs the corpora in plain `cargo test`. A
//! new target is a function here, a row in `TARGETS`, a file in `targets/` and a `[[bin]]`.

mod h2;
mod texts;
mod upstream;
mod values;

pub use h2::{frames, hpack};
use std::fmt::Write;
use std::path::Path;
pub use texts::{layout, pattern, ssi};
pub use upstream::{cgi, proxy_protocol, response};
pub use values::{dav, fields};
use webserv::config::ast::Directive;
use webserv::config::build::Form;
use webserv::config::error::Severity;
use webserv::config::load::{Includes, LoadOptions, load_text};
use webserv::config::resolve::resolve;
use webserv::http::body_length::BodyLength;
use webserv::http::body_reader::BodyReader;
use webserv::http::fastcgi;
use webserv::http::h1::head::{HeadParser, HeadProgress};
use webserv::http::header::UnusualNames;
use webserv::http::multipart::{Event, Multipart};
use webserv::http::range::{self, Ranges};
use webserv::http::request_head::HeadLimits;
use webserv::http::{escape, host, uri};
use webserv::util::dns as messages;

/// A target's body: panics where a property does not hold.
pub type Entry = fn(&[u8]);

/// Each target's name, which is its corpus directory too, and its entry.
pub const TARGETS: &[(&str, Entry)] = &[
    ("head", head),
    ("chunked", chunked),
    ("multipart", multipart),
    ("uri", uri),
    ("range", range),
    ("config", config),
    ("fastcgi", fastcgi),
    ("cgi", cgi),
    ("dns", dns),
    ("tls", tls),
    ("certificate", certificate),
    ("frames", frames),
    ("hpack", hpack),
    ("response", response),
    ("proxy_protocol", proxy_protocol),
    ("fields", fields),
    ("dav", dav),
    ("ssi", ssi),
    ("layout", layout),
    ("pattern", pattern),
];

/// Two ways to cut `data`: a place that depends on the bytes, and everywhere.
fn splits(data: &[u8]) -> [Vec<usize>; 2] {
    let sum = data.iter().fold(7usize, |sum, b| sum.wrapping_mul(31).wrapping_add(usize::from(*b)));
    [vec![sum % (data.len() + 1), data.len()], (0..=data.len()).collect()]
}

/// A request head: the verdict does not depend on the reads, spans lie inside, and what is accepted is unambiguous.
pub fn head(data: &[u8]) {
    let limits =
        HeadLimits { line: 256, total: 1024, fields: 16, unusual: UnusualNames { underscores: true, all: false } };
    let run = |cuts: &[usize]| {
        let mut parser = HeadParser::default();
        let mut result = Ok(HeadProgress::Partial);
        for &cut in cuts {
            result = parser.parse(&data[..cut], &limits);
            if result != Ok(HeadProgress::Partial) {
                break;
            }
        }
        (parser.head, result)
    };
    let (head, result) = run(&[data.len()]);
    for cuts in splits(data) {
        let (other, verdict) = run(&cuts);
        assert_eq!(verdict, result);
        if result == Ok(HeadProgress::Complete) {
            assert_eq!((other.len, other.fields, other.body_length), (head.len, head.fields.clone(), head.body_length));
        }
    }
    match result {
        Err(reject) => assert!((400..600).contains(&reject.status().0)),
        Ok(HeadProgress::Partial) => assert!(data.len() < limits.total),
        Ok(HeadProgress::Complete) => {
            assert!(head.len <= data.len() && head.len <= limits.total && head.fields.len() <= limits.fields);
            for field in &head.fields {
                assert!(!field.name.is_empty() && field.value.end() <= head.len);
                assert!(!field.value.of(data).iter().any(|b| matches!(b, b'\r' | b'\n' | 0)));
            }
            assert!(head.target.of(data).iter().all(|b| *b > b' '));
            let host = head.host.of(data);
            assert!(host.is_empty() || host::is_valid(host) && !host::split(host).0.contains(&b'/'));
        }
    }
}

/// A chunked body: same bytes, same end, same refusal however it is read.
pub fn chunked(data: &[u8]) {
    let run = |cuts: &[usize]| {
        let (mut decoder, mut body, mut at) = (BodyReader::new(BodyLength::Unknown), Vec::new(), 0);
        for &cut in cuts {
            while at < cut {
                let step = match decoder.next(&data[at..cut]) {
                    Ok(step) => step,
                    Err(reject) => return (body, at, Err(reject)),
                };
                body.extend_from_slice(&data[at..cut][step.data]);
                at += step.consumed;
                if step.done {
                    return (body, at, Ok(true));
                }
                assert!(step.consumed > 0);
            }
        }
        (body, at, Ok(decoder.is_done()))
    };
    let whole = run(&[data.len()]);
    for cuts in splits(data) {
        let split = run(&cuts);
        assert_eq!(split.2, whole.2);
        if whole.2.is_ok() {
            assert_eq!(split, whole);
        }
    }
    assert!(whole.0.len() <= data.len());
}

/// A line with the boundary, then the body: same parts, same end, same refusal however it is read.
pub fn multipart(data: &[u8]) {
    let Some(end) = data.iter().position(|b| *b == b'\n') else { return };
    let (boundary, body) = (&data[..end], &data[end + 1..]);
    let run = |cuts: &[usize]| {
        let mut parser = Multipart::new(boundary)?;
        let (mut log, mut at, mut data) = (String::new(), 0, Vec::new());
        for &cut in cuts {
            loop {
                let input = &body[at..cut];
                let (used, event) = parser.next(input)?;
                at += used;
                match event {
                    Event::More => {
                        assert_eq!(at, cut);
                        break;
                    }
                    Event::Data(range) => data.extend_from_slice(&input[range]),
                    Event::Held(bytes) => data.extend_from_slice(bytes),
                    event => {
                        let _ = write!(log, "{}{event:?}", data.escape_ascii());
                        data.clear();
                    }
                }
            }
        }
        Ok::<_, webserv::http::reject::Reject>((log, data, parser.finished()))
    };
    let whole = run(&[body.len()]);
    for cuts in splits(body) {
        assert_eq!(run(&cuts), whole);
    }
}

/// A path and query: what is normal is rooted, free of dot segments and of NUL, CR and LF, and its own normal form.
pub fn uri(data: &[u8]) {
    for slashes in [uri::Slashes::Merge, uri::Slashes::Keep] {
        let mut path = Vec::new();
        let Ok(normal) = uri::normalize(data, slashes, &mut path) else { continue };
        assert_eq!(path.first(), Some(&b'/'));
        assert!(path.split(|b| *b == b'/').all(|segment| segment != b"." && segment != b".."));
        assert!(!path.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')));
        assert!(slashes == uri::Slashes::Keep || !path.windows(2).any(|pair| pair == b"//"));
        assert!(normal.query.is_none_or(|query| query.end() == data.len()));
        let (mut escaped, mut again) = (Vec::new(), Vec::new());
        escape::escape_path(&path, &mut escaped);
        assert!(escaped.iter().all(u8::is_ascii_graphic) && !escaped.starts_with(b"//"));
        assert!(uri::normalize(&escaped, slashes, &mut again).is_ok());
        assert_eq!(path, again);
    }
}

/// A line with the size, then a Range value: every range lies inside, and together they are no more than the whole.
pub fn range(data: &[u8]) {
    let Some(end) = data.iter().position(|b| *b == b'\n') else { return };
    let Some(size) = std::str::from_utf8(&data[..end]).ok().and_then(|size| size.parse().ok()) else { return };
    for max in [None, Some(0), Some(1), Some(5)] {
        let ranges = match range::parse(&data[end + 1..], size, max) {
            Ranges::None | Ranges::Unsatisfiable => continue,
            Ranges::One(range) => vec![range],
            Ranges::Many(ranges) => {
                assert!(ranges.len() > 1);
                ranges
            }
        };
        assert!(ranges.len() <= max.unwrap_or(1000));
        assert!(ranges.iter().all(|range| range.start < range.end && range.end <= size));
        assert!(ranges.iter().map(|range| u128::from(range.len())).sum::<u128>() <= u128::from(size));
    }
}

/// The records of an application: same bytes, same end, same refusal however they are read.
pub fn fastcgi(data: &[u8]) {
    let run = |cuts: &[usize]| {
        let (mut reader, mut streams, mut at) = (fastcgi::Reader::default(), [Vec::new(), Vec::new()], 0);
        let mut ends = Vec::new();
        for &cut in cuts {
            loop {
                let input = &data[at..cut];
                let step = match reader.next(input) {
                    Ok(step) => step,
                    Err(bad) => return (streams, ends, Some(bad)),
                };
                assert!(step.consumed <= input.len());
                at += step.consumed;
                match step.event {
                    fastcgi::Event::More => {
                        assert_eq!(at, cut);
                        break;
                    }
                    fastcgi::Event::Stdout(range) => streams[0].extend_from_slice(&input[range]),
                    fastcgi::Event::Stderr(range) => streams[1].extend_from_slice(&input[range]),
                    event => ends.push((streams[0].len(), event)),
                }
            }
        }
        (streams, ends, None)
    };
    let whole = run(&[data.len()]);
    for cuts in splits(data) {
        assert_eq!(run(&cuts), whole);
    }
}

/// A DNS message: it is read or refused in bounded time, and what it says is about names that can be asked for again.
pub fn dns(data: &[u8]) {
    let Ok(response) = messages::parse(data) else { return };
    let canonical = |name: &str| messages::canonical(name.as_bytes()).is_some_and(|same| *same == *name);
    assert!(canonical(&response.name));
    let Ok(answer) = response.answer() else { return };
    assert!(answer.alias.is_none_or(|alias| canonical(&alias) || alias.is_empty()));
    assert!(answer.addresses.len() + answer.services.len() <= data.len() / 12);
}

/// A configuration: it is served or refused with a message, and every message can be shown. Touches no file and asks no
/// name server.
pub fn config(data: &[u8]) {
    let options = LoadOptions { includes: Includes::Refuse, ..LoadOptions::default() };
    let mut loaded = load_text("fuzz.conf", data, &options);
    if !names_hosts(&loaded.directives) {
        let resolved = resolve(&mut loaded, Path::new("/nowhere"), Form::Webserv, Vec::new(), None);
        let refused = resolved.diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Emerg);
        assert_eq!(resolved.config.is_none(), refused, "a refusal has a reason");
        loaded.diagnostics = resolved.diagnostics;
    }
    let text = loaded.diagnostics.render(&loaded.sources, "webserv");
    assert_eq!(loaded.diagnostics.is_empty(), text.is_empty(), "every diagnostic is shown");
    assert!(!text.contains(|c: char| c.is_control() && c != '\n' && c != '\t'), "messages hold no control characters");
}

/// Whether an address may be a host's name, which would be looked up.
fn names_hosts(level: &[Directive]) -> bool {
    level.iter().any(|directive| {
        let addresses = ["listen", "proxy_pass", "server"].iter().any(|name| directive.name.is(name));
        let literal = |address: &[u8]| address.starts_with(b"unix:") || !address.iter().any(u8::is_ascii_alphabetic);
        addresses && directive.args.first().is_some_and(|word| !literal(word.bytes()))
            || directive.block.as_ref().is_some_and(|block| names_hosts(block))
    })
}

/// A client's side of a TLS connection: no bytes make it panic, and a hello does not depend on the reads.
pub fn tls(data: &[u8]) {
    webserv::tls::fuzzing::records(data);
}

/// A certificate, a revocation list, a key or PEM: from a file or from a peer.
pub fn certificate(data: &[u8]) {
    webserv::tls::fuzzing::certificate(data);
}
