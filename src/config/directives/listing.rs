//! Directory listings.

use crate::config::argument::invalid;
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::Outcome;
use crate::config::model::Settings;
use crate::config::row::{Effect, Row, SL, row};
use crate::config::settings::listing::{Archive, Format, Listing};
use crate::config::value::Size;
use std::rc::Rc;

fn listing(s: &mut Settings) -> &mut Listing {
    Rc::make_mut(&mut s.listing)
}

const HSL: Contexts = Contexts::HSL;

pub const ROWS: &[Row] = &[
    row(
        "autoindex",
        HSL,
        Args::FLAG,
        "off",
        Effect::Once(autoindex),
        "Whether a directory without index file is listed. Off also turns autoindex_upload off.",
    ),
    row(
        "autoindex_format",
        HSL,
        Args::TAKE1,
        "html",
        Effect::Once(format),
        "html, json, xml or jsonp as nginx writes them, sockets, FIFOs and devices left out; page is webserv's own readable listing, which is JSON for clients that accept application/json rather than HTML.",
    ),
    row(
        "autoindex_archive",
        HSL,
        Args::TAKE1,
        "off",
        Effect::Once(archive),
        "zip or tar: the page offers everything \
        below a folder as one file, also as `?archive=zip` or `?archive=tar`. It is created while it is sent, \
        without files that the client could not read itself. Files that cannot be opened are listed in \
        MISSING-FROM-THIS-ARCHIVE.txt at its end. tar keeps modes and times.",
    )
    .ours(),
    row(
        "autoindex_exact_size",
        HSL,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut listing(s).exact_size),
        "Whether html listings give sizes in bytes or rounded.",
    ),
    row(
        "autoindex_localtime",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut listing(s).localtime),
        "Whether html listings and the page give local time or UTC.",
    ),
    row(
        "autoindex_search",
        HSL,
        Args::FLAG,
        "on",
        Effect::Flag(|s| &mut listing(s).search),
        "\
        Whether the page (autoindex_format page) can be searched: `?search=TEXT` lists entries below the folder \
        whose names contain the text, ignoring case, as page or JSON. At most 50000 entries are examined and 500 \
        shown. Links are not followed; entries that the client could not read or list itself are left out.",
    )
    .ours(),
    row(
        "autoindex_upload",
        SL,
        Args::FLAG,
        "off",
        Effect::Once(upload),
        "Shows an upload form, drag and drop, and \
        buttons to delete, rename and create folders in the listing, as far as the location's methods allow. Folders \
        can be uploaded with upload_create_path; large files resume with upload_resumable. Turns autoindex on with \
        the format page; index files are not used.",
    )
    .ours(),
    row(
        "listing_cache_size",
        Contexts::HTTP,
        Args::TAKE1,
        "8m",
        Effect::Once(cache_size),
        "Memory for rendered listings, or off. A listing is used for a second at most, and only while the kernel \
         (inotify) reports no change and its entries are unchanged. In directories with more than about ten thousand \
         entries, changed sizes and times show after a second. On network, FUSE and overlay file systems it is not \
         used.",
    )
    .ours(),
    row(
        "random_index",
        Contexts::LOCATION,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut listing(s).random),
        "Whether a URI that ends in a slash answers with one of the directory's files, another each time. Files whose names begin with a dot take no part.",
    ),
];

fn autoindex(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let on = crate::config::argument::flag(d, 0)?;
    let listing = listing(&mut s.settings);
    listing.on = on;
    // autoindex off also disables the page with upload controls, inherited or not.
    listing.upload &= on;
    Ok(())
}

fn cache_size(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let size = if d.args[0].is("off") { Size(0) } else { crate::config::argument::offset(d, 0)? };
    listing(&mut s.settings).cache_size = size;
    Ok(())
}

fn format(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    listing(&mut s.settings).format = match &d.args[0].lower()[..] {
        b"html" => Format::Html,
        b"json" => Format::Json,
        b"xml" => Format::Xml,
        b"jsonp" => Format::Jsonp,
        b"page" => Format::Page,
        _ => return Err(invalid(d, 0).help("html, json, xml, jsonp or page")),
    };
    Ok(())
}

fn archive(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    listing(&mut s.settings).archive = match &d.args[0].lower()[..] {
        b"off" => Archive::Off,
        b"zip" => Archive::Zip,
        b"tar" => Archive::Tar,
        _ => return Err(invalid(d, 0).help("zip, tar or off")),
    };
    Ok(())
}

fn upload(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let on = crate::config::argument::flag(d, 0)?;
    let listing = listing(&mut s.settings);
    listing.upload = on;
    listing.on |= on;
    Ok(())
}
