//! HUP: rereads the configuration without dropping connections; USR2: starts a new binary with the same sockets.
//!
//! Under a parent ([`crate::privsep`]) a new process serves the new configuration. Without one (a container's first
//! process, systemd's `User=`) the original process must stay, with its pid, connections, counters and tickets. So it
//! reads the configuration itself, in steps of some milliseconds with turns of the loop between them ([`checkpoint`]),
//! and a helper process resolves names ([`Session`]). A small configuration takes one step: it applies to all requests
//! that arrive after the signal.
//!
//! What cannot be divided into steps: building the automaton for one list of patterns (1 ms per hundred), loading one
//! key or CRL, freeing one table of names, and looking up `user` if the system asks a directory service.

pub use super::config_source::ConfigSource;
use super::failure::{Cause, Failure};
use super::listeners::{Listeners, NAMES, PassedSockets, UNITS};
use super::pid_file::PidFileChange;
use super::reload_report::{self, Refused, Report};
use super::{Mode, Reload, Server, connection_limit, temp_paths};
use crate::config::ast::Directive;
use crate::config::context::Contexts;
use crate::config::dismantle;
use crate::config::error::{Diagnostic, Diagnostics, Severity};
use crate::config::load;
use crate::config::load::{LoadOptions, Loaded, Touch};
use crate::config::lookup::Session;
use crate::config::model::{Config, Level};
use crate::config::registry;
use crate::config::resolve::resolve;
use crate::config::sources::Sources;
use crate::conn::token::{Role, token_of};
use crate::exchange::handlers::resumable::sweep;
use crate::sys::{Errno, epoll, file};
use crate::tls::entropy;
use crate::util::checkpoint::{self, Interlude};
use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The service status after a failed reload.
pub const REFUSED: &str = "serving the old configuration: the new one was refused, the error log says why";

/// The result of reading: the configuration if nothing was wrong, and all diagnostics.
pub struct Read {
    /// None: there is an error.
    pub config: Option<Config>,
    /// The texts, for diagnostics.
    pub sources: Sources,
    /// The syntax tree; empty if it is no longer needed.
    pub tree: Vec<Directive>,
    /// Errors and warnings.
    pub diagnostics: Diagnostics,
}

/// The errors for the log. Values that they quote, and advice, which shows them too, are left out where not all may
/// read the configuration: other people may read the log. The command that asked for the reload gets them.
pub fn logged(read: &Read) -> Vec<String> {
    const OTHERS_READ: u32 = 0o004;
    let is_private = |path: &Path| std::fs::metadata(path).is_ok_and(|data| data.mode() & OTHERS_READ == 0);
    let is_private = read.sources.ids().any(|file| is_private(read.sources.os_path(file)));
    let errors = read.diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Emerg);
    let text = |diagnostic: &Diagnostic| {
        let hints = diagnostic.label.iter().chain(&diagnostic.help).filter(|_| !is_private);
        let hints: String = hints.map(|hint| format!("; {hint}")).collect();
        let summary = diagnostic.summary(&read.sources);
        format!("{}{hints}", if is_private { without_values(&summary) } else { summary })
    };
    errors.map(text).collect()
}

/// The text without what it quotes, except for words of the language itself that follow all values. Where a value with
/// quotes in it ends can be told from the end of the text only.
fn without_values(text: &str) -> String {
    let parts: Vec<&str> = text.split('"').collect();
    let is_mark = |word: &str| word.len() == 1 && !word.starts_with(|c: char| c.is_alphanumeric());
    if let [_, quoted, _] = &parts[..]
        && is_mark(quoted)
    {
        return text.to_owned();
    }
    let is_word = |word: &str| matches!(word, "on" | "off") || registry::find(word, Contexts::LOCATION).is_some();
    let (mut head, mut tail) = (&parts[..], String::new());
    while let [before @ .., quoted, last] = head {
        if !before.is_empty() && is_word(quoted) {
            tail = format!("\"{quoted}\"{last}{tail}");
            head = before;
        } else {
            let first = before.first().copied().unwrap_or_default();
            return format!("{first}\"...\"{last}{tail}");
        }
    }
    format!("{}{tail}", head.first().copied().unwrap_or_default())
}

