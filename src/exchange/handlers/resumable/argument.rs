//! The argument of a URI that names an upload.

/// Its name.
pub const ARGUMENT: &str = "webserv-upload";

/// The id that the arguments of a request name.
pub fn argument(args: &[u8]) -> Option<&[u8]> {
    let pair = |pair: &'_ [u8]| pair.strip_prefix(ARGUMENT.as_bytes())?.strip_prefix(b"=").map(<[u8]>::len);
    let len = args.split(|b| *b == b'&').find_map(|text| pair(text).map(|len| (text, len)));
    len.map(|(text, len)| &text[text.len() - len..])
}
