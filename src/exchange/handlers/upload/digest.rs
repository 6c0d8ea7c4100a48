//! Content-Digest and Repr-Digest (RFC 9530), in the head, in the trailers or in the head of a form's part: bytes
//! that do not match the sender's digest are not stored.
//!
//! Both cover the same bytes here: parts of files and encoded bodies are refused before. Insecure algorithms are
//! ignored (§5).

use super::refusal::Refusal;
use crate::config::settings::upload::VerifyDigest;
use crate::exchange::Exchange;
use crate::http::body_length::BodyLength;
use crate::http::escape::to_base64;
use crate::http::field_syntax::{list, trim_ows};
use crate::http::header::HeaderId;
use crate::http::status::Status;
use crate::http::structured::{Item, dictionary};
use sha2::{Digest as _, Sha256, Sha512};

/// The algorithms that are not insecure by the registry (RFC 9530 §7.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    const ALL: [Algorithm; 2] = [Algorithm::Sha256, Algorithm::Sha512];

    /// Its key in the dictionaries.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Sha256 => "sha-256",
            Algorithm::Sha512 => "sha-512",
        }
    }

    fn of(key: &[u8]) -> Option<Algorithm> {
        Algorithm::ALL.into_iter().find(|algorithm| algorithm.name().as_bytes() == key)
    }

    /// Bytes of a digest.
    fn size(self) -> usize {
        match self {
            Algorithm::Sha256 => 32,
            Algorithm::Sha512 => 64,
        }
    }
}

/// The client's digests of bytes, which may still have to arrive.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Promise {
    algorithm: Algorithm,
    digest: Vec<u8>,
}

/// The announced digests of some bytes, and the actual ones. Each algorithm runs once, however many digests need it.
#[derive(Default)]
pub struct Digests {
    promised: Vec<Promise>,
    // Boxed: few uploads have them, and the hashers take half a kilobyte.
    sha256: Option<Box<Sha256>>,
    sha512: Option<Box<Sha512>>,
}

impl Digests {
    /// One line of a digest field.
    ///
    /// # Errors
    /// 400 for a malformed one.
    pub fn promise(&mut self, line: &[u8]) -> Result<(), Refusal> {
        for promise in parse(line)? {
            self.hash(promise.algorithm);
            self.promised.push(promise);
        }
        Ok(())
    }

    /// Hashes the bytes with this algorithm too. Call it before the first of them.
    pub fn hash(&mut self, algorithm: Algorithm) {
        match algorithm {
            Algorithm::Sha256 => _ = self.sha256.get_or_insert_default(),
            Algorithm::Sha512 => _ = self.sha512.get_or_insert_default(),
        }
    }

    /// The algorithms will be known only after the bytes: hashes with all.
    fn hash_all(&mut self) {
        Algorithm::ALL.into_iter().for_each(|algorithm| self.hash(algorithm));
    }

    /// [`Digests::promise`] for a line that arrived after the bytes. True: the bytes have to be hashed once more.
    ///
    /// # Errors
    /// 400 for a malformed one.
    pub fn promise_late(&mut self, line: &[u8]) -> Result<bool, Refusal> {
        let before = (self.sha256.is_some(), self.sha512.is_some());
        self.promise(line)?;
        let again = before != (self.sha256.is_some(), self.sha512.is_some());
        if again {
            self.sha256.iter_mut().for_each(|hasher| **hasher = Sha256::new());
            self.sha512.iter_mut().for_each(|hasher| **hasher = Sha512::new());
        }
        Ok(again)
    }

    /// The client has announced one.
    pub fn are_promised(&self) -> bool {
        !self.promised.is_empty()
    }

    /// No digest is needed: the bytes need not be looked at.
    pub fn is_empty(&self) -> bool {
        self.sha256.is_none() && self.sha512.is_none()
    }

    /// Hashes the next bytes, once for each algorithm that is announced or wanted.
    pub fn update(&mut self, data: &[u8]) {
        if let Some(hasher) = &mut self.sha256 {
            hasher.update(data);
        }
        if let Some(hasher) = &mut self.sha512 {
            hasher.update(data);
        }
    }

