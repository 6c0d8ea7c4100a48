//! Uploads and deletes: webserv's own directives.

use crate::config::argument::{invalid, wrong};
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::Outcome;
use crate::config::model::Settings;
use crate::config::row::{Effect, Row, SL, row};
use crate::config::settings::upload::{
    Answer, Duplicate, Extensions, FileName, MinFree, NameRule, Quota, Serve, Store, UploadSettings, VerifyDigest,
};
use crate::config::template::{Part, Template};
use crate::config::value::{self, Mode, Size};
use crate::http::status::Status;
use std::rc::Rc;

fn upload(s: &mut Settings) -> &mut UploadSettings {
    Rc::make_mut(&mut s.upload)
}

const HSL: Contexts = Contexts::HSL;

pub const ROWS: &[Row] = &[
    row("delete_recursive", SL, Args::FLAG, "off", Effect::Flag(|s| &mut upload(s).delete_recursive), "Whether DELETE of a directory removes what is in it, never through a link or into another file system; off, a directory that is not empty gets 409. It is done in slices, so that no other request waits, and finished even if the client goes away; where something cannot be removed it stops there, and the answer says what is left. A directory that a location is for, or that holds one, stays, and so does one with an entry that the rules of its own location (deny, methods, scripts) keep: 403, and nothing is removed.").ours(),
    row("delete_trash", SL, Args::TAKE12, "off", Effect::Once(trash), "Directory into which DELETE moves files, links and whole directories instead of removing them, or off. It is made where it is missing, and must be on the same file system (else 500, and nothing is deleted). If a name is taken there, a number is added (name-1.ext); nothing is overwritten. On overlayfs a directory of a lower layer, which comes with an image, is moved only when it is empty (else 409), unless the mount has redirect_dir=on. Variables are allowed after a directory (/srv/trash/$remote_user). What lies in it is not listed, served or deleted, except by a location whose root or alias is the trash itself, where DELETE removes for good. With shown it is a directory like others, so that people can take back what they deleted: one that lies in the area (delete_trash html/files/trash shown) is listed, and a file is brought back by moving it out, with MOVE or by the page's Rename (../name); what is deleted in it is gone for good, and everyone who may read the area sees what others deleted. A file whose path belongs to another location than the same name in a shown trash (one nested in it with auth_basic, say) is not deleted: 403, and the log says why; that location needs a trash of its own, or one without shown. A folder with a file of a location that has another trash is not deleted (403): delete that file first. Neither a trash nor a directory that holds one is moved, replaced or deleted, and archives, searches and a COPY of a directory leave out a trash that is not shown, however deep it lies. Without shown, files are brought back on the server itself, with mv, or downloaded from a location for it. For upload_quota it counts only if it lies in the area.").ours(),
    row("upload_store", SL, Args::TAKE1, "", Effect::Once(store), "Directory where POSTed files are stored, or off. Without it that is the directory of the request's URI. A file appears there complete or not at all. Variables are allowed; a relative path is taken from the prefix, but one that begins with a variable must be absolute by its value: nothing is stored if that is empty or relative (500). Inside it, the path is what follows the location's name in the URI. A location with a pattern and a named one have no such name: only the last segment of the URI is kept there, and two PUTs with the same last segment are one file, unless variables make the directory (captures). A name that belongs to another location is also checked by that location's rules (403, 413, 415); if that location keeps its files elsewhere (root, alias), the file would not be at its URI: 403. With an upload_store that is not the URI's own directory, LOCK is refused (403): DELETE, MOVE and the other methods of dav_methods mean the URI's own file, but PUT means one in the store. A resumable upload continues where the variables led when it was begun: those that differ in each request (an id, the time, and maps of them) may have changed, all others must have the same values ($remote_user, $http_x_tenant), else it is not found (404), and the log says why.").ours().also(&["upload_dir", "upload_path"]),
    row("upload_store_access", HSL, Args::TAKE123, "user:rw", Effect::Once(store_access), "Mode of stored files: user:rw group:r all:r.").ours(),
    row("upload_create_path", HSL, Args::FLAG, "off", Effect::Flag(|s| &mut upload(s).create_path), "Whether missing directories inside the store are made, up to 64 for one path (400 beyond). They are made when the content is complete, just before the file gets its name in them; those of a process that is killed between the two stay, empty. With it the files of a form may bring paths as names (a folder chosen in a browser): each is stored in the folder it names, below the one that was posted to.").ours(),
    row("upload_on_duplicate", HSL, Args::TAKE1, "error", Effect::Once(on_duplicate), "What a POST does when the name is taken: error (409), overwrite (atomically), rename (name-1.ext, decided without a race). Of several files of one form with one name the later ones are renamed under overwrite, too.").ours(),
    row("upload_max_file_size", HSL, Args::TAKE1, "0", Effect::Once(max_file_size), "Largest stored file; a larger one gets 413 and nothing is stored. 0 is no limit.").ours(),
    row("upload_max_files", HSL, Args::TAKE1, "20", Effect::Number(|s| &mut upload(s).max_files), "The number of files that a form may have at most; more get 413. 0 is no limit.").ours(),
    row("upload_types", HSL, Args::ONE_OR_MORE, "", Effect::Once(types), "Media types that may be stored (image/* works); others get 415. Without it all may.").ours(),
    row("upload_extensions", HSL, Args::ONE_OR_MORE, "", Effect::Once(extensions), "File extensions that may be stored (.jpg), or with ! may not (!.php); others get 415. Without it all may.").ours(),
    row("upload_filename", HSL, Args::TAKE1, "original", Effect::Once(filename), "How the stored name is made: original, random, time, or a value with variables ($upload_file_name, $upload_file_ext, $upload_field_NAME, $request_id and all others). A value is judged like a client's name. PUT always stores the name of the URI.").ours(),
    row("upload_min_free", SL, Args::TAKE1, "off", Effect::Once(min_free), "Space an upload must leave free on the disk, as a size or in percent, or off; an upload that would take it gets 507, before its body is read where Content-Length tells, else as it arrives (looked at every 4 MiB of all uploads); of an upload that goes on (upload_resumable) what has arrived by then stays.").ours(),
    row("upload_quota", SL, Args::TAKE123, "off", Effect::Once(quota), "The most that all files of an area may add up to: bytes and, with files=N, their number; more gets 507. The area is the location's directory or upload_store (one area for each value of its variables) with everything below it. For a location with a pattern it is the directory that the pattern begins with (`^/up/`), or else the root's; where captures make an alias, everything that it may lead to is one area. Files are counted at first use, in slices while others are served, and the sum is then kept up to date. Uploads in progress have their part, so that together they never exceed the quota, and a replaced file counts no more (if several uploads replace one file at once, the first has its room). A resumable upload (upload_resumable) reserves what has arrived of it, and its announced length while a request sends it and for five minutes after its last byte; a later request may find no room (507), and can continue when there is some. At most files=N uploads, and one for each 32 KiB of the quota, may be unfinished in an area (then 507), but 64 always may: each keeps a record of up to 32 KiB. Directories are not files; files=N of them, and one for each 4 KiB of the quota, may be in an area, but 64 always may: beyond that none is made for an upload, by MKCOL or by COPY (507). An upload that replaces a file needs room only for what it adds, as a PUT does, from its first request on; the old file stays on the disk until the new one is whole, which upload_min_free takes into account. What others write there is noticed at the next upload while the area has at most a thousand names, in a larger one by counting again, which takes 5 % of the time at most; an upload that would be refused waits for a count that is due. Each process keeps the quota by itself: four that store in one area may together store four times as much. With shared they keep it together, exactly: a lock file in the area (.webserv-quota, which holds the sums) is locked while files get their names, and a file that does not fit then is refused. An upload, COPY or MOVE waits for the lock without delaying other clients; after 30 seconds it gets 503. It needs locks that reach all of the processes (not FUSE, nor NFS with nolock).").ours(),
    row("upload_sync", HSL, Args::FLAG, "off", Effect::Flag(|s| &mut upload(s).sync), "Whether an upload is answered only when it is on the disk: the file's content (fsync) before the file gets its name, then the directory. After a power cut there is then either the old file or the whole new one, and an upload that was answered with success is there, as far as the disk keeps its word; so are the directories that were made for it, all the way up. DELETE, MKCOL, COPY and MOVE are answered when their changes are on the disk, and nothing is removed before its replacement is there. If the disk fails to record a name, what had the name before gets it back and the request is answered with an error; what cannot be undone (a DELETE; the copy of a directory that others have put something into meanwhile; a replaced file where there is no journal of hidden names, that is no pid file, or its directory cannot be written) is answered with 500 and a sentence that says so. The kernel's workers wait for the disk (io_submit), a directory once for all uploads that wait for it; where these are not available the whole server waits, which is kept short by writing large files back while they arrive. off: a file is still whole for everyone who reads it and survives the end of the process, but a power cut may lose the last half minute or so. For a resumable upload (upload_resumable) every offset that is sent is on the disk, and so is the record of the upload; after a restart of the machine, bytes beyond the last such offset do not count.").ours(),
    row("upload_limit_rate", HSL, Args::TAKE1, "0", Effect::Once(limit_rate), "Bytes per second that are read of an upload; its client waits, others do not. Each request on a connection has the whole rate. Variables are allowed; 0, or no size, is no limit.").ours(),
    row("upload_verify_digest", HSL, Args::TAKE1, "on", Effect::Once(verify_digest), "Whether Content-Digest and Repr-Digest (RFC 9530, sha-256 and sha-512) are checked while the body streams: off, on, or require, which refuses uploads without one. They may stand in the head, in the head of a form's part, or in the trailers of a chunked body (announced by `Trailer: Content-Digest` where it is larger than 4 MiB, or a part of a resumable upload). With require a form needs one of its body, or one in the head of each file's part. A Repr-Digest that comes with the creation of a resumable upload is that of the whole. A digest that does not match is a 400, and nothing is stored. Want-Repr-Digest is answered with the digest of what was stored. GET and HEAD of a file tell the one that the client wants (Want-Repr-Digest) where POST or PUT is allowed: it is sent without compression then, and hashed once for each version.").ours(),
    row("upload_return", SL, Args::TAKE12, "", Effect::Once(answer), "What a stored POST is answered with: a code below 400, with a URI for 301, 302, 303, 307 and 308, with a text for the others. Without it that is 201 and the list of the files. Variables, here and in log_format and add_header: $upload_files (how many), $upload_file_name, $upload_file_ext, $upload_file_size and $upload_file_path (of the first), $upload_field_NAME (a plain field of the form, with _ for what is neither letter nor digit; all together are 64 KiB at most), $upload_status (stored or refused). In a URI names and fields are escaped.").ours(),
    row("upload_cross_site", HSL, Args::FLAG, "off", Effect::Flag(|s| &mut upload(s).cross_site), "Whether pages of other sites may POST uploads here. A browser sends such a form without asking, with the visitor's cookies and address; Sec-Fetch-Site and Origin tell where it comes from. off answers 403; programs, which send neither, are not concerned.").ours(),
    row("upload_names", HSL, Args::TAKE1, "safe", Effect::Once(names), "Which names may be stored. safe: all but those that are not UTF-8, or hold control characters, marks that change the direction of writing, backslashes, or %-escapes of such; dotfiles only under dav_methods, as nginx stores them. any: whatever the file system can hold. Names that begin with .webserv- are never stored.").ours(),
    row("upload_serve", SL, Args::TAKE1, "attachment", Effect::Once(serve), "How an upload area sends files that could run in a browser (HTML, SVG, XML, scripts): attachment, to be saved, or inline. Without the directive an area is a location with upload_store, autoindex_upload or POST or PUT among its allowed_methods, except `location /`: that is a whole site. Files below any upload_store are guarded wherever they are shown, unless the root of the site lies there too.").ours(),
];