impl ConfigSource {
    /// Loads and parses the files, without resolving.
    pub fn load(&self) -> Loaded {
        let options = LoadOptions { command_line: self.directives.clone(), ..LoadOptions::default() };
        match &self.text {
            Some(text) => load::load_text(&self.file.to_string_lossy(), text.as_bytes(), &options),
            None => load::load(&self.file, &options),
        }
    }

    /// Reads the configuration for inspection: writes no other file.
    pub fn read(&self) -> Read {
        self.make(self.load(), Vec::new())
    }

    /// As [`ConfigSource::read_to_serve`], beside other work: large parts no longer needed are freed in steps.
    pub fn read_beside(&self, logs: Vec<PathBuf>) -> Read {
        let mut read = self.read_to_serve(logs);
        dismantle::tree(std::mem::take(&mut read.tree));
        read
    }

    /// Reads the configuration in order to serve it. `logs`: log files that are already open, whose ids must not
    /// change.
    pub fn read_to_serve(&self, logs: Vec<PathBuf>) -> Read {
        self.make(Loaded { touch: Touch::Write, ..self.load() }, logs)
    }

    fn make(&self, mut loaded: Loaded, logs: Vec<PathBuf>) -> Read {
        let mut resolved = resolve(&mut loaded, &self.prefix, self.form, logs, self.error_log.as_deref());
        if let Some(config) = &mut resolved.config {
            let file = self.prefix.join(&self.file);
            config.process.conf_dir = file.parent().unwrap_or(&self.prefix).to_owned();
        }
        let Loaded { sources, directives: tree, .. } = loaded;
        Read { config: resolved.config, sources, tree, diagnostics: resolved.diagnostics }
    }
}

/// The warnings about an accepted configuration, for the error log.
pub fn notes(diagnostics: &Diagnostics, sources: &Sources) -> Vec<(Level, String)> {
    let level = |severity| match severity {
        Severity::Emerg => Level::Emerg,
        Severity::Warn => Level::Warn,
        Severity::Notice => Level::Notice,
    };
    diagnostics.iter().map(|d| (level(d.severity), d.summary(sources))).collect()
}

impl Server {
    /// Drops pooled exchanges, which refer to their last configuration.
    pub fn forget_pool(&mut self) {
        self.pool.clear();
        self.cx.upstream_balance.prune();
        self.cx.resolver.prune();
    }

    /// A reload is begun in the next turn; one that is under way is followed by another.
    pub(super) fn want_reload(&mut self) {
        self.reload = match self.reload {
            Reload::No | Reload::Wanted => Reload::Wanted,
            Reload::UnderWay | Reload::Again => Reload::Again,
        };
    }

    /// Rereads the configuration and applies it, and writes the report for `-s reload`.
    pub(super) fn reload(mut self) -> Server {
        self.reload = Reload::UnderWay;
        // Under a parent, the parent reads the configuration.
        let Some(config_source) = self.config_source.clone() else { return self };
        self.service_manager.reloading();
        let (mut server, read) = self.read_meanwhile(&config_source);
        let outcome = read.and_then(|read| server.take_over(&config_source, read));
        server.end_reload();
        if server.mode == Mode::Stopped {
            return server;
        }
        let refused = match outcome {
            Some(Ok(())) => Refused::default(),
            Some(Err(refused)) => refused,
            None => {
                format!("{}: [alert] the reload panicked; this is a bug in webserv\n", config_source.program).into()
            }
        };
        server.reloads += 1;
        server.protected("the end of a reload", |server| {
            server.service_manager.ready(if refused.errors.is_empty() { "serving" } else { REFUSED });
            if let Some(file) = &server.pid_file {
                reload_report::write(file.path(), &Report::new(server.reloads, refused));
            }
        });
        server
    }

