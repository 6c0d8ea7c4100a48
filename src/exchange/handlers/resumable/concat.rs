//! tus's concatenation: uploads that are parts of one file (`Upload-Concat: partial`), and the request that joins
//! them (`Upload-Concat: final;…`).
//!
//! Invariants: the bytes of a part are removed when the whole has its name, and not before: until then they count, and
//! the whole does not. One request at a time joins a part, the newest; a whole without a name ends with its request.

use super::argument::argument;
use super::location::Home;
use super::pending_upload::{Missing, find};
use super::respond;
use super::state::Dialect;
use super::store::Dir;
use super::takeover::Access;
use super::tus::{self, FINAL, PARTIAL};
use crate::exchange::Exchange;
use crate::exchange::flow::Flow;
use crate::exchange::handlers::upload::resumed::Refusal;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::resumable::{Ended, Lease, UploadId, copy_piece};
use crate::sys::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

/// Most parts of one file: each is open twice while they are joined.
const MOST: usize = 64;
/// Bytes that are copied in one turn of the loop.
const SLICE: usize = 4 << 20;

/// The value of Upload-Concat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Concat<'a> {
    /// An upload of its own.
    None,
    /// A part of a file.
    Partial,
    /// The URLs of the parts.
    Final(&'a [u8]),
}

/// # Errors
/// It is neither, for a 400.
pub fn parse(value: Option<&[u8]>) -> Result<Concat<'_>, &'static str> {
    match value {
        None => Ok(Concat::None),
        Some(PARTIAL) => Ok(Concat::Partial),
        Some(value) => match value.strip_prefix(FINAL) {
            Some(urls) => Ok(Concat::Final(urls)),
            None => Err("Upload-Concat is neither partial nor final;URL…"),
        },
    }
}

/// The parts that the URLs name, in their order.
///
/// # Errors
/// One is not an upload, or there are too many.
fn ids(urls: &[u8]) -> Result<Vec<UploadId>, &'static str> {
    let urls = urls.split(|b| *b == b' ').filter(|url| !url.is_empty());
    let id = |url: &[u8]| {
        let query = memchr::memchr(b'?', url).and_then(|at| url.get(at + 1..))?;
        UploadId::parse(argument(query)?)
    };
    let ids: Option<Vec<UploadId>> = urls.map(id).collect();
    match ids {
        Some(ids) if ids.is_empty() => Err("Upload-Concat names no uploads"),
        Some(ids) if ids.len() > MOST => Err("Upload-Concat names more than 64 uploads"),
        Some(ids) => Ok(ids),
        None => Err("Upload-Concat names something that is not an upload of this server"),
    }
}

/// Parts that are being joined into one file.
pub struct Joining {
    parts: Vec<Part>,
    /// The part that is being copied, and how much of it was.
    part: usize,
    at: u64,
    by_hand: bool,
    /// The whole, until it has its name: its client learns of it only then.
    orphan: Option<(Dir, UploadId)>,
}

impl Drop for Joining {
    fn drop(&mut self) {
        if let Some((dir, id)) = &self.orphan {
            dir.remove(*id);
        }
    }
}

struct Part {
    id: UploadId,
    lease: Rc<Lease>,
    bytes: OwnedFd,
    size: u64,
}

impl Joining {
    /// Opens the parts that a creation names; they must be complete.
    ///
    /// # Errors
    /// The response.
    pub fn begin(ex: &mut Exchange, cx: &mut Services, urls: &[u8]) -> Result<Joining, Flow> {
        let bad = |why: String| Refusal::new(Status::BAD_REQUEST, why);
        let refuse = |ex: &mut Exchange, cx: &mut Services, refusal: Refusal| {
            Err(respond::refuse_upload(ex, cx, Dialect::Tus, &refusal))
        };
        let ids = match ids(urls) {
            Ok(ids) => ids,
            Err(why) => return refuse(ex, cx, bad(why.into())),
        };
        let mut parts: Vec<Part> = Vec::with_capacity(ids.len());
        for (at, id) in ids.into_iter().enumerate() {
            let n = at + 1;
            if parts.iter().any(|part| part.id == id) {
                return refuse(ex, cx, bad(format!("Upload-Concat names an upload twice: its number {n}")));
            }
            let found = find(ex, cx, id, Access::Write);
            // The whole goes where the variables of its own creation lead.
            ex.route.begun_at = None;
            let mut part = match found {
                Ok(part) => part,
                Err(Missing::Elsewhere(flow)) => return Err(flow),
                Err(Missing::Failed(refusal)) => return refuse(ex, cx, refusal),
                Err(Missing::Unknown | Missing::Over(_)) => {
                    let why = format!("there is no such upload as number {n} of Upload-Concat");
                    return refuse(ex, cx, bad(why));
                }
            };
            if !tus::is_partial(&part.record.concat) || part.record.length != Some(part.size) {
                let why = format!("number {n} of Upload-Concat is not a complete partial upload");
                return refuse(ex, cx, bad(why));
            }
            let bytes = part.dir.read_part(id).map_err(|e| Refusal::call("open()", &part.home.path, e));
            match bytes.and_then(|bytes| part.register_writer(cx).map(|lease| (bytes, lease))) {
                Ok((bytes, lease)) => parts.push(Part { id, lease, bytes, size: part.size }),
                Err(refusal) => return refuse(ex, cx, refusal),
            }
        }
        Ok(Joining { parts, part: 0, at: 0, by_hand: false, orphan: None })
    }

