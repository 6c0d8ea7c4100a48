//! Why an upload is refused, as data: the status, a sentence for the client, and details for the log.
//!
//! Invariant: the client reads our own sentence and at most a name that has been checked; what it sent goes to the
//! log only, escaped.

use crate::config::model::Level;
use crate::exchange::handlers::versions::Denied;
use crate::http::reject::Reject;
use crate::http::status::Status;
use crate::sys::Errno;
use std::borrow::Cow;
use std::ops::Deref;

/// A response other than success, with all that the log and the client are told. Boxed: it is rare, and each call that
/// may give one would make room for its hundred bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refusal(Box<RefusalFacts>);

/// What a [`Refusal`] says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RefusalFacts {
    /// Of the response.
    pub status: Status,
    /// The sentence for the client.
    pub why: Cow<'static, str>,
    /// The checked name of the file; empty if it is clear which one.
    pub name: Vec<u8>,
    /// The directive whose limit was exceeded; empty if there is none.
    pub limit: &'static str,
    /// For the log.
    pub detail: String,
    /// Of the line in the error log.
    pub level: Level,
    /// Not known yet: the area is being counted, or a lock is waited for, and the same is tried again in another turn.
    pub later: bool,
}

impl Deref for Refusal {
    type Target = RefusalFacts;

    fn deref(&self) -> &RefusalFacts {
        &self.0
    }
}

impl Refusal {
    /// Without details, logged at level error.
    pub fn new(status: Status, why: impl Into<Cow<'static, str>>) -> Refusal {
        Refusal(Box::new(RefusalFacts {
            status,
            why: why.into(),
            name: Vec::new(),
            limit: "",
            detail: String::new(),
            level: Level::Error,
            later: false,
        }))
    }

    /// Adds what only the log says.
    pub fn detail(mut self, detail: String) -> Refusal {
        self.0.detail = detail;
        self
    }

    /// Names the directive: the response and the log mention it.
    pub fn limit(mut self, directive: &'static str) -> Refusal {
        self.0.limit = directive;
        self
    }

    /// Names the file; `name` must have been checked.
    pub fn of(mut self, name: &[u8]) -> Refusal {
        self.0.name = name.to_vec();
        self
    }

    /// The same is tried again in another turn (see the field `later`).
    pub fn later() -> Refusal {
        let mut refusal = Refusal::new(Status::SERVICE_UNAVAILABLE, "what is stored is being counted");
        refusal.0.later = true;
        refusal.limit("upload_quota")
    }

    /// It is to be expected: logged as a warning.
    pub fn warns(mut self) -> Refusal {
        self.0.level = Level::Warn;
        self
    }

    /// RFC 9110 §13.1.
    pub fn precondition() -> Refusal {
        Refusal::new(Status::PRECONDITION_FAILED, "a precondition of the request does not hold")
    }

    /// Another process, or another request, is changing the version that the request names. A 503 says when to try
    /// again.
    pub fn busy() -> Refusal {
        Refusal::new(Status::SERVICE_UNAVAILABLE, "another process is changing the file")
    }

    /// Uploads have as many files open as they may.
    pub fn too_many_uploads() -> Refusal {
        Refusal::new(Status::SERVICE_UNAVAILABLE, "too many uploads are under way")
    }

    /// The URI is a directory's, without its slash: clients repeat the request with the body at the right URI.
    pub fn add_slash() -> Refusal {
        Refusal::new(Status::PERMANENT_REDIRECT, "a directory has that name: its URI ends in a slash")
    }

    /// A system call that failed: one table decides whether the client or the server is to blame.
    pub fn call(call: &str, path: &[u8], e: Errno) -> Refusal {
        let (status, why) = why_failed(e);
        let level = match e {
            Errno::ENOSPC | Errno::EMFILE | Errno::ENFILE => Level::Crit,
            _ if status == Status::INTERNAL_SERVER_ERROR => Level::Crit,
            _ => Level::Error,
        };
        let path: String = path.iter().flat_map(|b| std::ascii::escape_default(*b)).map(char::from).collect();
        let mut refusal = Refusal::new(status, why).detail(format!("{call} \"{path}\" failed {e}"));
        refusal.0.level = level;
        refusal
    }
}

