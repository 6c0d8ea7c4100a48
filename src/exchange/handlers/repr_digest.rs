//! Want-Repr-Digest of GET and HEAD (RFC 9530 §4): a client that has uploaded a file, or is about to replace it, may
//! ask for its digest. Only where files are uploaded: elsewhere the cost of a HEAD must not grow with the file.
//!
//! Invariant: the loop serves other clients between two slices; the hashed version is the one that is sent.

use super::methods;
use super::upload::digest::{self, Algorithm, Digests};
use crate::config::settings::upload::VerifyDigest;
use crate::exchange::Exchange;
use crate::exchange::basis::Cacheable;
use crate::exchange::flow::Flow;
use crate::exchange::response::Body;
use crate::http::header::HeaderId;
use crate::http::status::Status;
use crate::services::Services;
use crate::services::file_digests::FileVersion;
use crate::services::open_files::OpenFile;
use crate::sys::file;
use std::rc::Rc;

/// Bytes between two looks at the clock.
const PIECE: usize = 256 << 10;

/// A file that is being hashed; its response is already made.
pub struct Hashing {
    file: Rc<OpenFile>,
    algorithm: Algorithm,
    digests: Digests,
    at: u64,
}

/// The response is a file whose digest the client wants and is not known yet.
pub fn begin(ex: &mut Exchange, cx: &mut Services) -> Option<Box<Hashing>> {
    ex.header(HeaderId::WantReprDigest)?;
    let is_offered = ex.location().settings.upload.verify_digest != VerifyDigest::Off
        && methods::takes_uploads(methods::allowed(ex));
    let (Body::File(file), Status::OK, false) = (&ex.response.body, ex.response.status, ex.response.encoded) else {
        return None;
    };
    let (file, algorithm) = (file.clone(), digest::wanted_of_file(ex).filter(|_| is_offered)?);
    // With or without its digest: that may be known at another time.
    ex.basis.passed(Cacheable::No);
    if let Some(value) = cx.file_digests.get(FileVersion::of(&file.stat), algorithm.name()) {
        ex.response.digest = Some(value);
        return None;
    }
    let mut digests = Digests::default();
    digests.hash(algorithm);
    Some(Box::new(Hashing { file, algorithm, digests, at: 0 }))
}

impl Hashing {
    /// The next slice.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        if let Some(bytes) = self.file.memory() {
            self.digests.update(bytes);
            self.at = self.file.stat.size;
        }
        while let Some(fd) = self.file.fd().filter(|_| self.at < self.file.stat.size) {
            let most = (self.file.stat.size - self.at).min(PIECE as u64) as usize;
            cx.scratch.clear();
            match file::pread_into(fd, &mut cx.scratch, most, self.at) {
                Ok(read) if read > 0 => self.at += read as u64,
                // It is shorter than it was, or unreadable: the file is sent as far as possible, without a digest.
                _ => return Flow::Respond,
            }
            self.digests.update(&cx.scratch);
            cx.scratch.clear();
            if self.at < self.file.stat.size && cx.slice.is_over() {
                return Flow::Wait;
            }
        }
        let changed = self.file.fd().is_some_and(|fd| {
            file::fstat(fd).map_or(true, |stat| FileVersion::of(&stat) != FileVersion::of(&self.file.stat))
        });
        if let (Ok(sums), false) = (std::mem::take(&mut self.digests).finish(), changed) {
            let value: Rc<[u8]> = sums.value(self.algorithm).into();
            if cx.now.is_settled(self.file.stat.mtime, self.file.stat.ctime) {
                cx.file_digests.keep(FileVersion::of(&self.file.stat), self.algorithm.name(), value.clone());
            }
            ex.response.digest = Some(value);
        }
        Flow::Respond
    }
}
