//! HUP: the configuration anew, without dropping anyone; USR2: a new binary over the same sockets.

use super::lifecycle::Failure;
use super::listeners::Listeners;
use super::reload_report::{self, Report};
use super::{Server, accept, temp_paths};
use crate::config::build::Form;
use crate::config::error::{Diagnostics, Severity};
use crate::config::load;
use crate::config::load::{LoadOptions, Loaded};
use crate::config::model::{Config, Level};
use crate::config::resolve::resolve;
use crate::config::sources::Sources;
use crate::exchange::handlers::resumable::sweep;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::rc::Rc;

/// Where the configuration comes from: said once on the command line, read again at each reload.
#[derive(Clone, Debug)]
pub struct Origin {
    pub file: PathBuf,
    /// The configuration itself, where no file holds it (`webserv DIR`); `file` is then the name it is shown by.
    pub text: Option<String>,
    pub prefix: PathBuf,
    /// `-g`.
    pub directives: Option<Vec<u8>>,
    /// `-e`.
    pub error_log: Option<PathBuf>,
    pub form: Form,
    /// The name the program was called by: messages begin with it.
    pub program: String,
    /// Where it was started from: an upgrade starts what is there then, though the file was replaced.
    pub executable: PathBuf,
}

/// The status of a service whose reload failed.
pub const REFUSED: &str = "serving the old configuration: the new one was refused, the error log says why";

/// A load: the configuration if nothing was wrong, and everything there is to say.
pub struct Read {
    pub config: Option<Config>,
    pub sources: Sources,
    pub diagnostics: Diagnostics,
}

impl Origin {
    /// The texts and their tree, before anything is made of them.
    pub fn load(&self) -> Loaded {
        let options = LoadOptions { command_line: self.directives.clone(), ..LoadOptions::default() };
        match &self.text {
            Some(text) => load::load_text(&self.file.to_string_lossy(), text.as_bytes(), &options),
            None => load::load(&self.file, &options),
        }
    }

    /// Reads the configuration. `logs`: paths of log files that are open already, whose ids must not change.
    pub fn read(&self, logs: Vec<PathBuf>) -> Read {
        let mut loaded = self.load();
        let mut resolved = resolve(&mut loaded, &self.prefix, self.form, logs, self.error_log.as_deref());
        if let Some(config) = &mut resolved.config {
            let file = self.prefix.join(&self.file);
            config.process.conf_dir = file.parent().unwrap_or(&self.prefix).to_owned();
        }
        Read { config: resolved.config, sources: loaded.sources, diagnostics: resolved.diagnostics }
    }
}

/// What there is to say of a configuration that is used, for the error log.
pub fn notes(diagnostics: &Diagnostics, sources: &Sources) -> Vec<(Level, String)> {
    let level = |severity| match severity {
        Severity::Emerg => Level::Emerg,
        Severity::Warn => Level::Warn,
        Severity::Notice => Level::Notice,
    };
    diagnostics.iter().map(|d| (level(d.severity), d.summary(sources))).collect()
}

impl Server {
    /// Exchanges kept for reuse hold the configuration they served.
    pub fn forget_pool(&mut self) {
        self.pool.clear();
        self.cx.upstream_balance.prune();
        self.cx.resolver.prune();
    }

    /// Takes the configuration anew, and tells whoever asked what came of it.
    pub(super) fn reload(&mut self) {
        // Under a parent the configuration is read there.
        let Some(origin) = self.origin.clone() else { return };
        let pid = self.cx.config.process.pid.clone();
        self.supervisor.reloading();
        let errors = match self.protected("a reload", |server| server.renew(&origin)) {
            Some(Ok(())) => String::new(),
            Some(Err(errors)) => errors,
            None => format!("{}: [alert] the reload panicked; this is a bug in webserv\n", origin.program),
        };
        self.reloads += 1;
        self.supervisor.ready(if errors.is_empty() { "serving" } else { REFUSED });
        if let Some(pid) = pid {
            reload_report::write(&pid, &Report { number: self.reloads, errors });
        }
    }

