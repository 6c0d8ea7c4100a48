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
    row("delete_recursive", SL, Args::FLAG, "off", Effect::Flag(|s| &mut upload(s).delete_recursive), "\
        Whether DELETE of a directory removes its contents; off: 409 unless it is empty. Links are not followed, \
        other file systems not entered. Removal continues if the client disconnects; if something cannot be removed, \
        the answer says what is left. Directories with entries that their location protects are kept: 403.").ours(),
    row("delete_trash", SL, Args::TAKE12, "off", Effect::Once(trash), "Directory into which DELETE moves files and \
        directories instead of removing them, or off. A name that is taken gets a number. What cannot be renamed (the \
        trash is on another file system; directories of a lower layer of overlayfs) is copied into it and then \
        removed. Variables may follow a directory (/srv/trash/$remote_user). Its contents are hidden, unless it is \
        shown, or a location has it as root, where DELETE removes for good.").ours(),
    row("upload_store", SL, Args::TAKE1, "", Effect::Once(store), "Directory for POSTed files, or off; by default \
        that of the URI. Files appear complete or not at all. Variables are allowed; a relative path starts at the \
        prefix. Below it, the path is the URI after the location's name; regex and named locations keep only the \
        last segment. Names of another location must satisfy its rules too.").ours().also(&["upload_dir", "upload_path"]),
    row("upload_store_access", HSL, Args::TAKE123, "user:rw", Effect::Once(store_access), "Mode of stored files: user:rw group:r all:r.").ours(),
    row("upload_create_path", HSL, Args::FLAG, "off", Effect::Flag(|s| &mut upload(s).create_path), "\
        Whether missing directories inside the store are created, at most 64 for one path (400 beyond). They are \
        created when the content is complete. With it the files of a form may have paths as names (a folder chosen \
        in a browser): each is stored in its folder below the URI.").ours(),
    row("upload_on_duplicate", HSL, Args::TAKE1, "error", Effect::Once(on_duplicate), "What a POST does when the name is taken: error (409), overwrite (atomically), rename (name-1.ext, decided without a race). Of several files of one form with one name the later ones are renamed under overwrite, too.").ours(),
    row("upload_max_file_size", HSL, Args::TAKE1, "0", Effect::Once(max_file_size), "Largest stored file; a larger one gets 413 and nothing is stored. 0 is no limit.").ours(),
    row("upload_max_files", HSL, Args::TAKE1, "20", Effect::Number(|s| &mut upload(s).max_files), "The number of files that a form may have at most; more get 413. 0 is no limit.").ours(),
    row("upload_types", HSL, Args::ONE_OR_MORE, "", Effect::Once(types), "Media types that may be stored (image/* works); others get 415. Without it all may.").ours(),
    row("upload_extensions", HSL, Args::ONE_OR_MORE, "", Effect::Once(extensions), "File extensions that may be stored (.jpg), or with ! may not (!.php); others get 415. Without it all may.").ours(),
    row("upload_filename", HSL, Args::TAKE1, "original", Effect::Once(filename), "How the stored name is made: original, random, time, or a value with variables ($upload_file_name, $upload_file_ext, $upload_field_NAME, $request_id and all others). A value is judged like a client's name. PUT always stores the name of the URI.").ours(),
    row("upload_min_free", SL, Args::TAKE1, "off", Effect::Once(min_free), "Space an upload must leave free on the disk, as a size or in percent, or off; an upload that would take it gets 507, before its body is read where Content-Length tells, else as it arrives (looked at every 4 MiB of all uploads); of an upload that goes on (upload_resumable) what has arrived by then stays.").ours(),
    row("upload_quota", SL, Args::TAKE123, "off", Effect::Once(quota), "Limit for all files of an area together: \
        bytes and, with files=N, their number; beyond it 507. The area is the location's directory or upload_store \
        (each value of its variables) with all below it. Uploads in progress count; a replaced file does not. Each \
        process counts alone; with shared, they count together by a lock file.").ours(),
    row("upload_sync", HSL, Args::FLAG, "off", Effect::Flag(|s| &mut upload(s).sync), "Whether an upload is answered \
        only when it is on disk: content first, then name and directories. After a power cut there is either the old \
        file or the whole new one. DELETE, MKCOL, COPY and MOVE are also answered when on disk. off: files are still \
        whole for every reader, but a power cut may lose about the last half minute.").ours(),
    row("upload_limit_rate", HSL, Args::TAKE1, "0", Effect::Once(limit_rate), "Bytes per second that are read of an upload; its client waits, others do not. Each request on a connection has the whole rate. Variables are allowed; 0, or no size, is no limit.").ours(),
    row("upload_verify_digest", HSL, Args::TAKE1, "on", Effect::Once(verify_digest), "Whether Content-Digest and \
        Repr-Digest (RFC 9530, sha-256, sha-512) of uploads are verified: off, on, or require, which refuses uploads \
        without one. They may be in the head, in the head of a form's part, or in trailers. A mismatch gets 400. \
        Want-Repr-Digest is answered for uploads, and for GET where POST or PUT is allowed.").ours(),
    row("upload_return", SL, Args::TAKE12, "", Effect::Once(answer), "Response to a successful POST: a code below \
        400, with a URI for 301, 302, 303, 307 and 308, with a text for others; by default 201 and the list of \
        files. Variables here and in logs: $upload_files (how many), $upload_file_name, _ext, _size and _path (of \
        the first), $upload_field_NAME (form fields), $upload_status.").ours(),
    row("upload_cross_site", HSL, Args::FLAG, "off", Effect::Flag(|s| &mut upload(s).cross_site), "Whether pages of other sites may POST uploads here. A browser sends such a form without asking, with the visitor's cookies and address; Sec-Fetch-Site and Origin tell where it comes from. off answers 403; programs, which send neither, are not concerned.").ours(),
    row("upload_names", HSL, Args::TAKE1, "safe", Effect::Once(names), "Which names may be stored. safe: all but those that are not UTF-8, or hold control characters, marks that change the direction of writing, backslashes, or %-escapes of such; dotfiles only under dav_methods, as nginx stores them. any: whatever the file system can hold. Names that begin with .webserv- are never stored.").ours(),
    row("upload_serve", SL, Args::TAKE1, "attachment", Effect::Once(serve), "How an upload area sends files that \
        could run in a browser (HTML, SVG, XML, scripts): attachment, to be saved, or inline. Without it, areas are \
        locations with upload_store, autoindex_upload, or POST or PUT in allowed_methods, except `location /`. Files \
        below an upload_store are protected everywhere, unless the root is there.").ours(),
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