    /// The upload that the parts are copied to.
    pub fn joins_to(&mut self, dir: Dir, id: UploadId) {
        self.orphan = Some((dir, id));
    }

    /// No newer request has one of the parts.
    pub fn is_live(&self) -> bool {
        self.parts.iter().all(|part| part.lease.is_live())
    }

    /// The parts, in the order in which they are joined.
    pub fn ids(&self) -> Vec<UploadId> {
        self.parts.iter().map(|part| part.id).collect()
    }

    /// Bytes of the whole.
    pub fn length(&self) -> u64 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.size))
    }

    /// Copies a slice to the end of `to`, which has `size` bytes. Gives how many bytes; 0: all parts are copied.
    pub fn step(&mut self, to: BorrowedFd<'_>, size: u64, scratch: &mut Vec<u8>) -> Result<u64, Errno> {
        while let Some(part) = self.parts.get(self.part) {
            let left = part.size - self.at;
            if left == 0 {
                (self.part, self.at) = (self.part + 1, 0);
                continue;
            }
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(SLICE);
            let from = (part.bytes.as_fd(), self.at);
            let copied = copy_piece(from, (to, size), wanted, &mut self.by_hand, scratch)?;
            if copied == 0 {
                // The file is shorter than it was.
                return Err(Errno::EIO);
            }
            self.at += copied as u64;
            return Ok(copied as u64);
        }
        Ok(0)
    }

    /// The whole has its name.
    pub fn remove_parts(mut self, cx: &mut Services, dir: &Dir, home: &Home) {
        self.orphan = None;
        for part in &self.parts {
            dir.remove(part.id);
            cx.resumable.finish(part.id, Ended::Gone);
        }
        home.tidy(cx);
    }
}

#[cfg(test)]
mod tests {
    use super::super::argument::ARGUMENT;
    use super::*;
    use crate::sys::file;

    #[test]
    fn concatenation_names_its_parts() {
        let (a, b) = ("0".repeat(32), "f".repeat(32));
        let table = [
            (format!("/a/?{ARGUMENT}={a}"), Ok(1)),
            (format!("https://h/a/?x=1&{ARGUMENT}={a}  /a/?{ARGUMENT}={b}"), Ok(2)),
            (String::new(), Err("Upload-Concat names no uploads")),
            ("/a/x".into(), Err("Upload-Concat names something that is not an upload of this server")),
            (
                format!("/a/?{ARGUMENT}={}", &a[1..]),
                Err("Upload-Concat names something that is not an upload of this server"),
            ),
            (format!("/?{ARGUMENT}={a} ").repeat(65), Err("Upload-Concat names more than 64 uploads")),
        ];
        for (urls, expected) in table {
            assert_eq!(ids(urls.as_bytes()).map(|ids| ids.len()), expected, "{urls}");
        }
        assert_eq!(parse(Some(b"final;/x")), Ok(Concat::Final(b"/x")));
        assert_eq!(parse(Some(b"partial")), Ok(Concat::Partial));
        assert_eq!(parse(None), Ok(Concat::None));
        assert!(parse(Some(b"final")).is_err() && parse(Some(b"Partial")).is_err());
    }

    fn joining(parts: &[(&[u8], u64)], by_hand: bool) -> Joining {
        let file = |bytes: &[u8]| {
            let fd = file::memfd(c"part").expect("a memory file");
            file::pwrite(fd.as_fd(), bytes, 0).expect("written");
            fd
        };
        let part = |(bytes, size): &(&[u8], u64)| {
            let (id, lease) = (UploadId::random().expect("entropy"), Rc::new(Lease::new(file(b""))));
            Part { id, lease, bytes: file(bytes), size: *size }
        };
        Joining { parts: parts.iter().map(part).collect(), part: 0, at: 0, by_hand, orphan: None }
    }

    /// The bytes of the whole, and how it ended.
    fn joined(mut joining: Joining) -> (Vec<u8>, Result<u64, Errno>) {
        let (to, mut size, mut scratch) = (file::memfd(c"whole").expect("a memory file"), 0, Vec::with_capacity(100));
        let end = loop {
            match joining.step(to.as_fd(), size, &mut scratch) {
                Ok(copied) if copied > 0 => size += copied,
                end => break end,
            }
        };
        let mut bytes = Vec::with_capacity(100);
        file::pread_into(to.as_fd(), &mut bytes, 100, 0).expect("read");
        (bytes, end)
    }

    #[test]
    fn parts_are_joined_in_their_order_with_the_kernels_help_and_without() {
        for by_hand in [false, true] {
            let parts: [(&[u8], u64); 5] = [(b"one,", 4), (b"", 0), (b"two,", 4), (b"three and more", 5), (b"", 0)];
            assert_eq!(joined(joining(&parts, by_hand)), (b"one,two,three".to_vec(), Ok(0)), "{by_hand}");
        }
    }

    /// The whole would have a hole, or be shorter than its parts.
    #[test]
    fn a_part_that_has_lost_bytes_since_makes_no_file() {
        for by_hand in [false, true] {
            let parts: [(&[u8], u64); 2] = [(b"one", 5), (b"two", 3)];
            assert_eq!(joined(joining(&parts, by_hand)), (b"one".to_vec(), Err(Errno::EIO)), "{by_hand}");
        }
    }
}