    /// No turn is run for this reload any more: another that was wanted meanwhile may begin. A turn in which one is
    /// wanted serves nothing, so this may not come earlier.
    fn end_reload(&mut self) {
        self.reload = if self.reload == Reload::Again { Reload::Wanted } else { Reload::No };
    }

    /// Applies what was read. None: that panicked, or the process was stopped meanwhile.
    fn take_over(&mut self, config_source: &ConfigSource, mut read: Read) -> Option<Result<(), Refused>> {
        let config = read.config.take().map(Rc::new);
        if let Some(config) = &config {
            self.find_dirs_before(config);
        }
        if self.mode == Mode::Stopped {
            return None;
        }
        self.protected("a reload", |server| server.apply(config_source, read, config))
    }

    /// Resolves the directories of a configuration that is about to take over, with turns of the loop between steps.
    /// The first request that needs them would wait for all: 96 ms for those of 20 000 locations with uploads. To be
    /// called before [`Server::end_reload`].
    fn find_dirs_before(&mut self, config: &Rc<Config>) {
        while self.mode != Mode::Stopped
            && self.protected("a reload", |server| server.cx.find_dirs_of(config)).unwrap_or(false)
        {
            self.poll();
        }
    }

    /// Reads the configuration, with turns of the loop between steps. None: reading panicked.
    fn read_meanwhile(self, config_source: &ConfigSource) -> (Server, Option<Read>) {
        let logs = self.cx.logs.paths();
        let shared = Rc::new(RefCell::new(self));
        let session = Session::begin();
        let watched = checkpoint::watch(Box::new(Turns(shared.clone())));
        let read = catch_unwind(AssertUnwindSafe(|| config_source.read_beside(logs)));
        drop((watched, session));
        let server = Rc::into_inner(shared).expect("all watchers have let it go").into_inner();
        match read {
            Ok(read) => (server, Some(read)),
            Err(_) if server.mode == Mode::Stopped => (server, None),
            Err(_) => {
                let mut server = server;
                server.say(Level::Alert, format_args!("a reload panicked and is given up. This is a bug in webserv"));
                (server, None)
            }
        }
    }

    /// Whether requests of an earlier configuration may still run.
    pub(super) fn has_old_configs(&self) -> bool {
        !self.old_configs.is_empty()
    }

    /// Frees old configurations that no request uses, a part per turn; then closes logs that only they name.
    pub(super) fn drop_unused_configs(&mut self) {
        if !self.old_configs.is_empty() {
            let (held, free) = std::mem::take(&mut self.old_configs).into_iter().partition(|c| Rc::strong_count(c) > 1);
            self.old_configs = held;
            for config in free.into_iter().filter_map(Rc::into_inner) {
                self.spent_configs.push(config);
                // nginx's log message, which scripts wait for.
                let words = "in nginx an old worker process exited with code 0";
                self.note(format_args!("no connection uses the old configuration any more ({words})"));
            }
            if self.old_configs.is_empty() {
                self.begin_retiring();
            }
        }
        let slice = &mut self.cx.slice;
        let spent = self.spent_configs.len();
        self.spent_configs.retain_mut(|config| {
            !dismantle::config(config, || {
                // A step may take half a millisecond.
                slice.look();
                !slice.tick()
            })
        });
        if self.spent_configs.len() < spent {
            self.cx.upstream_balance.prune();
        }
        while self.cx.upstream_balance.is_pruning() && !self.cx.slice.tick() {
            self.cx.upstream_balance.prune_some();
        }
    }

