//! Which bytes of the input are a head that may be cached: found without parsing it.

use crate::http::h1::head::EndFinder;

/// Maximum size of a head that may be cached: longer ones usually contain cookies, which differ between clients.
const HEAD: usize = 1024;

/// Finds the heads of requests that may be cached.
#[derive(Default)]
pub struct HeadFinder(EndFinder);

impl HeadFinder {
    /// The length of the head at the start of `input`, if it is complete and short enough to be cached.
    pub fn find(&self, input: &[u8]) -> Option<usize> {
        // Only GET and HEAD are cached, perhaps after an empty line; uploads need not be searched.
        if !matches!(input.first(), Some(b'G' | b'H' | b'\r')) {
            return None;
        }
        self.0.find(input.get(..HEAD.min(input.len()))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_head_that_may_be_cached() {
        let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(HEAD - 23));
        assert_eq!(long.len(), HEAD);
        let longer = long.replacen("X:", "XX:", 1);
        let table: [(&str, &[u8], Option<usize>); 9] = [
            ("nothing", b"", None),
            ("a head", b"GET / HTTP/1.1\r\n\r\n", Some(18)),
            ("one that has not come whole", b"GET / HTTP/1.1\r\n\r", None),
            ("what follows it", b"GET / HTTP/1.1\r\n\r\nGET", Some(18)),
            ("another behind it", b"HEAD\r\n\r\nb\r\n\r\n", Some(8)),
            ("what is never cached", b"PUT / HTTP/1.1\r\n\r\n", None),
            ("bare LF", b"GET / HTTP/1.1\n\n", None),
            ("as long as may be", long.as_bytes(), Some(HEAD)),
            ("longer", longer.as_bytes(), None),
        ];
        let finder = HeadFinder::default();
        for (name, input, expected) in table {
            assert_eq!(finder.find(input), expected, "{name}");
        }
    }
}