fn store(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    upload(&mut s.settings).store = if d.args[0].is("off") { Store::Off } else { Store::Path(b.path_template(d, 0)?) };
    Ok(())
}

fn trash(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let trash = if d.args[0].is("off") { None } else { Some(b.path_template(d, 0)?) };
    // The part before variables is known in advance, and can be excluded from being served.
    let is_fixed = |template: &Template| match &template.parts[..] {
        [Part::Literal(text)] => text.iter().any(|b| *b != b'/'),
        [Part::Literal(text), ..] => text.ends_with(b"/") && text.iter().any(|b| *b != b'/'),
        _ => false,
    };
    if trash.as_ref().is_some_and(|template| !is_fixed(template)) {
        return Err(invalid(d, 0).help("a directory, with variables behind it at most: /srv/trash/$remote_user"));
    }
    let shown = d.args.len() == 2;
    if shown && (trash.is_none() || !d.args[1].is("shown")) {
        return Err(invalid(d, 1).help("\"shown\" behind a directory, or nothing"));
    }
    let settings = upload(&mut s.settings);
    (settings.trash, settings.trash_shown) = (trash, shown);
    Ok(())
}

fn store_access(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let words = d.args.iter().map(|w| w.bytes());
    upload(&mut s.settings).mode = Mode::parse(words).map_err(|(at, e)| wrong(d, at, e))?.0;
    Ok(())
}

