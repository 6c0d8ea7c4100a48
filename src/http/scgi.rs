//! Request heads of SCGI and uwsgi, sans-IO: both are a list of parameters before the body's bytes, and both are
//! answered as a CGI script answers ([`super::cgi`]).

/// The most that the list of a uwsgi request may hold: its length has two bytes.
pub const UWSGI_MOST: usize = 65_535;

/// A parameter of an SCGI request. Its bytes end with NUL, so there can be none in them: what stands behind one is cut
/// off.
pub fn pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for text in [name, value] {
        out.extend_from_slice(memchr::memchr(0, text).map_or(text, |end| &text[..end]));
        out.push(0);
    }
}

/// The head of an SCGI request: the length of the body is its first parameter, `pairs` those that [`pair`] wrote.
pub fn head(out: &mut Vec<u8>, content_length: u64, pairs: &[u8]) {
    let mut first = Vec::new();
    pair(&mut first, b"CONTENT_LENGTH", content_length.to_string().as_bytes());
    out.extend_from_slice((first.len() + pairs.len()).to_string().as_bytes());
    out.push(b':');
    out.extend_from_slice(&first);
    out.extend_from_slice(pairs);
    out.push(b',');
}

/// The pairs of a [`head`], `NAME: VALUE` each.
pub fn written_pairs(head: &[u8]) -> Vec<Vec<u8>> {
    let from = memchr::memchr(b':', head).map_or(0, |colon| colon + 1);
    let words: Vec<&[u8]> = head.get(from..).unwrap_or_default().split(|byte| *byte == 0).collect();
    words.chunks_exact(2).map(|pair| [pair[0], b": ", pair[1]].concat()).collect()
}

/// A parameter of a uwsgi request. False: its name or value is longer than two bytes can tell.
#[must_use]
pub fn uwsgi_pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) -> bool {
    let (Ok(name_length), Ok(value_length)) = (u16::try_from(name.len()), u16::try_from(value.len())) else {
        return false;
    };
    out.extend_from_slice(&name_length.to_le_bytes());
    out.extend_from_slice(name);
    out.extend_from_slice(&value_length.to_le_bytes());
    out.extend_from_slice(value);
    true
}

/// The head of a uwsgi request. False: `pairs`, which [`uwsgi_pair`] wrote, are more than [`UWSGI_MOST`].
#[must_use]
pub fn uwsgi_head(out: &mut Vec<u8>, modifiers: (u8, u8), pairs: &[u8]) -> bool {
    let Ok(length) = u16::try_from(pairs.len()) else { return false };
    let [low, high] = length.to_le_bytes();
    out.extend_from_slice(&[modifiers.0, low, high, modifiers.1]);
    out.extend_from_slice(pairs);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_scgi_head_is_a_netstring() {
        let (mut pairs, mut out) = (Vec::new(), Vec::new());
        pair(&mut pairs, b"SCGI", b"1");
        pair(&mut pairs, b"X", b"a\0Y\0evil");
        head(&mut out, 27, &pairs);
        assert_eq!(out, b"29:CONTENT_LENGTH\x0027\0SCGI\x001\0X\0a\0,");
    }

    #[test]
    fn a_uwsgi_head_tells_its_lengths() {
        let (mut pairs, mut out) = (Vec::new(), Vec::new());
        assert!(uwsgi_pair(&mut pairs, b"AB", b"cde"));
        assert!(!uwsgi_pair(&mut pairs, b"AB", &vec![b'x'; 70_000]));
        assert!(uwsgi_head(&mut out, (5, 7), &pairs));
        assert_eq!(out, b"\x05\x09\0\x07\x02\0AB\x03\0cde");
        assert!(!uwsgi_head(&mut out, (0, 0), &vec![0; UWSGI_MOST + 1]));
    }
}
