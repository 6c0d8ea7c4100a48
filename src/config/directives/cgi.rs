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
        "Runs the files of the location as CGI programs: by an interpreter, given by its path, or on for files that are executable themselves. What follows the script's name in the URI is PATH_INFO. Only regular files inside the root are run. Where something follows a program's name, a request for the program alone, without what follows, has to lead to the same location (403): with `location ~ [.]py$` /picture.jpg/x.py runs no picture, and no program is run past the password of a location of its own. An `if` or a rewrite on the way changes nothing of that. Behind a named location the request for the program alone has to come there in the same way, by the same rewrites, `return` or `try_files`: behind `try_files $uri @app;` nothing is run that the location before it serves as a file. To give programs PATH_INFO in a location with a pattern, let it match both: `location ~ [.]py(/|$)`. A program has its PATH_INFO anyway where the configuration spells out the end of its name: in a rewrite (`rewrite ^ /app.py$uri break;`, `rewrite ^/(\\w+)/api(/.*)$ /$1.py$2 break;`), or as the location (`location /app.py/`). A body is read whole before the program starts, so CONTENT_LENGTH is always its true length. Programs end with the server; after a crash of the serving process the parent ends them, and with them jobs that earlier programs left running since that process began (but for those that made a session of their own, setsid), and without one (the server was not started as root) they go on until they are done.",
    )
    .ours(),
    row(
        "cgi_extension",
        HSL,
        Args::TAKE2,
        "",
        Effect::Many(extension),
        "Runs files with this extension as cgi_pass does: `cgi_extension .py /usr/bin/python3;`, `cgi_extension .cgi on;`. The first name in the URI with such an extension is the program, in whatever order the lines are; directories are passed by, and other files in them are sent as files. Lines of a level replace all that were inherited.",
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
        "Whether files that clients may have stored (by upload_store, dav_methods or allowed_methods; what they deleted, in a delete_trash, counts too, and bodies that client_body_in_file_only on keeps) are run by CGI or passed to FastCGI, SCGI or uwsgi applications all the same. They are never run otherwise, whatever alias or link leads to them: such a request is answered with 403. An upload_store that begins with a variable whose values the configuration does not tell ($arg_dir) may lie anywhere, so that no program is run at all. SSI commands in pages that lie there are not run either, such pages are sent as they are: what a command includes, a password does not protect. Of an application's parameters those are judged that it may run files by: SCRIPT_FILENAME; without it PATH_TRANSLATED, and DOCUMENT_ROOT with SCRIPT_NAME; UWSGI_FILE, UWSGI_SCRIPT, UWSGI_CHDIR and UWSGI_PYHOME; and DOCUMENT_ROOT with PATH_INFO for uWSGI's CGI and PHP (uwsgi_modifier1 9 and 14; one that uWSGI itself sets, as by its fastcgi-modifier1, scgi-modifier1 or setmodifier1, cannot be seen from here: do not set those to 9 or 14 where clients store files). Where a SCRIPT_FILENAME ends in $fastcgi_script_name the file of that name below the root counts too: an application in a container sees it by another path.",
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
