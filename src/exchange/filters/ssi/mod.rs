//! Server side includes: a response whose page has commands in it.
//!
//! | module | subject |
//! |---|---|
//! | [`parse`] | a page as text and commands, piece by piece |
//! | [`values`] | variables, expressions and URIs of commands |
//! | [`page`] | a page on its way to the client |
//! | [`mod@include`] | what a page includes: a request of its own |
//!
//! The head of such a response gives neither a length nor ranges nor, as a rule, a modification time; its body is
//! made by a [`Page`], which the connection drives. An upstream's page is gathered first, so that its connection is
//! free for another request by the time the page includes something.
//!
//! Invariant: commands in a file that a client may have stored are not run, unless upload_execute is on: what a page
//! includes is asked for without access rules, as in nginx.

pub mod include;
pub mod page;
pub mod parse;
pub mod state;
mod values;

use super::body::has_no_body;
use crate::config::settings::charset::TypeSet;
use crate::exchange::Exchange;
use crate::exchange::body_encoder::Source;
use crate::exchange::response::Body;
use crate::http::status::Status;
use page::{Input, Page};
use parse::Parser;

/// Whether the response is of a type that is read for commands.
pub fn is_of_type(ex: &Exchange) -> bool {
    let ssi = &ex.here().settings.ssi;
    ssi.on && ssi.types.contains(ex.response.content_type.as_bytes())
}

/// Whether the response is a page that is read for commands.
fn is_page(ex: &Exchange) -> bool {
    let ssi = &ex.here().settings.ssi;
    ssi.on
        && !ex.response.encoded
        && !ex.response.is_inert
        && (ex.response.body.length() != Some(0) || ex.response.status == Status::NOT_MODIFIED)
        && match ex.response.status {
            // It no longer has a type: its validators stay only if SSI applies to every type (nginx).
            Status::NOT_MODIFIED => matches!(ssi.types, TypeSet::All),
            _ => is_of_type(ex),
        }
}

fn parser(ex: &Exchange) -> Parser {
    Parser::new(ex.here().settings.ssi.value_length.0 as usize)
}

/// If the response is a page: removes from its head what will not hold for the result, and has the result made.
pub fn apply(ex: &mut Exchange) -> Option<Box<Page>> {
    if !ex.here().settings.ssi.on || !is_page(ex) {
        return None;
    }
    // What it includes may differ each time.
    ex.basis.varies();
    ex.response.ranges = false;
    ex.response.window = None;
    ex.response.fields.remove(b"accept-ranges");
    if ex.here().settings.ssi.last_modified {
        ex.response.weaken();
    } else {
        ex.response.last_modified = None;
        ex.response.etag = None;
        ex.response.fields.remove(b"last-modified");
        ex.response.fields.remove(b"etag");
    }
    if has_no_body(ex) {
        if ex.response.status != Status::NOT_MODIFIED {
            ex.response.body = Body::Stream { length: None };
        }
        return None;
    }
    match begin(ex) {
        Begun::Page(page) => Some(page),
        Begun::Gathered | Begun::No => None,
    }
}

/// What became of the body.
enum Begun {
    Page(Box<Page>),
    /// It is an upstream's page, read once it is whole.
    Gathered,
    /// It is not a page.
    No,
}

/// Puts the page in the place of the body.
fn begin(ex: &mut Exchange) -> Begun {
    if !is_page(ex) {
        return Begun::No;
    }
    let recode = ex.response.recode.take();
    let source = match std::mem::take(&mut ex.response.body) {
        Body::File(file) => {
            let end = file.stat.size;
            Source::file(file, 0, end).recode(recode)
        }
        Body::Bytes(bytes) => Source::bytes(bytes),
        Body::Shared(bytes) => Source::bytes(bytes.to_vec()),
        Body::Made(source) => *source,
        Body::Stream { .. } => {
            ex.response.gathered = Some(Box::default());
            ex.response.body = Body::Stream { length: None };
            return Begun::Gathered;
        }
        body => {
            ex.response.body = body;
            return Begun::No;
        }
    };
    ex.response.body = Body::Stream { length: None };
    Begun::Page(Box::new(Page::new(Input::Made(Box::new(source)), Some(parser(ex)))))
}

/// The upstream's page is complete and is read now. None: the response is not a page.
pub fn gathered(ex: &mut Exchange) -> Option<Box<Page>> {
    let mut gathered = ex.response.gathered.take()?;
    if gathered.file.is_some() && gathered.failed.is_none() {
        gathered.failed = gathered.spill(&ex.here().settings.body.temp).err().map(|failure| failure.errno);
    }
    let input = match (gathered.failed, gathered.file) {
        (Some(errno), _) => Input::Lost(errno),
        (None, Some(file)) => Input::Temp(file, 0),
        (None, None) => Input::Made(Box::new(Source::bytes(gathered.memory))),
    };
    Some(Box::new(Page::new(input, Some(parser(ex)))))
}