    /// The bytes are complete.
    ///
    /// # Errors
    /// 400: their digest is not the announced one.
    pub fn finish(self) -> Result<Sums, Refusal> {
        let sums = Sums {
            sha256: self.sha256.map(|hasher| (*hasher).finalize().to_vec()),
            sha512: self.sha512.map(|hasher| (*hasher).finalize().to_vec()),
        };
        self.promised.iter().try_for_each(|promise| sums.keep(promise))?;
        Ok(sums)
    }
}

/// Digests of bytes that are complete.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Sums {
    sha256: Option<Vec<u8>>,
    sha512: Option<Vec<u8>>,
}

impl Sums {
    fn of(&self, algorithm: Algorithm) -> Option<&[u8]> {
        match algorithm {
            Algorithm::Sha256 => self.sha256.as_deref(),
            Algorithm::Sha512 => self.sha512.as_deref(),
        }
    }

    fn keep(&self, promise: &Promise) -> Result<(), Refusal> {
        if self.of(promise.algorithm) == Some(&promise.digest) {
            return Ok(());
        }
        let why = format!("the content does not match its {} digest", promise.algorithm.name());
        Err(Refusal::new(Status::BAD_REQUEST, why))
    }

    /// As a field's value: `sha-256=:…:`. Empty if that algorithm did not run.
    pub fn value(&self, algorithm: Algorithm) -> Vec<u8> {
        let Some(digest) = self.of(algorithm) else { return Vec::new() };
        let mut out = [algorithm.name().as_bytes(), b"=:"].concat();
        to_base64(digest, &mut out);
        out.push(b':');
        out
    }
}

/// One line: a dictionary of byte sequences (RFC 9651), `sha-256=:…:, sha-512=:…:`.
fn parse(line: &[u8]) -> Result<Vec<Promise>, Refusal> {
    let malformed = || Refusal::new(Status::BAD_REQUEST, "Content-Digest or Repr-Digest is malformed");
    let mut promises = Vec::new();
    for (key, item) in dictionary(line).ok_or_else(malformed)? {
        let Some(algorithm) = Algorithm::of(key) else { continue };
        match item {
            Item::Bytes(digest) if digest.len() == algorithm.size() => promises.push(Promise { algorithm, digest }),
            _ => return Err(malformed()),
        }
    }
    Ok(promises)
}

/// What is to be hashed of the request's body: the digests that its head announces, and those that its trailers may.
/// `is_form`: its parts may announce their own.
///
/// # Errors
/// 400 for a malformed digest, and if `require` finds none.
pub fn promised(ex: &Exchange, verify: VerifyDigest, is_form: bool) -> Result<Digests, Refusal> {
    let mut digests = Digests::default();
    if verify == VerifyDigest::Off {
        return Ok(digests);
    }
    for id in [HeaderId::ContentDigest, HeaderId::ReprDigest] {
        ex.request.head.all(id).try_for_each(|field| digests.promise(field.value.of(ex.buf())))?;
    }
    let chunked = ex.request.head.body_length == BodyLength::Unknown;
    let required = verify == VerifyDigest::Require && digests.promised.is_empty();
    if required && !chunked && !is_form {
        return Err(missing());
    }
    // The algorithm is known after the body only.
    if chunked && (required || is_announced(ex, &NAMES)) {
        digests.hash_all();
    }
    Ok(digests)
}

/// As [`promised`], for a part of a resumable upload.
///
/// # Errors
/// 400 for a malformed digest.
pub fn promised_of_part(ex: &Exchange, verify: VerifyDigest) -> Result<Digests, Refusal> {
    let mut digests = Digests::default();
    if verify == VerifyDigest::Off {
        return Ok(digests);
    }
    ex.request.head.all(HeaderId::ContentDigest).try_for_each(|field| digests.promise(field.value.of(ex.buf())))?;
    if ex.request.head.body_length == BodyLength::Unknown && is_announced(ex, &[CONTENT]) {
        digests.hash_all();
    }
    Ok(digests)
}

/// The part is complete, and its trailers are there.
///
/// # Errors
/// 400.
pub fn check_part(ex: &Exchange, verify: VerifyDigest, digests: Digests) -> Result<(), Refusal> {
    let nothing_promised = digests.promised.is_empty() && !digests.is_empty();
    let sums = digests.finish()?;
    if verify == VerifyDigest::Off {
        return Ok(());
    }
    let mut late = Vec::new();
    for line in ex.progress.trailers.all(CONTENT) {
        late.extend(parse(line)?);
    }
    if verify == VerifyDigest::Require && nothing_promised && late.is_empty() {
        return Err(missing());
    }
    if late.iter().any(|promise| sums.of(promise.algorithm).is_none()) {
        return Err(unannounced());
    }
    late.iter().try_for_each(|promise| sums.keep(promise))
}