    /// Applies a configuration. If it is wrong, or sockets are unavailable, nothing changes.
    ///
    /// # Errors
    /// What `-t` would report, or the system call that failed; it has been logged.
    fn apply(&mut self, config_source: &ConfigSource, read: Read, config: Option<Rc<Config>>) -> Result<(), Refused> {
        let Some(config) = config else {
            for text in logged(&read) {
                self.refuse(format_args!("{text}"));
            }
            self.say(Level::Error, format_args!("the configuration was not reloaded, the old one stays"));
            return Err(read.diagnostics.render(&read.sources, &config_source.program).into());
        };
        if let Err((path, e)) = self.cx.logs.open(&config) {
            return Err(self.keep(config_source, config, Failure::open(&path, e)));
        }
        if let Err(failure) = temp_paths::make(&config, None) {
            return Err(self.keep(config_source, config, failure));
        }
        let pid_file = match PidFileChange::write(self.pid_file.as_ref(), config.process.pid.as_deref()) {
            Ok(pid_file) => pid_file,
            Err(failure) => return Err(self.keep(config_source, config, failure)),
        };
        if let Err(e) = self.listeners.open(&config) {
            pid_file.undo(self.pid_file.as_ref());
            return Err(self.keep(config_source, config, Failure::bind(e)));
        }
        pid_file.settle(&mut self.pid_file);
        if config.speaks_tls() {
            entropy::collect();
        }
        let limit = connection_limit::of(&config);
        self.connection_limit(limit);
        self.cx.overload.set_limit(config.process.memory_limit);
        self.cx.files.set_limit(config.static_cache_size());
        self.cx.listings.set_limit(config.listing_cache_size());
        self.cx.response_cache.clear(config.repeat_cache_size());
        let old = std::mem::replace(&mut self.cx.config, config);
        self.cx.loaded = self.cx.now.unix;
        self.retire(&old);
        self.old_configs.push(old);
        let zones: HashSet<&str> = self.cx.config.tables.zones.iter().map(|zone| &*zone.counters).collect();
        self.cx.limits.forget(|counters| zones.contains(counters));
        self.cx.upstream_names.adopt(&self.cx.config);
        self.adopt_acme();
        self.plan_local_certificates();
        self.keep_journal();
        sweep::begin(&mut self.cx);
        self.open_syncs();
        self.forget_pool();
        self.wake_http2();
        if let Err(e) = self.watch_listeners() {
            let text = format!("epoll_ctl() failed {e}");
            self.refuse(format_args!("{text}"));
            return Err(format!("{}: [emerg] {text}\n", config_source.program).into());
        }
        self.note(format_args!("the configuration was reloaded"));
        let warnings = self.listeners.warnings().map(|text| (Level::Warn, text));
        for (level, text) in warnings.collect::<Vec<_>>().into_iter().chain(notes(&read.diagnostics, &read.sources)) {
            self.say(level, format_args!("{text}"));
        }
        self.note_without_proc();
        Ok(())
    }

    /// Keeps the old configuration, and writes the reason to the error log and the report for `-s reload`.
    fn keep(&mut self, config_source: &ConfigSource, spent: Rc<Config>, failure: Failure) -> Refused {
        self.spent_configs.extend(Rc::into_inner(spent));
        self.refuse(format_args!("{}; the old configuration stays", failure.why));
        kept(config_source, failure)
    }

    fn refuse(&mut self, what: std::fmt::Arguments<'_>) {
        let log = self.cx.config.process.error_log.clone();
        self.cx.logs.error(&log, Level::Emerg, &mut self.cx.now, None, what);
    }

    /// Starts the program again with the listening sockets; both serve until this one gets QUIT.
    pub(super) fn upgrade(&mut self) {
        let Some(config_source) = &self.config_source else { return };
        match start_new_binary(config_source, self.new_binary, &self.listeners) {
            Ok(pid) => {
                self.new_binary = Some(pid);
                self.listeners.share(true);
                self.note(format_args!("start new binary process, pid {pid}"));
            }
            Err(why) => self.upgrade_failed(&why),
        }
    }