/// `g` is accepted too, since it is a file size.
fn max_file_size(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    upload(&mut s.settings).max_file_size = Size::parse_offset(d.args[0].bytes()).map_err(|e| wrong(d, 0, e))?;
    Ok(())
}

fn on_duplicate(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    upload(&mut s.settings).on_duplicate = match d.args[0].bytes() {
        b"error" => Duplicate::Error,
        b"overwrite" => Duplicate::Overwrite,
        b"rename" => Duplicate::Rename,
        _ => return Err(invalid(d, 0).help("error, overwrite or rename")),
    };
    Ok(())
}

fn filename(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    upload(&mut s.settings).filename = match d.args[0].bytes() {
        b"original" => FileName::Original,
        b"random" => FileName::Random,
        b"time" => FileName::Time,
        value if value.contains(&b'/') => {
            return Err(invalid(d, 0).help("a file name; upload_store names the directory"));
        }
        _ => FileName::Value(b.template(d, 0)?),
    };
    Ok(())
}

fn min_free(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let word = &d.args[0];
    upload(&mut s.settings).min_free = match word.bytes() {
        b"off" => MinFree::Bytes(0),
        [percent @ .., b'%'] => match value::number(percent, 100) {
            Ok(percent) => MinFree::Percent(percent),
            Err(_) => return Err(invalid(d, 0).help("a percentage from 0% to 100%")),
        },
        bytes if bytes.ends_with(b"percent") || bytes.ends_with(b"pct") => {
            let digits: String = word.str().chars().take_while(char::is_ascii_digit).collect();
            return Err(invalid(d, 0).help(format!("write {digits}%")));
        }
        bytes => MinFree::Bytes(Size::parse_offset(bytes).map_err(|e| wrong(d, 0, e))?.0),
    };
    Ok(())
}

