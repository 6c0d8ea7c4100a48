//! `cgi_pass` and what stands around it: programs that are started for each request (RFC 3875).

use crate::config::ast::{Directive, Span, Word};
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::model::{Content, Location, LocationKind, WriteArea};
use crate::config::row::{Effect, Row, row};
use crate::config::settings::cgi::{Cgi, Interpreter};
use crate::config::settings::proxy_pass::Protocol;
use std::rc::Rc;

fn cgi(s: &mut Scope) -> &mut Cgi {
    Rc::make_mut(&mut s.settings.cgi)
}

const HSL: Contexts = Contexts::HSL;

pub const ROWS: &[Row] = &[
    row(
        "cgi_pass",
        Contexts::LOCATION.or(Contexts::IF_LOCATION),
        Args::TAKE1,
        "off",
        Effect::Once(pass),
        "Runs the files of the location as CGI programs: by an interpreter, given by its path, or on for files that are executable themselves. What follows the script's name in the URI is PATH_INFO. Only regular files inside the root are run. A body is read whole before the program starts, so CONTENT_LENGTH is always its true length.",
    )
    .ours(),
    row(
        "cgi_extension",
        HSL,
        Args::TAKE2,
        "",
        Effect::Many(extension),
        "Runs files with this extension as cgi_pass does: `cgi_extension .py /usr/bin/python3;`, `cgi_extension .cgi on;`. Lines of a level replace all that were inherited.",
    )
    .ours(),
    row(
        "cgi_working_dir",
        HSL,
        Args::TAKE1,
        "",
        Effect::Once(|s, b, d| {
            cgi(s).working_dir = Some(b.template(d, 0)?);
            Ok(())
        }),
        "Directory that CGI programs start in, variables allowed; without it the script's own.",
    )
    .ours(),
    row(
        "cgi_timeout",
        HSL,
        Args::TAKE1,
        "60s",
        Effect::Time(|s| &mut Rc::make_mut(&mut s.cgi_upstream).read_timeout),
        "How long a CGI program may be silent; then it is ended (TERM, then KILL, to all that it started) and the answer is 504. It is the limit of its processor time too.",
    )
    .ours(),
    row(
        "cgi_env",
        HSL,
        Args::TAKE2,
        "",
        Effect::Many(env),
        "A variable of the environment of CGI programs, variables allowed. Of the server's own environment they see only PATH. Lines of a level replace all that were inherited.",
    )
    .ours(),
    row(
        "cgi_stderr",
        HSL,
        Args::TAKE1,
        "log",
        Effect::Once(|s, _, d| {
            cgi(s).logs_stderr = match d.args[0].bytes() {
                b"log" | b"on" => true,
                b"off" => false,
                _ => return Err(Fault::new(d.args[0].span, format!("invalid value \"{}\"", d.args[0].str()))),
            };
            Ok(())
        }),
        "Where STDERR of CGI programs goes: log is the error log, off nowhere.",
    )
    .ours(),
    row(
        "cgi_max_children",
        HSL,
        Args::TAKE1,
        "64",
        Effect::Number(|s| &mut Rc::make_mut(&mut s.cgi).max_children),
        "CGI programs that run at a time; a request beyond is answered with 503.",
    )
    .ours(),
    row(
        "upload_execute",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut Rc::make_mut(&mut s.cgi).uploads),
        "Whether files that clients may have stored (by upload_store, dav_methods or allowed_methods) are run by CGI or passed to FastCGI all the same. They are never run otherwise, whatever alias or link leads to them: such a request is answered with 403.",
    )
    .ours(),
];

/// The message about a location whose files are run although clients may write to them.
pub const STORED: &str = "programs are run below a place where clients may store files; what is stored is refused with \
                          403 unless \"upload_execute on\" stands here";

/// Those locations: see [`STORED`].
pub fn executed_stores(locations: &[Location]) -> Vec<Span> {
    // A regex that runs files is not tried below `^~`: what is stored there is not run.
    let reached = locations.iter().filter(|location| location.kind != LocationKind::PrefixFinal);
    let stores = super::upload::stores(reached.map(|location| &*location.settings.upload));
    let areas = super::upload::write_areas(locations);
    let beneath = |path: &[u8], directory: &[u8]| {
        path.strip_prefix(directory).is_some_and(|rest| matches!(rest.first(), None | Some(b'/')))
    };
    let risky = |location: &&Location| {
        let settings = &location.settings;
        let runs = match location.content {
            Content::Cgi => true,
            Content::Files => !settings.cgi.extensions.is_empty(),
            _ => location.pass.as_ref().is_some_and(|pass| pass.protocol == Protocol::FastCgi),
        };
        let root = settings.files.root.constant();
        let holds = |store: &[u8]| root.is_some_and(|root| beneath(store, root) || beneath(root, store));
        let stored = || location.stores() || stores.iter().any(|store| holds(store));
        // Where a file has the same URI for both, what is stored is judged by the location that would run it.
        let own = match settings.files.alias {
            None => Some(&b""[..]),
            Some(length) => location.name.get(..length as usize),
        };
        let aliased = |area: &WriteArea| match (root, own, &area.uri) {
            (Some(root), Some(own), Some(uri)) => !is_same_mapping((root, own), (&area.directory, uri)),
            _ => true,
        };
        let written = || areas.iter().any(|area| holds(&area.directory) && aliased(area));
        runs && !settings.cgi.uploads && (stored() || written())
    };
    locations.iter().filter(risky).map(|location| location.span).collect()
}

/// Whether two directories, each with the URI that it stands for, give every file that lies in both the same URI.
fn is_same_mapping(a: (&[u8], &[u8]), b: (&[u8], &[u8])) -> bool {
    let end = |text: &[u8]| text.len() - usize::from(text.ends_with(b"/"));
    let (a, b) = ((&a.0[..end(a.0)], &a.1[..end(a.1)]), (&b.0[..end(b.0)], &b.1[..end(b.1)]));
    let (outer, inner) = if a.0.len() <= b.0.len() { (a, b) } else { (b, a) };
    match (inner.0.strip_prefix(outer.0), inner.1.strip_prefix(outer.1)) {
        (Some(directory), Some(uri)) => directory == uri,
        _ => false,
    }
}

fn interpreter(word: &Word) -> Result<Interpreter, Fault> {
    match word.bytes() {
        b"on" => Ok(None),
        path if path.starts_with(b"/") => Ok(Some(path.into())),
        _ => Err(Fault::new(word.span, format!("invalid value \"{}\"", word.str()))
            .help("the path of an interpreter, as /usr/bin/python3, or on for files that are executable")),
    }
}

fn pass(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    if d.args[0].is("off") {
        return Ok(());
    }
    s.own.interpreter = interpreter(&d.args[0])?;
    s.own.content = Content::Cgi;
    Ok(())
}

fn extension(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let word = &d.args[0];
    if !word.bytes().starts_with(b".") || word.bytes().len() < 2 || word.bytes().contains(&b'/') {
        let text = format!("invalid extension \"{}\"", word.str());
        return Err(Fault::new(word.span, text).help("with its dot: .py"));
    }
    let entry = (word.bytes().into(), interpreter(&d.args[1])?);
    let first = s.first;
    cgi(s).extensions.add(first, entry);
    Ok(())
}

fn env(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    let word = &d.args[0];
    let legal = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
    if word.is_empty() || !word.bytes().iter().all(legal) {
        return Err(Fault::new(word.span, format!("invalid name \"{}\"", word.str())));
    }
    let entry = (word.bytes().into(), b.template(d, 1)?);
    let first = s.first;
    cgi(s).env.add(first, entry);
    Ok(())
}