    /// The new binary exited: this process continues.
    pub(super) fn new_binary_ended(&mut self, pid: i32) {
        self.new_binary = None;
        self.listeners.share(false);
        if let Some(file) = &self.pid_file {
            file.take_back();
        }
        self.upgrade_failed(&ended_early(pid));
    }

    /// Logs why an upgrade failed, and reports it to the command that requested it.
    fn upgrade_failed(&mut self, why: &str) {
        self.refuse(format_args!("{why}"));
        self.reloads += 1;
        if let (Some(file), Some(config_source)) = (&self.pid_file, &self.config_source) {
            reload_report::write(file.path(), &failed_upgrade(self.reloads, config_source, why));
        }
    }
}

/// The line for the log when a new binary did not last.
pub fn ended_early(pid: i32) -> String {
    format!("the new binary, process {pid}, has ended; the server goes on as it was")
}

/// The report for `-s upgrade`.
pub fn failed_upgrade(number: u64, config_source: &ConfigSource, why: &str) -> Report {
    Report::new(number, format!("{}: [emerg] {why}\n", config_source.program).into())
}

/// The report about a configuration that could not be applied.
pub fn kept(config_source: &ConfigSource, Failure { why, cause }: Failure) -> Refused {
    Refused { errors: format!("{}: [emerg] {why}; the old configuration stays\n", config_source.program), cause }
}

/// The report for `-s reopen` about logs that could not be reopened, with a line for each.
pub fn not_reopened(number: u64, config_source: &ConfigSource, failed: Vec<(PathBuf, Errno)>) -> (Vec<String>, Report) {
    let line = |(path, e): &(PathBuf, Errno)| {
        format!("{}; the log goes on in the file that was open before", Failure::open(path, *e).why)
    };
    let lines: Vec<String> = failed.iter().map(line).collect();
    let errors = lines.iter().map(|line| format!("{}: [emerg] {line}\n", config_source.program)).collect();
    let cause = failed.into_iter().next().map(|(path, e)| Cause::Open(path, e));
    (lines, Report::new(number, Refused { errors, cause }))
}

/// Runs turns of the loop while the configuration is read.
struct Turns(Rc<RefCell<Server>>);

impl Interlude for Turns {
    fn run(&mut self, awaited: Option<BorrowedFd<'_>>) {
        let mut server = self.0.borrow_mut();
        match awaited {
            None => server.poll(),
            Some(fd) => server.turns_until(fd),
        }
        if server.mode == Mode::Stopped {
            drop(server);
            // Aborts reading; the panic is caught where reading began.
            resume_unwind(Box::new("stopped"));
        }
    }
}

impl Server {
    fn turns_until(&mut self, fd: BorrowedFd<'_>) {
        let watched = self.epoll.add(fd, epoll::IN, token_of(Role::Awaited));
        while self.mode != Mode::Stopped && !file::wait_readable(fd, 0).unwrap_or(true) {
            match watched {
                Ok(()) => self.turn(),
                // If epoll fails, poll instead, which is only slower.
                Err(_) => self.poll(),
            }
        }
        let _ = self.epoll.delete(fd);
    }
}