/// The digests of the whole upload in the trailers, as one line.
pub fn late_of_whole(ex: &Exchange, verify: VerifyDigest) -> Vec<u8> {
    if verify == VerifyDigest::Off {
        return Vec::new();
    }
    ex.progress.trailers.all(REPR).collect::<Vec<_>>().join(&b", "[..])
}

/// None was sent where one is required.
pub fn missing() -> Refusal {
    let why = "a Content-Digest or Repr-Digest with sha-256 or sha-512 is required here";
    Refusal::new(Status::BAD_REQUEST, why).limit("upload_verify_digest")
}

/// Trailer announces digests (RFC 9110 §6.6.2).
fn is_announced(ex: &Exchange, names: &[&[u8]]) -> bool {
    ex.request.head.all(HeaderId::Trailer).any(|field| {
        list(field.value.of(ex.buf())).map(trim_ows).any(|name| names.iter().any(|n| name.eq_ignore_ascii_case(n)))
    })
}

const CONTENT: &[u8] = b"content-digest";
const REPR: &[u8] = b"repr-digest";
const NAMES: [&[u8]; 2] = [CONTENT, REPR];

fn unannounced() -> Refusal {
    Refusal::new(Status::BAD_REQUEST, "a digest in the trailers must be announced by `Trailer: Content-Digest`")
}

/// The body is complete, and its trailers have arrived: every digest that was announced, before or after, must match.
/// `again` hashes the body once more, for a digest that nothing announced; None: that is too much work.
///
/// # Errors
/// 400.
pub fn check(
    ex: &Exchange,
    verify: VerifyDigest,
    digests: Digests,
    again: impl FnOnce(&mut Digests) -> Option<()>,
) -> Result<Sums, Refusal> {
    let mut count = digests.promised.len();
    let sums = digests.finish()?;
    if verify == VerifyDigest::Off {
        return Ok(sums);
    }
    let mut late = Vec::new();
    for name in NAMES {
        for line in ex.progress.trailers.all(name) {
            late.extend(parse(line)?);
        }
    }
    count += late.len();
    if verify == VerifyDigest::Require && count == 0 {
        return Err(missing());
    }
    if late.iter().all(|promise| sums.of(promise.algorithm).is_some()) {
        late.iter().try_for_each(|promise| sums.keep(promise))?;
        return Ok(sums);
    }
    let mut digests = Digests::default();
    late.iter().for_each(|promise| digests.hash(promise.algorithm));
    digests.promised = late;
    if again(&mut digests).is_none() {
        return Err(unannounced());
    }
    digests.finish()?;
    Ok(sums)
}

/// The digest that the client wants in the response (RFC 9530 §4): of the algorithms that it ranks, the one it
/// prefers. A malformed field is ignored.
pub fn wanted(ex: &Exchange) -> Option<Algorithm> {
    let ids = [HeaderId::WantReprDigest, HeaderId::WantContentDigest];
    // Few requests have one.
    if ids.iter().all(|id| ex.request.head.get(*id).is_none()) {
        return None;
    }
    best(ids.into_iter().flat_map(|id| ex.request.head.all(id)).map(|field| field.value.of(ex.buf())))
}

/// As [`wanted`], for a file that is sent: Want-Repr-Digest alone, since only a range of it may be sent.
pub fn wanted_of_file(ex: &Exchange) -> Option<Algorithm> {
    best(ex.request.head.all(HeaderId::WantReprDigest).map(|field| field.value.of(ex.buf())))
}

