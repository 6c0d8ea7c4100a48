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
    row("autoindex", HSL, Args::FLAG, "off", Effect::Once(autoindex), "Whether a directory without index file is listed. Off also turns autoindex_upload off."),
    row("autoindex_format", HSL, Args::TAKE1, "html", Effect::Once(format), "html, json, xml or jsonp as nginx writes them, sockets, FIFOs and devices left out; page is webserv's own readable listing, which is JSON for clients that accept application/json rather than HTML."),
    row("autoindex_archive", HSL, Args::TAKE1, "off", Effect::Once(archive), "zip or tar: the page offers all below a folder as one file, `?archive=zip` and `?archive=tar` ask for it. It is made as it is sent, in little memory, whatever its size; what the client could not read by its own URI is not in it. What the server itself cannot open (EIO, a network file system that is gone) is named in MISSING-FROM-THIS-ARCHIVE.txt, its last file; an archive that breaks off later has no proper end. tar keeps modes and times.").ours(),
    row("autoindex_exact_size", HSL, Args::FLAG, "on", Effect::Flag(|s| &mut listing(s).exact_size), "Whether html listings give sizes in bytes or rounded."),
    row("autoindex_localtime", HSL, Args::FLAG, "off", Effect::Flag(|s| &mut listing(s).localtime), "Whether html listings and the page give local time or UTC."),
    row("autoindex_search", HSL, Args::FLAG, "on", Effect::Flag(|s| &mut listing(s).search), "Whether the page (autoindex_format page) searches below its folder: `?search=TEXT` answers with entries whose names contain the text, in upper or lower case, sorted by path, as page or JSON. 50000 entries are looked at and 500 found at most, then the page says that there is more; links are not followed, and nothing is named that the client could not read by its own URI or see in a listing.").ours(),
    row("autoindex_upload", SL, Args::FLAG, "off", Effect::Once(upload), "Shows an upload form, drag and drop and delete buttons in the listing, as far as the location allows the methods. A name that is taken can be replaced from the page where PUT or DELETE is allowed; folders can be made where POST stores by URI, and names changed and moved where DELETE is allowed besides; folders are uploaded with their paths where upload_create_path is on; large files go on where they broke off where upload_resumable speaks tus. Turns autoindex on, in the format page; index files are not looked for.").ours(),
    row("listing_cache_size", Contexts::HTTP, Args::TAKE1, "8m", Effect::Once(cache_size), "Memory for rendered listings, or off. A listing is kept for a second at most, and used only while the kernel (inotify) tells of no change in the directory and its subdirectories, links and files of several names are as they were, so that any change shows in the next answer; what inotify does not tell of (writes to mapped memory, or by another name that a file was given meanwhile) shows after that second. A directory of more than some ten thousand entries (1 MiB of names) is not watched: entries that come, go or are renamed show in the next answer, a new size or time of one that stays after that second. Directories on network, FUSE and layered file systems are read each time.").ours(),
    row("random_index", Contexts::LOCATION, Args::FLAG, "off", Effect::Flag(|s| &mut listing(s).random), "Whether a URI that ends in a slash answers with one of the directory's files, another each time. Files whose names begin with a dot take no part."),
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
