//! The handlers, one file for each feature. [`files`] chooses among them by method and path. A handler that answers
//! in one step is a function; one that needs the request's body or several turns is a variant of [`Handler`], named
//! by what it does (`Removing`, `Hashing`): it gets the body by [`accept`] and [`finish`], a slice of a turn by
//! [`work`], and leaves nothing behind when it is dropped.
//!
//! No handler registers itself, as modules of nginx and lighttpd do: which of them answers is read in one place, and a
//! request has one handler at a time.

pub mod add_slash;
pub mod allowed_methods;
pub mod autoindex;
pub mod dav;
pub mod delete;
pub mod failure;
pub mod files;
pub mod first_slice;
pub mod listing;
pub mod methods;
pub mod options;
pub mod path_rules;
pub mod principal;
mod repr_digest;
pub mod resumable;
pub mod special;
pub mod static_file;
pub mod status;
pub mod symlinks;
pub mod syncing;
pub mod target_limits;
pub mod tree_rules;
pub mod upload;
pub mod upstream;
pub mod versions;
pub mod write_areas;

use super::Exchange;
use super::filters::ssi::page::Page;
use super::flow::Flow;
use crate::services::Services;
use crate::sys::Errno;
use std::os::fd::BorrowedFd;

/// A handler that answers in more than one step.
#[derive(Default)]
pub enum Handler {
    /// None is at work: a function has answered, or no handler is chosen yet.
    #[default]
    None,
    /// A body is stored: PUT, POST, a form.
    Upload(Box<upload::Upload>),
    /// The content is appended to a resumable upload.
    Append(Box<resumable::append::Append>),
    /// The listing page's small form that deletes a name.
    DeleteForm(delete::DeleteForm),
    /// A body that is made while it is sent: a page with SSI commands.
    Page(Box<Page>),
    /// The request for this URI decides about access (auth_request).
    Subrequest(Box<[u8]>),
    /// An upstream answers.
    Upstream(Box<upstream::UpstreamRequest>),
    /// An upstream has answered; the client has not taken the whole response yet.
    Spooled(Box<upstream::spool::Spool>),
    /// A listing that takes more than one turn of the loop.
    Listing(Box<autoindex::Making>),
    /// A file whose digest the client wants.
    Hashing(Box<repr_digest::Hashing>),
    /// A DELETE that takes more than one turn.
    Removing(Box<delete::Removing>),
    /// A COPY or MOVE that takes more than one turn.
    Transfer(Box<dav::Transfer>),
    /// A WebDAV request with an XML body.
    Dav(Box<dav::ext::XmlRequest>),
    /// Names have changed, and the disk is waited for.
    Syncing(Box<syncing::Syncing>),
}

impl Handler {
    /// It gets the request's body.
    pub fn takes_body(&self) -> bool {
        matches!(self, Handler::Upload(_) | Handler::Append(_) | Handler::DeleteForm(_) | Handler::Dav(_))
    }

    /// It needs no event to go on, a slice each turn: see [`work`].
    pub fn works(&self) -> bool {
        match self {
            Handler::Listing(_) | Handler::Hashing(_) | Handler::Removing(_) => true,
            Handler::Transfer(_) | Handler::Syncing(_) => true,
            Handler::Append(append) => append.works(),
            Handler::Upload(upload) => upload.works(),
            Handler::Dav(request) => request.works(),
            Handler::None | Handler::DeleteForm(_) | Handler::Page(_) | Handler::Subrequest(_) => false,
            Handler::Upstream(_) | Handler::Spooled(_) => false,
        }
    }

    /// As [`Handler::works`], and it continues although the client is gone: file changes are not left half done.
    pub fn finishes(&self) -> bool {
        match self {
            Handler::Listing(_) | Handler::Hashing(_) => false,
            Handler::Dav(request) => request.is_syncing(),
            _ => self.works(),
        }
    }

    /// Before its answer begins it works for long, for its client alone: one that has closed its side counts as gone.
    pub fn needs_client(&self) -> bool {
        match self {
            Handler::Hashing(_) => true,
            Handler::Listing(making) => making.needs_client(),
            _ => false,
        }
    }