    /// A configuration that is wrong, or sockets that cannot be had, leave everything as it was.
    ///
    /// # Errors
    /// What `-t` would say, or the system call that failed; the error log has it already.
    fn renew(&mut self, origin: &Origin) -> Result<(), String> {
        let read = origin.read(self.cx.logs.paths());
        let Some(config) = read.config else {
            for diagnostic in read.diagnostics.iter().filter(|d| d.severity == Severity::Emerg) {
                let hints: String = diagnostic.label.iter().chain(&diagnostic.help).map(|h| format!("; {h}")).collect();
                let text = diagnostic.summary(&read.sources);
                self.refuse(format_args!("{text}{hints}"));
            }
            self.say(Level::Error, format_args!("the configuration was not reloaded, the old one stays"));
            return Err(read.diagnostics.render(&read.sources, &origin.program));
        };
        if let Err((path, e)) = self.cx.logs.open(&config) {
            return Err(self.keep(origin, &format!("open() \"{}\" failed {e}", path.display())));
        }
        if let Err(Failure(why)) = temp_paths::make(&config, None) {
            return Err(self.keep(origin, &why));
        }
        if let Err(e) = self.listeners.assume(&config) {
            return Err(self.keep(origin, &e.to_string()));
        }
        let limit = accept::connection_limit(&config);
        self.connection_limit(limit);
        self.cx.files.set_limit(config.static_cache_size());
        self.cx.listings.set_limit(config.listing_cache_size());
        self.cx.response_cache.clear(config.repeat_cache_size());
        let old = std::mem::replace(&mut self.cx.config, Rc::new(config));
        self.old_configs.push(Rc::downgrade(&old));
        self.cx.loaded = self.cx.now.unix;
        drop(old);
        self.cx.upstream_names.adopt(&self.cx.config);
        self.keep_journal();
        sweep::begin(&mut self.cx);
        self.open_syncs();
        self.forget_pool();
        self.wake_http2();
        if let Err(e) = self.watch_listeners() {
            let text = format!("epoll_ctl() failed {e}");
            self.refuse(format_args!("{text}"));
            return Err(format!("{}: [emerg] {text}\n", origin.program));
        }
        self.note(format_args!("the configuration was reloaded"));
        for (level, text) in notes(&read.diagnostics, &read.sources) {
            self.say(level, format_args!("{text}"));
        }
        Ok(())
    }

    /// The old configuration stays, and why: in the error log, and for who asked.
    fn keep(&mut self, origin: &Origin, why: &str) -> String {
        self.refuse(format_args!("{why}; the old configuration stays"));
        format!("{}: [emerg] {why}; the old configuration stays\n", origin.program)
    }

    fn refuse(&mut self, what: std::fmt::Arguments<'_>) {
        let log = self.cx.config.process.error_log.clone();
        self.cx.logs.error(&log, Level::Emerg, &mut self.cx.now, None, what);
    }

    /// Starts the program anew with the listening sockets; both serve until this one is told to quit.
    pub(super) fn upgrade(&mut self) {
        let Some(origin) = &self.origin else { return };
        match start_new_binary(origin, &self.listeners) {
            Ok(pid) => {
                self.new_binary = Some(pid);
                self.listeners.share();
                self.note(format_args!("start new binary process, pid {pid}"));
            }
            Err(text) => self.refuse(format_args!("{text}")),
        }
    }
}

/// Starts what is at the place of our executable now, with the listening sockets. Gives its pid.
///
/// # Errors
/// It could not be started: why, in full.
pub fn start_new_binary(origin: &Origin, listeners: &Listeners) -> Result<i32, String> {
    let (names, fds) = listeners.handover();
    let args: Vec<OsString> = std::env::args_os().collect();
    let args: Vec<&OsStr> = args.iter().map(OsString::as_os_str).collect();
    let mut env: Vec<(OsString, OsString)> = std::env::vars_os().filter(|(k, _)| k != "NGINX").collect();
    env.push(("NGINX".into(), names.into()));
    let env: Vec<(&OsStr, &OsStr)> = env.iter().map(|(k, v)| (k.as_os_str(), v.as_os_str())).collect();
    let program = &origin.executable;
    crate::sys::process::spawn_exec(program.as_os_str(), &args, &env, &fds)
        .map_err(|e| format!("the new binary \"{}\" could not be started {e}", program.display()))
}