/// The status of a failed system call, and why it failed, for the client.
pub fn why_failed(e: Errno) -> (Status, &'static str) {
    match e {
        Errno::ENOENT => (Status::CONFLICT, "the directory does not exist"),
        Errno::ENOTDIR => (Status::CONFLICT, "a part of the path is a file, not a directory"),
        Errno::EISDIR => (Status::CONFLICT, "a directory has that name"),
        Errno::EEXIST | Errno::ENOTEMPTY => (Status::CONFLICT, "the name is taken"),
        Errno::ETXTBSY | Errno::EBUSY => (Status::CONFLICT, "the file is in use"),
        Errno::EACCES | Errno::EPERM => (Status::FORBIDDEN, "the directory may not be written"),
        Errno::EROFS => (Status::FORBIDDEN, "the file system is read-only"),
        Errno::ELOOP | Errno::EXDEV => (Status::FORBIDDEN, "a link leads out of the area"),
        Errno::ENAMETOOLONG => (Status::BAD_REQUEST, "the name is too long"),
        Errno::ENOSPC => (Status::INSUFFICIENT_STORAGE, "the disk is full"),
        Errno::EDQUOT => (Status::INSUFFICIENT_STORAGE, "the disk quota is used up"),
        Errno::EFBIG => (Status::CONTENT_TOO_LARGE, "the file is larger than the file system allows"),
        Errno::EAGAIN => (Status::LOCKED, "another process writes to it"),
        Errno::EMFILE | Errno::ENFILE => (Status::SERVICE_UNAVAILABLE, "the server is out of file descriptors"),
        _ => (Status::INTERNAL_SERVER_ERROR, "the file could not be stored"),
    }
}

impl From<Reject> for Refusal {
    fn from(reject: Reject) -> Refusal {
        let status = match reject.status() {
            // It was the head of a part, not of the request.
            Status::HEADER_TOO_LARGE => Status::BAD_REQUEST,
            status => status,
        };
        let why: Cow<'static, str> = match reject {
            Reject::BadMultipart(rule) => format!("the form is malformed: {rule}").into(),
            Reject::HeaderTooLarge { .. } => "the form is malformed: the header of a part is too large".into(),
            _ => "the form is malformed".into(),
        };
        Refusal::new(status, why).detail(reject.to_string())
    }
}

/// upload_quota leaves no room for it.
pub fn used_up() -> Refusal {
    Refusal::new(Status::INSUFFICIENT_STORAGE, "the quota of this area is used up").limit("upload_quota")
}

/// A file larger than upload_max_file_size.
pub fn too_large() -> Refusal {
    Refusal::new(Status::CONTENT_TOO_LARGE, "the file is too large").limit("upload_max_file_size")
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Refusal {
        match denied {
            Denied::Changed => Refusal::precondition(),
            Denied::Busy => Refusal::busy(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_call_is_blamed_on_the_client_or_the_server() {
        let table = [
            (Errno::ENOENT, 409),
            (Errno::ENOTDIR, 409),
            (Errno::EISDIR, 409),
            (Errno::EEXIST, 409),
            (Errno::EACCES, 403),
            (Errno::EROFS, 403),
            (Errno::EXDEV, 403),
            (Errno::ELOOP, 403),
            (Errno::ENAMETOOLONG, 400),
            (Errno::ENOSPC, 507),
            (Errno::EDQUOT, 507),
            (Errno::EFBIG, 413),
            (Errno::EMFILE, 503),
            (Errno::EIO, 500),
        ];
        for (e, status) in table {
            let refusal = Refusal::call("open()", b"/a\nb", e);
            assert_eq!(refusal.status.0, status, "{e:?}");
            assert!(refusal.detail.starts_with("open() \"/a\\nb\" failed ("), "{}", refusal.detail);
        }
    }
}