fn quota(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let (mut files, mut shared) = (0, false);
    for (at, word) in d.args.iter().enumerate().skip(1) {
        match word.bytes().strip_prefix(b"files=") {
            Some(number) => files = value::number(number, u64::MAX).map_err(|e| wrong(d, at, e))?,
            None if word.is("shared") => shared = true,
            None => return Err(invalid(d, at).help("files=N or shared")),
        }
    }
    upload(&mut s.settings).quota = match d.args[0].bytes() {
        b"off" if d.args.len() == 1 => None,
        bytes => Some(Quota { bytes: Size::parse_offset(bytes).map_err(|e| wrong(d, 0, e))?.0, files, shared }),
    };
    Ok(())
}

fn verify_digest(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let choices = [("off", VerifyDigest::Off), ("on", VerifyDigest::On), ("require", VerifyDigest::Require)];
    upload(&mut s.settings).verify_digest = value::choice(d.args[0].bytes(), &choices).map_err(|e| wrong(d, 0, e))?;
    Ok(())
}

fn limit_rate(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let rate = b.template(d, 0)?;
    if let Some(text) = rate.constant() {
        Size::parse(text).map_err(|e| wrong(d, 0, e))?;
    }
    upload(&mut s.settings).limit_rate = Some(rate);
    Ok(())
}

fn answer(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let code = value::number(d.args[0].bytes(), 399).ok().filter(|code| *code >= 200);
    let Some(code) = code.and_then(|code| u16::try_from(code).ok()) else {
        return Err(invalid(d, 0).help("a code from 200 to 399: the files are stored by then"));
    };
    let text = if d.args.len() > 1 { Some(b.template(d, 1)?) } else { None };
    if Status(code).is_redirect() && text.is_none() {
        return Err(invalid(d, 0).help("a redirect needs a URI: `upload_return 303 /thanks.html;`"));
    }
    upload(&mut s.settings).answer = Some(Answer { code, text });
    Ok(())
}

fn serve(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let choices = [("attachment", Serve::Attachment), ("inline", Serve::Inline)];
    let serve = value::choice(d.args[0].bytes(), &choices).map_err(|e| wrong(d, 0, e))?;
    upload(&mut s.settings).serve = Some(serve);
    Ok(())
}

fn names(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let choices = [("safe", NameRule::Safe), ("any", NameRule::Any)];
    upload(&mut s.settings).names = value::choice(d.args[0].bytes(), &choices).map_err(|e| wrong(d, 0, e))?;
    Ok(())
}

fn types(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    for (at, word) in d.args.iter().enumerate() {
        if !word.bytes().contains(&b'/') {
            return Err(invalid(d, at).help("a media type such as image/png or image/*"));
        }
    }
    upload(&mut s.settings).types = d.args.iter().map(|w| w.bytes().to_ascii_lowercase().into()).collect();
    Ok(())
}

fn extensions(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let mut extensions = Extensions::default();
    for (at, word) in d.args.iter().enumerate() {
        let bytes = word.bytes();
        let (list, name) = match bytes.strip_prefix(b"!") {
            Some(rest) => (&mut extensions.denied, rest),
            None => (&mut extensions.allowed, bytes),
        };
        let name = name.strip_prefix(b".").unwrap_or(name);
        if name.is_empty() || name.contains(&b'*') || name.contains(&b'/') {
            return Err(invalid(d, at).help("an extension such as .jpg, or !.php"));
        }
        list.push(name.to_ascii_lowercase().into());
    }
    upload(&mut s.settings).extensions = Rc::new(extensions);
    Ok(())
}
