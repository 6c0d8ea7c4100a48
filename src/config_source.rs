//! Where the configuration comes from: the file, or the directory to serve, that the arguments mean, and what to advise
//! where it is not there. Nothing is read here.

use crate::cli::{self, Args, Tool};
use crate::share;
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use webserv::config::build::Form;
use webserv::server::lifecycle::Failure;
use webserv::server::reload::ConfigSource;
use webserv::sys::Errno;

/// Which file is meant, and how the program was called.
pub fn of(args: &Args) -> Result<ConfigSource, Failure> {
    let called = std::env::args_os().next().unwrap_or_default();
    let program = Path::new(&called).file_name().map_or("webserv".into(), |name| name.to_string_lossy().into_owned());
    let here = std::env::current_dir().map_err(|e| {
        let cure =
            if e.kind() == ErrorKind::NotFound { "\nthe current directory was removed: cd to another one" } else { "" };
        Failure::of(format!("getcwd() failed {}{cure}", Errno::from(e)))
    })?;
    let prefix = match &args.prefix {
        Some(prefix) => here.join(prefix),
        None => here.clone(),
    };
    if let Some(dir) = args.config.as_ref().filter(|config| config.is_dir()) {
        return share::config_source(&here.join(dir), &args.share, program, executable(&called, &here));
    }
    if let Some(option) = args.share.first_option() {
        let what = match &args.config {
            None => "no directory is named: name one, as in webserv . --upload".to_owned(),
            Some(path) if path.exists() => format!("\"{}\" is a file: use its directives for that", path.display()),
            Some(path) => format!("\"{}\" does not exist", path.display()),
        };
        return Err(Failure::of(format!("{option} is for serving a directory; {what}")));
    }
    if let Some((named, e)) = args.config.as_ref().and_then(|named| Some((named, named.metadata().err()?))) {
        return Err(no_such(args, named, Errno::from(e)));
    }
    // nginx's file is read as nginx reads it.
    if let (Some(Tool::CheckNginx), Some(config)) = (&args.tool, &args.config) {
        let file = here.join(config);
        let prefix = if args.prefix.is_some() { prefix } else { file.parent().unwrap_or(&here).to_owned() };
        return Ok(ConfigSource {
            executable: executable(&called, &here),
            file,
            text: None,
            prefix,
            directives: None,
            error_log: None,
            form: Form::Nginx,
            program,
        });
    }
    let (file, form) = match (&args.config, &args.file) {
        (Some(config), _) => (config.clone(), Form::Webserv),
        (None, Some(file)) => (prefix.join(file), Form::Nginx),
        (None, None) if args.prefix.is_some() => (prefix.join("conf/nginx.conf"), Form::Nginx),
        (None, None) => (default_file(args)?, Form::Webserv),
    };
    Ok(ConfigSource {
        executable: executable(&called, &here),
        file,
        text: None,
        prefix,
        directives: args.directives.clone().map(|text| text.into_vec()),
        error_log: args.error_log.clone(),
        form,
        program,
    })
}

/// The path that the program was called by, symbolic links kept: if they lead to another release later, an upgrade
/// starts that one. Without such a path, the file itself, by /proc; where that is not mounted, the file is taken for
/// the one that was started.
fn executable(called: &OsStr, here: &Path) -> PathBuf {
    let file = |path: &Path| path.metadata().map(|data| (data.dev(), data.ino())).ok();
    let started = file(Path::new("/proc/self/exe"));
    let is_started = |path: &PathBuf| match started {
        Some(_) => file(path) == started,
        None => path.is_file(),
    };
    let found = if called.as_bytes().contains(&b'/') {
        Some(here.join(called)).filter(is_started)
    } else {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).map(|dir| here.join(dir).join(called)).find(is_started)
    };
    found.or_else(|| std::env::current_exe().ok()).unwrap_or_else(|| PathBuf::from(called))
}

fn default_file(args: &Args) -> Result<PathBuf, Failure> {
    const PLACES: [&str; 2] = ["conf/default.conf", "/etc/webserv/webserv.conf"];
    let found = PLACES.iter().map(PathBuf::from).find(|path| path.exists());
    let hint = match &args.signal {
        _ if args.serves() => HINT.to_owned(),
        Some(signal) => {
            format!("name the one that the server runs by: webserv -s {signal} CONFIG; see 'webserv --help'")
        }
        None => "name one; see 'webserv --help'".to_owned(),
    };
    found
        .ok_or_else(|| Failure::of(format!("no configuration: neither {} nor {} exists\n{hint}", PLACES[0], PLACES[1])))
}

/// What a first word may be.
const HINT: &str = "webserv DIR serves a directory, webserv FILE the sites of a configuration; see 'webserv --help'";

/// What was named is no file: a directory that is not there, a command that is nearly one of ours, or one of others.
fn no_such(args: &Args, named: &Path, e: Errno) -> Failure {
    let word = named.to_string_lossy();
    let advice = match e {
        Errno::ENOENT if args.serves() => {
            let meant = cli::advice_on_word(&word).map_or(String::new(), |advice| format!("{advice}\n"));
            format!("\n{meant}{HINT}")
        }
        Errno::EACCES => {
            "\na directory on the way may not be entered by this user: chmod o+x, or start as a user who may".to_owned()
        }
        _ => String::new(),
    };
    Failure::of(format!("open() \"{word}\" failed {e}{advice}"))
}