    /// It waits for the disk, which wakes it.
    pub fn waits(&self) -> bool {
        match self {
            Handler::Upload(upload) => upload.is_writing(),
            Handler::Append(append) => append.waits(),
            Handler::Removing(removing) => removing.waits(),
            Handler::Transfer(transfer) => transfer.waits(),
            Handler::Syncing(_) => true,
            Handler::Dav(request) => request.is_syncing(),
            _ => false,
        }
    }
}

/// The next slice of a handler that works; [`Flow::Wait`] if there is more to do.
pub fn work(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services) -> Flow {
    match handler {
        Handler::Listing(making) => making.work(ex, cx),
        Handler::Hashing(hashing) => hashing.work(ex, cx),
        Handler::Removing(removing) => removing.work(ex, cx),
        Handler::Transfer(transfer) => transfer.work(ex, cx),
        Handler::Syncing(syncing) => syncing.work(ex, cx),
        Handler::Append(append) => append.work(ex, cx),
        Handler::Upload(upload) => upload.work(ex, cx),
        Handler::Dav(request) => request.work(ex, cx),
        Handler::None | Handler::DeleteForm(_) | Handler::Page(_) | Handler::Subrequest(_) => Flow::Wait,
        Handler::Upstream(_) | Handler::Spooled(_) => Flow::Wait,
    }
}

/// A piece of the body for the handler of this exchange. An error ends the request with that flow; the rest of the
/// body is thrown away.
pub fn accept(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services, data: &[u8]) -> Result<(), Flow> {
    match handler {
        Handler::None
        | Handler::Listing(_)
        | Handler::Hashing(_)
        | Handler::Removing(_)
        | Handler::Transfer(_)
        | Handler::Syncing(_)
        | Handler::Page(_)
        | Handler::Spooled(_)
        | Handler::Subrequest(_) => Ok(()),
        Handler::Upload(upload) => upload.accept(ex, cx, data),
        Handler::Append(append) => append.accept(ex, cx, data),
        Handler::DeleteForm(form) => form.accept(data),
        Handler::Dav(request) => request.accept(data),
        Handler::Upstream(request) => request.accept(ex, cx, data),
    }
}

/// All of the body, from `at` on in `input`, which its handler may exchange for an empty buffer. Otherwise as
/// [`accept`].
pub fn accept_whole(
    ex: &mut Exchange,
    handler: &mut Handler,
    cx: &mut Services,
    (input, at): (&mut Vec<u8>, usize),
) -> Result<(), Flow> {
    match handler {
        Handler::Upload(upload) => upload.accept_whole(ex, cx, (input, at)),
        other => accept(ex, other, cx, input.get(at..).unwrap_or_default()),
    }
}

/// The body is complete.
pub fn finish(ex: &mut Exchange, handler: &mut Handler, cx: &mut Services) -> Flow {
    match handler {
        Handler::None => Flow::Respond,
        Handler::Listing(_) | Handler::Hashing(_) | Handler::Removing(_) => Flow::Wait,
        Handler::Transfer(_) | Handler::Syncing(_) | Handler::Page(_) | Handler::Subrequest(_) => Flow::Wait,
        Handler::Spooled(_) => Flow::Wait,
        Handler::Upload(upload) => upload.finish(ex, cx),
        Handler::Append(append) => append.finish(ex, cx),
        Handler::DeleteForm(form) => form.finish(ex, cx),
        Handler::Dav(request) => request.finish(ex, cx),
        Handler::Upstream(request) => request.body_ends(ex, cx).map_or_else(|flow| flow, |()| Flow::Wait),
    }
}

/// The file that body bytes may be spliced into, if nothing needs to look at them.
pub fn splice_target<'h>(handler: &'h mut Handler, cx: &mut Services) -> Option<BorrowedFd<'h>> {
    match handler {
        Handler::Upload(upload) => upload.splice_target(),
        Handler::Append(append) => append.splice_target(cx),
        _ => None,
    }
}

/// `written`: the bytes that went from the socket to [`splice_target`], or why they could not be written to the file.
pub fn spliced(
    ex: &mut Exchange,
    handler: &mut Handler,
    cx: &mut Services,
    written: Result<u64, Errno>,
) -> Result<(), Flow> {
    let n = written.map_err(|e| upload::not_written(ex, cx, e))?;
    match handler {
        Handler::Upload(upload) => upload.spliced(ex, cx, n),
        Handler::Append(append) => append.spliced(ex, cx, n),
        _ => Ok(()),
    }
}