/// Starts the current executable with the listening sockets. Returns its pid. `earlier`: a new binary that is still
/// running; as in nginx, that must exit first.
///
/// # Errors
/// It could not be started; with the full reason.
pub fn start_new_binary(
    config_source: &ConfigSource,
    earlier: Option<i32>,
    listeners: &Listeners,
) -> Result<i32, String> {
    if let Some(pid) = earlier {
        return Err(format!("no second new binary is started: process {pid} already is one; end it or this one first"));
    }
    let PassedSockets { names, units, fds } = listeners.handover();
    let args: Vec<OsString> = std::env::args_os().collect();
    let args: Vec<&OsStr> = args.iter().map(OsString::as_os_str).collect();
    // Environment variables that the service manager set for exactly this process now apply to the new one.
    let is_ours = |name: &OsString, value: &OsString| {
        name == "WATCHDOG_PID" && value.to_str() == Some(&crate::sys::process::getpid().to_string())
    };
    let mut env: Vec<(OsString, OsString)> =
        std::env::vars_os().filter(|(name, value)| name != NAMES && name != UNITS && !is_ours(name, value)).collect();
    env.extend([(NAMES.into(), names.into()), (UNITS.into(), units.into())]);
    let env: Vec<(&OsStr, &OsStr)> = env.iter().map(|(k, v)| (k.as_os_str(), v.as_os_str())).collect();
    let program = &config_source.executable;
    crate::sys::process::spawn_exec(program.as_os_str(), &args, &env, &fds)
        .map_err(|e| format!("the new binary \"{}\" could not be started {e}", program.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::build::Form;
    use crate::server::test_world::{self, World};
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    /// With a directory for each of many locations, so that finding them takes several turns.
    fn of_many_locations() -> Rc<Config> {
        let locations: String =
            (0..600).map(|n| format!("location /{n} {{ root /none/{n}; dav_methods PUT; }}")).collect();
        let text = format!("events {{}} http {{ server {{ listen 80; {locations} }} }}");
        let mut loaded = load::load_text("t", text.as_bytes(), &LoadOptions::default());
        let resolved = resolve(&mut loaded, Path::new("/"), Form::Webserv, Vec::new(), None);
        Rc::new(resolved.config.expect("the configuration is right"))
    }

    /// The first request after a reload that needed the directories of 20 000 locations with uploads waited 96 ms.
    #[test]
    fn the_directories_of_a_configuration_are_known_before_it_takes_over() {
        let mut world = World::new();
        let config = of_many_locations();
        world.server.find_dirs_before(&config);
        assert!(!world.server.cx.find_dirs_of(&config), "all are known");
    }

    /// With a second SIGHUP during the first reload, clients waited until the directories of all locations were known.
    #[test]
    fn clients_are_served_while_directories_are_found_though_another_reload_is_wanted() {
        let mut world = World::new();
        let mut client = UnixStream::connect(world.dir.path().join("socket")).expect("it listens");
        client.set_nonblocking(true).expect("fcntl");
        client.write_all(b"GET /f HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("there is room");
        world.server.reload = Reload::UnderWay;
        world.server.want_reload();
        world.server.find_dirs_before(&of_many_locations());
        assert!(test_world::read(&mut client).ends_with("content"), "it was served meanwhile");
        assert_eq!(world.server.reload, Reload::Again);
        world.server.end_reload();
        assert_eq!(world.server.reload, Reload::Wanted);
    }

    /// When a reload was refused, the log showed values of a configuration with mode 0600 to all who may read the log.
    #[test]
    fn the_log_of_a_refused_reload_shows_no_value_of_a_private_configuration() {
        for (summary, expected) in [
            (
                r#"invalid value "s3cret" in "gzip" directive, it must be "on" or "off" in /etc/a.conf:3"#,
                r#"invalid value "..." in "gzip" directive, it must be "on" or "off" in /etc/a.conf:3"#,
            ),
            (r#"unknown directive "s3cret" in /a:1"#, r#"unknown directive "..." in /a:1"#),
            (r#"unexpected "}" in /a:1"#, r#"unexpected "}" in /a:1"#),
            (r#"invalid key "s3"cret" in "listen" in /a:1"#, r#"invalid key "..." in "listen" in /a:1"#),
            (
                r#"invalid value "{"key":"s3cret"}" in "gzip" directive, it must be "on" or "off" in /a:1"#,
                r#"invalid value "..." in "gzip" directive, it must be "on" or "off" in /a:1"#,
            ),
            (r#"invalid value "{"on":"s3cret"}" in /a:1"#, r#"invalid value "..." in /a:1"#),
            ("no quotes in /a:1", "no quotes in /a:1"),
        ] {
            assert_eq!(without_values(summary), expected);
        }
    }
}
