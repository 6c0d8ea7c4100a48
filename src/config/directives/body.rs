//! Where a request body is stored if it is read before the response: `client_body_*`. Uploads are different: they are
//! streamed to their files.

use crate::config::argument::{invalid, wrong};
use crate::config::ast::Directive;
use crate::config::build::{Build, Scope};
use crate::config::context::{Args, Contexts};
use crate::config::fault::{Fault, Outcome};
use crate::config::model::Settings;
use crate::config::row::{Effect, Row, row};
use crate::config::settings::body::{BodySettings, InFileOnly, TempPath};
use crate::config::value;
use std::rc::Rc;

fn body(s: &mut Settings) -> &mut BodySettings {
    Rc::make_mut(&mut s.body)
}

const HSL: Contexts = Contexts::HSL;

pub const ROWS: &[Row] = &[
    row(
        "client_body_in_file_only",
        HSL,
        Args::TAKE1,
        "off",
        Effect::Once(in_file_only),
        "Whether every body that proxy_pass reads goes to a file of client_body_temp_path, whose name is in $request_body_file: on keeps the file, clean removes it after the request. Files of uploads and of PUT are put in place by themselves and have no such name.",
    ),
    row(
        "client_body_in_single_buffer",
        HSL,
        Args::FLAG,
        "off",
        Effect::Flag(|s| &mut body(s).in_single_buffer),
        "Accepted: a body that is kept in memory for $request_body is always one buffer here.",
    ),
    row(
        "client_body_temp_path",
        HSL,
        Args::TAKE1234,
        "client_body_temp",
        Effect::Once(temp_path),
        "Directory for bodies that proxy_pass reads and that exceed client_body_buffer_size, and up to three levels of directories in it, named by the last digits of a file's name. Made when the server starts. Called as webserv CONFIG, the default is the system's directory for temporary files.",
    ),
];

fn in_file_only(s: &mut Scope, _: &mut Build, d: &Directive) -> Outcome {
    let choices = [("off", InFileOnly::Off), ("on", InFileOnly::On), ("clean", InFileOnly::Clean)];
    body(&mut s.settings).in_file_only = value::choice(d.args[0].bytes(), &choices).map_err(|e| wrong(d, 0, e))?;
    Ok(())
}

fn temp_path(s: &mut Scope, b: &mut Build, d: &Directive) -> Outcome {
    body(&mut s.settings).temp = temp_directory(b, d)?;
    Ok(())
}

/// A directory for temporary files, with its levels; created when the server starts.
pub(super) fn temp_directory(b: &mut Build, d: &Directive) -> Result<Rc<TempPath>, Fault> {
    /// nginx's limit: the digits of a file name, and a slash per level.
    const MOST: usize = 10 + 3;
    let mut levels = Vec::new();
    for at in 1..d.args.len() {
        let level = value::number(d.args[at].bytes(), MOST as u64).map_err(|_| invalid(d, at))?;
        levels.push(level as usize);
        if level == 0 || levels.iter().sum::<usize>() + levels.len() > MOST {
            return Err(invalid(d, at).help("the levels share the ten digits of a file's name"));
        }
    }
    let path = b.full_path(d.args[0].bytes());
    b.temp_path(&path);
    Ok(Rc::new(TempPath { path, levels }))
}
