//! `cgi_pass` and related directives: programs started for each request (RFC 3875).

use crate::config::ast::{Directive, Word};
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::model::ContentHandler;
use crate::config::row::{Effect, Row, row};
use crate::config::settings::cgi::{Cgi, Interpreter};
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
        "Runs the location's files as CGI programs: with the interpreter at this path, or on for executable files. \
         The URI after the program's name is PATH_INFO. Only regular files inside the root are run; the request body \
         is read whole first. In a regex location, PATH_INFO needs a pattern that matches both: `location ~ \
         [.]py(/|$)`.",
    )
    .ours(),
    row(
        "cgi_extension",
        HSL,
        Args::TAKE2,
        "",
        Effect::Many(extension),
        "Runs files with this extension as cgi_pass does: `cgi_extension .py /usr/bin/python3;`, `cgi_extension .cgi \
         on;`. The first name in the URI with such an extension is the program; other files are sent. Lines of a \
         level replace all inherited ones.",
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
        "CGI programs that run at a time; a request beyond is answered with 503. Processes that a program leaves behind are ended with it, except those in a session of their own (setsid): these go on without counting, and only the system bounds them (TasksMax of a systemd unit, pids.max of a cgroup).",
    )
    .ours(),
    row(
        "upload_execute",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut Rc::make_mut(&mut s.cgi).uploads),
        "Whether files that clients may have stored (upload_store, dav_methods, allowed_methods, a trash) may be run \
         by CGI, passed to FastCGI, SCGI or uwsgi applications, or read for SSI commands. off: such requests get \
         403, whichever alias or link leads there, and SSI pages are sent as they are.",
    )
    .ours(),
];

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
    s.own.content = ContentHandler::Cgi;
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