fn best<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Algorithm> {
    let mut best = (0, None);
    for (key, item) in lines.filter_map(dictionary).flatten() {
        if let (Some(algorithm), Item::Integer(rank @ 1..=10)) = (Algorithm::of(key), item)
            && rank > best.0
        {
            best = (rank, Some(algorithm));
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};

    const HELLO: &str = "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
    const HELLO_512: &str = "m3HSJL1i83hdltRq0+o9czGb+8KJDKra4t/3JRlnPKcjI8PZm6XBHXx6zG4UuMXaDEZjR1wuXDre9G9zvN7AQw==";

    /// How many digests a line promises, and whether `hello` and `hallo` keep them.
    fn run(line: &str) -> Option<(usize, bool, bool)> {
        let keeps = |body: &[u8]| {
            let mut digests = Digests::default();
            digests.promise(line.as_bytes()).ok()?;
            let count = digests.promised.len();
            body.chunks(2).for_each(|piece| digests.update(piece));
            Some((count, digests.finish().is_ok()))
        };
        let (count, hello) = keeps(b"hello")?;
        Some((count, hello, keeps(b"hallo")?.1))
    }

    /// Only what a digest behind it may be about is hashed.
    #[test]
    fn a_part_is_hashed_for_the_digest_that_its_trailers_announce() {
        let mut site = Site::new("", "location / { allowed_methods POST; }");
        for (fields, expected) in [
            (&["Transfer-Encoding: chunked", "Trailer: Content-Digest"][..], true),
            (&["Transfer-Encoding: chunked", "Trailer: x, content-digest"], true),
            (&["Transfer-Encoding: chunked", "Trailer: Repr-Digest"], false),
            (&["Transfer-Encoding: chunked"], false),
            (&["Content-Length: 5", "Trailer: Content-Digest"], false),
            (&["Content-Length: 5"], false),
        ] {
            let ex = site.at("POST /f", fields, INSIDE);
            let hashes = |verify| promised_of_part(&ex, verify).is_ok_and(|digests| !digests.is_empty());
            assert_eq!((hashes(VerifyDigest::On), hashes(VerifyDigest::Off)), (expected, false), "{fields:?}");
        }
    }

    #[test]
    fn a_promise_is_kept_by_the_very_bytes() {
        let table = [
            (format!("sha-256=:{HELLO}:"), Some((1, true, false))),
            (format!("sha-512=:{HELLO_512}:"), Some((1, true, false))),
            (format!("sha-256=:{HELLO}: ,\tsha-512=:{HELLO_512}:;x=1"), Some((2, true, false))),
            (format!("md5=:XUFAKrxLKna5cZ2REBfFkg==:, sha-256=:{HELLO}:"), Some((1, true, false))),
            ("md5=:XUFAKrxLKna5cZ2REBfFkg==:".into(), Some((0, true, true))),
            ("unixsum=30637, x=\"a, b\"".into(), Some((0, true, true))),
            (String::new(), Some((0, true, true))),
            (format!("sha-512=:{HELLO}:"), None),
            (format!("sha-256={HELLO}"), None),
            (format!("SHA-256=:{HELLO}:"), None),
            (format!("sha-256=:{HELLO}:,"), None),
            (format!("sha-256=:{HELLO}: sha-512=:{HELLO_512}:"), None),
            ("md5=:?:".into(), None),
            ("sha-256=::".into(), None),
            ("sha-256".into(), None),
            ("sha-256=:??:".into(), None),
        ];
        for (line, expected) in table {
            assert_eq!(run(&line), expected, "{line}");
        }
    }

    #[test]
    fn the_digest_that_is_wanted_most_is_given() {
        use Algorithm::*;
        let table: [(&[&str], Option<Algorithm>); 10] = [
            (&[], None),
            (&["sha-256=1"], Some(Sha256)),
            (&["sha-256=3, sha-512=10"], Some(Sha512)),
            (&["sha-256=10", "sha-512=3"], Some(Sha256)),
            (&["sha-256=1, sha-512=1"], Some(Sha256)),
            (&["md5=10, sha-512=1"], Some(Sha512)),
            (&["sha-256=0"], None),
            (&["sha-256=11"], None),
            (&["sha-256"], None),
            (&["sha-256=1,"], None),
        ];
        for (lines, expected) in table {
            assert_eq!(best(lines.iter().map(|line| line.as_bytes())), expected, "{lines:?}");
        }
        let mut digests = Digests::default();
        digests.hash(Sha256);
        digests.update(b"hello");
        let sums = digests.finish().expect("nothing was promised");
        assert_eq!(sums.value(Sha256), format!("sha-256=:{HELLO}:").into_bytes());
        assert_eq!(sums.value(Sha512), b"");
    }
}
