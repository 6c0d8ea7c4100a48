//! Listings of directories.

use super::{SL, row};
use crate::config::ast::Directive;
use crate::config::context::{Args, Contexts};
use crate::config::model::Settings;
use crate::config::resolve::{Build, Scope};
use crate::config::table::{Effect, Outcome, Row, invalid};
use std::rc::Rc;

#[derive(Clone, Debug)]
pub struct Listing {
    pub on: bool,
    pub format: Format,
    pub exact_size: bool,
    pub localtime: bool,
    /// The page shows upload and delete controls.
    pub upload: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Html,
    Json,
    Xml,
    Jsonp,
    Page,
}

impl Default for Listing {
    fn default() -> Listing {
        Listing { on: false, format: Format::Html, exact_size: true, localtime: false, upload: false }
    }
}

fn listing(s: &mut Settings) -> &mut Listing {
    Rc::make_mut(&mut s.listing)
}

const HSL: Contexts = Contexts::HSL;

pub const ROWS: &[Row] = &[
    row("autoindex", HSL, Args::FLAG, "off", Effect::Flag(|s| &mut listing(s).on), "Whether a directory without index file is listed."),
    row("autoindex_format", HSL, Args::TAKE1, "html", Effect::Once(format), "html, json, xml or jsonp as nginx writes them; page is webserv's own readable listing."),
    row("autoindex_exact_size", HSL, Args::FLAG, "on", Effect::Flag(|s| &mut listing(s).exact_size), "Whether html listings give sizes in bytes or rounded."),
    row("autoindex_localtime", HSL, Args::FLAG, "off", Effect::Flag(|s| &mut listing(s).localtime), "Whether html listings give local time or UTC."),
    row("autoindex_upload", SL, Args::FLAG, "off", Effect::Once(upload), "Shows an upload form, drag and drop and delete buttons in the listing, as far as the location allows the methods. Implies autoindex_format page.").ours(),
];

fn format(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    listing(&mut s.settings).format = match d.args[0].bytes() {
        b"html" => Format::Html,
        b"json" => Format::Json,
        b"xml" => Format::Xml,
        b"jsonp" => Format::Jsonp,
        b"page" => Format::Page,
        _ => return Err(invalid(d, 0).help("html, json, xml, jsonp or page")),
    };
    Ok(())
}

fn upload(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let on = crate::config::table::flag(d, 0)?;
    let listing = listing(&mut s.settings);
    listing.upload = on;
    if on {
        listing.format = Format::Page;
    }
    Ok(())
}
