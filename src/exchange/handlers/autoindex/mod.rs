//! Listings of directories: who may see one, in which format, and what is in it. `listing` renders them.
//!
//! A directory is read, examined and rendered in slices ([`Making`]); a rendered listing is cached, and sent again as
//! long as nothing has changed (`services::listings`).

mod accept;
mod archive;
mod directory;
mod entries;
mod making;
mod place;
mod random;
mod respond;
mod search;
mod shape;

pub use directory::not_opened;
pub use random::random;

use crate::config::model::Level;
use crate::config::settings::listing::{self as rule, Archive};
use crate::config::settings::upload::{NameRule, Store};
use crate::exchange::flow::{Begun, Flow};
use crate::exchange::handlers::listing::{self, Asked, Format, Kind, Language, PageAction, SentForm, Sort, View};
use crate::exchange::handlers::{delete, failure, methods};
use crate::exchange::paths;
use crate::exchange::response::ContentType;
use crate::exchange::{Exchange, variables};
use crate::http::header::HeaderId;
use crate::http::method::Method;
use crate::http::status::Status;
use crate::services::{Services, clock};
use crate::sys::file::{self, FileKind, Follow};
use directory::{links, open, shown};
use respond::page_lines;
use shape::Shape;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd};

/// A listing, an archive or a search that takes more than a turn of the loop.
pub enum Making {
    /// The listing of one directory.
    Page(Box<making::PageMaking>),
    /// The paths of an archive are being judged; it is sent once all are.
    Archive(Box<archive::Gathering>),
    /// A search below a directory.
    Search(Box<search::Searching>),
}

impl Making {
    /// Others need its place, or it waits for one: a client that has closed its side is hardly there to see the rest.
    pub fn needs_client(&self) -> bool {
        match self {
            Making::Page(making) => making.place.needs_client(),
            Making::Archive(gathering) => gathering.place.needs_client(),
            Making::Search(searching) => searching.place.needs_client(),
        }
    }

    /// The next slice.
    pub fn work(&mut self, ex: &mut Exchange, cx: &mut Services) -> Flow {
        match self {
            Making::Page(making) => making.work(ex, cx),
            Making::Archive(gathering) => gathering.work(ex, cx),
            Making::Search(searching) => searching.work(ex, cx),
        }
    }
}

/// GET or HEAD of the directory `ex.path` (it ends in a slash), which has no index file.
pub fn run(ex: &mut Exchange, cx: &mut Services) -> Begun<Making> {
    let dir = match open(ex, cx) {
        Ok(dir) => dir,
        Err(e) => return Err(not_opened(ex, cx, e)),
    };
    let rule = ex.location().settings.listing.clone();
    // nginx lists for GET and HEAD only. Our page accepts POST, if a method that it needs is allowed at all.
    if !rule.on || ex.route.method == Method::Post {
        let path = shown(ex);
        ex.report(cx, Level::Error, format_args!("directory index of \"{path}\" is forbidden"));
        return Err(Flow::Status(Status::FORBIDDEN));
    }
    if rule.archive != Archive::Off
        && let Some(form) = archive::asked(&ex.route.args)
    {
        return archive::begin(ex, cx, dir, form).map(|gathering| Box::new(Making::Archive(gathering)));
    }
    let shape = shape(ex, cx, &rule, dir.as_fd())?;
    if shape.view.format == Format::Page
        && shape.view.can_move
        && let Some(name) = listing::move_from_query(&ex.route.args)
    {
        return Err(ask_where(ex, dir.as_fd(), &name, shape.view.language));
    }
    if shape.view.format == Format::Page
        && shape.view.can_delete
        && let Some(name) = listing::delete_from_query(&ex.route.args)
    {
        return Err(confirm(ex, dir.as_fd(), name, shape.view.language));
    }
    if shape.view.can_search
        && let Some(text) = listing::search_from_query(&ex.route.args)
    {
        return search::begin(ex, cx, dir, shape, text).map(|searching| Box::new(Making::Search(searching)));
    }
    making::begin(ex, cx, dir, shape).map(|making| Box::new(Making::Page(making)))
}

/// How the listing looks for this client, and what it offers.
fn shape(ex: &mut Exchange, cx: &mut Services, rule: &rule::Listing, dir: BorrowedFd<'_>) -> Result<Shape, Flow> {
    let configured = if rule.upload { rule::Format::Page } else { rule.format };
    let is_page = configured == rule::Format::Page;
    let (format, callback) = format(ex, configured).map_err(Flow::Status)?;
    let allowed = methods::allowed(ex);
    let can_delete = rule.upload && allowed.contains(Method::Delete);
    let can_upload = rule.upload && allowed.contains(Method::Post) && ex.location().settings.upload.store != Store::Off;
    let can_make = can_upload && ex.location().settings.upload.store == Store::Uri;
    let language = ex.field(b"accept-language").map_or(Language::default(), Language::of);
    let utf8 = format == Format::Html && is_utf8(ex, cx);
    let hidden = paths::hidden_below(ex, cx, &ex.route.path);
    let hidden = hidden.map_err(|e| failure::failed(ex, cx, "open()", e))?;
    let view = View {
        format,
        exact_size: rule.exact_size,
        // As nginx: the offset of today, for every date of the listing.
        utc_offset: if rule.localtime { clock::utc_offset(cx.now.unix) } else { 0 },
        utf8,
        callback,
        sort: Sort::from_query(&ex.route.args),
        can_upload,
        can_replace: allowed.contains(Method::Put) || can_upload && can_delete,
        puts: allowed.contains(Method::Put),
        can_nest: ex.location().settings.upload.create_path,
        takes_any_name: ex.location().settings.upload.names == NameRule::Any,
        can_make,
        can_move: can_make && can_delete,
        archive: rule.archive,
        can_search: is_page && rule.search,
        language,
        resumable: ex.location().settings.upload.resumable.speaks.tus,
        can_delete,
        deletes_all: deletes_all(ex),
        kept: if can_delete && format == Format::Page { delete::kept_names(ex, cx, dir) } else { Vec::new() },
    };
    Ok(Shape { view, is_page, links: links(ex, cx), hidden })
}

/// Whether a DELETE of a folder removes what is in it: `delete_recursive on`, or that of WebDAV.
fn deletes_all(ex: &Exchange) -> bool {
    let settings = &ex.location().settings;
    settings.upload.delete_recursive || settings.dav.methods.contains(Method::Delete)
}

/// The format for this client, and jsonp's callback.
fn format(ex: &Exchange, configured: rule::Format) -> Result<(Format, Vec<u8>), Status> {
    let format = match configured {
        rule::Format::Html => Format::Html,
        rule::Format::Json => Format::Json,
        rule::Format::Xml => Format::Xml,
        rule::Format::Jsonp => match listing::callback(&ex.route.args) {
            Ok(Some(callback)) => return Ok((Format::Jsonp, callback.to_vec())),
            Ok(None) => Format::Json,
            Err(_) => return Err(Status::BAD_REQUEST),
        },
        rule::Format::Page => match ex.header(HeaderId::Accept) {
            Some(accept) if accept::prefers_json(accept) => Format::Json,
            _ => Format::Page,
        },
    };
    Ok((format, Vec::new()))
}

/// The page that asks for confirmation before a name is deleted, for browsers without scripts.
fn confirm(ex: &mut Exchange, dir: BorrowedFd<'_>, name: Vec<u8>, language: Language) -> Flow {
    let Ok(c_name) = CString::new(name) else { return Flow::Status(Status::NOT_FOUND) };
    let action = || PageAction::Delete(c_name.to_bytes().to_vec());
    // The name itself is deleted, not the target of a link.
    let kind = match file::stat_at(Some(dir), &c_name, Follow::No) {
        Ok(stat) if stat.kind == FileKind::Dir => Kind::Dir,
        Ok(stat) if stat.kind == FileKind::Regular => Kind::File,
        Ok(_) => Kind::Other,
        Err(_) => return not_there(ex, action()),
    };
    let mut body = Vec::with_capacity(4096);
    listing::confirm_delete(&ex.route.uri, (c_name.to_bytes(), kind), deletes_all(ex), language, &mut body);
    page(ex, Status::OK, body);
    Flow::Respond
}

/// The page that asks for the destination of an entry, for browsers without scripts. `name`: a folder's with its
/// slash.
fn ask_where(ex: &mut Exchange, dir: BorrowedFd<'_>, name: &[u8], language: Language) -> Flow {
    let is_there = CString::new(name.strip_suffix(b"/").unwrap_or(name))
        .is_ok_and(|name| file::stat_at(Some(dir), &name, Follow::No).is_ok());
    if !is_there {
        return not_there(ex, PageAction::Move { name: name.to_vec(), to: Vec::new() });
    }
    let mut body = Vec::with_capacity(4096);
    listing::ask_where(&ex.route.uri, name, language, &mut body);
    page(ex, Status::OK, body);
    Flow::Respond
}

fn not_there(ex: &mut Exchange, action: PageAction) -> Flow {
    ex.route.sent_form = Some(Box::new(SentForm { folder: ex.route.uri.clone(), asks: Asked::Action(action) }));
    Flow::Status(Status::NOT_FOUND)
}

/// The page for a form of a listing that was refused: a browser without scripts shows it in place of the listing.
/// False: the request is no form, or its client prefers JSON.
pub fn refused(ex: &mut Exchange, status: Status) -> bool {
    let Some(form) = ex.route.sent_form.take() else { return false };
    if status.0 < 400 || ex.header(HeaderId::Accept).is_some_and(accept::prefers_json) {
        return false;
    }
    let language = ex.field(b"accept-language").map_or(Language::default(), Language::of);
    let mut body = Vec::with_capacity(4096);
    listing::refused(&form, status.0, language, &mut body);
    page(ex, status, body);
    // Names are no commands.
    (ex.response.is_inert, ex.response.ranges) = (true, false);
    (ex.response.etag, ex.response.last_modified) = (None, None);
    true
}

fn page(ex: &mut Exchange, status: Status, body: Vec<u8>) {
    ex.response.text(status, ContentType::Static(Format::Page.content_type()), body);
    page_lines(ex);
}

/// Whether the response will be sent as UTF-8: widths are then counted in characters (nginx).
fn is_utf8(ex: &mut Exchange, cx: &mut Services) -> bool {
    let charset = ex.location().settings.charset.clone();
    charset.name.as_ref().is_some_and(|charset| variables::text(charset, ex, cx).eq_ignore_ascii_case(b"utf-8"))
}
