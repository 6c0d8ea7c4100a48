//! Startup and shutdown of the process: logs, sockets, daemon, user, pid file, event loop.

pub use super::failure::{Cause, Failure};

use super::Server;
use super::failed_start;
use super::file_systems;
use super::greeting;
use super::listeners::{self, Listeners};
use super::pid_file::{self, PidFile};
use super::reload::ConfigSource;
use super::reload_report;
use super::run_directory;
use super::service_manager::{self, ServiceManager};
use super::serving_user::{self, ServingUser};
use super::signals::Signals;
use super::temp_paths;
use crate::config::build::Form;
use crate::config::model::{Config, Level, Location, LogTarget};
use crate::io::console;
use crate::services::Services;
use crate::services::logs::Logs;
use crate::sys::process::{self, Ready, Streams};
use crate::sys::socket::Addr;
use crate::sys::{Errno, file};
use crate::tls::entropy;
use crate::util::printable::Printable;
use std::io::IsTerminal;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// Whether the addresses are printed once they are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// One line for each.
    Addresses,
    /// Also print a QR code of the first address, if on a terminal.
    WithCode,
    /// Nothing is printed.
    Silent,
}

/// Opens everything that `config` names, and closes it again: what `-t` does in addition to parsing.
///
/// Files it creates are removed again, and existing ones keep their owner: a log created by root in a test, or a
/// directory given to the configured user, could not be written by a service that systemd starts as another user.
///
/// # Errors
/// The first file that cannot be opened, or an address that cannot be listened on.
pub fn test_open(config: &Config) -> Result<(), Failure> {
    let is_fresh = |path: &&Path| !path.as_os_str().is_empty() && !path.exists();
    let paths = config.log_files.iter().chain(&config.process.temp_paths).map(PathBuf::as_path);
    // State directories are created with their parents; innermost first.
    let states = config.acme.state_paths().flat_map(|path| path.ancestors());
    let fresh: Vec<&Path> = paths.chain(states).filter(is_fresh).collect();
    let outcome = open_all(config);
    for path in fresh {
        // Leave files alone that are not empty.
        let is_empty = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == 0);
        let _ = if is_empty { std::fs::remove_file(path) } else { std::fs::remove_dir(path) };
    }
    outcome
}

fn open_all(config: &Config) -> Result<(), Failure> {
    open_logs(config)?;
    // The default pid file may be overridden on the serving command line (`-g 'pid …;'`).
    let default = config.process.prefix.join("logs/nginx.pid");
    if let Some(path) = config.process.pid.as_ref().filter(|path| **path != default && !run_directory::is_to_come(path))
    {
        pid_file::is_possible(path)?;
    }
    // Fails if there is no such user.
    serving_user::of(config)?;
    // Inherited sockets are already bound, to whatever address.
    let is_handed_over = |name| std::env::var_os(name).is_some_and(|sockets| !sockets.is_empty());
    if ![listeners::NAMES, "LISTEN_FDS"].into_iter().any(is_handed_over) {
        listeners::are_local(config).map_err(Failure::bind)?;
    }
    temp_paths::make(config, None)
}

/// Directories and files of a configuration that the serving process could not use, or not together, with remedies.
pub fn missing_rights(config: &Config) -> Vec<String> {
    let of_user = serving_user::of(config).map(|worker| serving_user::missing_rights(worker.as_ref(), config));
    let apart = file_systems::apart(config);
    run_directory::missing(config).into_iter().chain(of_user.unwrap_or_default()).chain(apart).collect()
}

/// A process ready to serve: its logs and listeners are open, signals are read as events, the pid file is written.
pub struct Prepared {
    /// The configuration that is served first.
    pub config: Rc<Config>,
    /// Where a reload reads it.
    pub config_source: ConfigSource,
    /// Open logs.
    pub logs: Logs,
    /// Bound sockets.
    pub listeners: Listeners,
    /// The descriptor of signals.
    pub signals: Signals,
    /// None: none is configured, or the parent has it.
    pub pid_file: Option<PidFile>,
    /// The user to serve as; None: the process keeps its own.
    pub worker: Option<ServingUser>,
    /// Warnings about the configuration, for the error log.
    pub notes: Vec<(Level, String)>,
    ready: Option<Ready>,
}

/// Opens everything. A daemon returns from this in the background.
///
/// `notes` are the warnings about the configuration, which standard error has already.
///
/// # Errors
/// What could not be opened; the error log has it, too.
pub fn prepare(
    config: Config,
    config_source: ConfigSource,
    greeting: Greeting,
    notes: Vec<(Level, String)>,
) -> Result<Prepared, Failure> {
    let mut logs = open_logs(&config).inspect_err(|failure| failed_start::note_unopened(&config, failure))?;
    let config = Rc::new(config);
    open_others(config.clone(), config_source, greeting, notes, &mut logs)
        .inspect_err(|failure| failed_start::note(&mut logs, &config.process.error_log, failure))
}

/// What a server needs besides its logs, which it takes.
fn open_others(
    config: Rc<Config>,
    config_source: ConfigSource,
    greeting: Greeting,
    mut notes: Vec<(Level, String)>,
    logs: &mut Logs,
) -> Result<Prepared, Failure> {
    let worker = serving_user::of(&config)?;
    temp_paths::make(&config, worker.as_ref().map(|worker| worker.uid))?;
    let mut listeners = Listeners::default();
    let inherited = std::env::var(listeners::NAMES).ok();
    let units = std::env::var(listeners::UNITS).unwrap_or_default();
    // As in nginx: logged, but serve anyway.
    for (name, e) in inherited.iter().flat_map(|names| listeners.inherit(names, &units)) {
        let program = &config_source.program;
        console::line(format_args!(
            "{program}: [warn] invalid socket number \"{name}\" in NGINX environment variable {e}, ignored"
        ));
    }
    let is_child = !listeners.is_empty();
    if let Some(names) = service_manager::sockets().filter(|_| !is_child) {
        activate(&mut listeners, &names, &config, &config_source.program);
    }
    if let (Some(path), false) = (&config.process.pid, is_child) {
        pid_file::is_free(path)?;
        pid_file::is_possible(path)?;
    }
    // As many descriptors as the system allows; fewer are no reason not to serve.
    let _ = process::raise_nofile(config.process.nofile);
    listeners.open(&config).map_err(Failure::bind)?;
    print_greeting(greeting, &config, &config_source, &listeners);
    for text in listeners.warnings() {
        console::line(format_args!("{}: [warn] {text}", config_source.program));
        notes.push((Level::Warn, text));
    }
    // nginx prints nothing about missing rights of its user.
    let is_shown = config_source.form == Form::Webserv || worker.as_ref().is_some_and(|worker| worker.is_default);
    for text in serving_user::advice(worker.as_ref(), &config).into_iter().chain(file_systems::apart(&config)) {
        if is_shown {
            console::line(format_args!("{}: {text}", config_source.program));
        }
        notes.push((Level::Warn, text));
    }
    descriptors_suffice()?;
    let ready = match config.process.daemon && !is_child {
        true => Some(process::daemonize().map_err(|e| Failure::of(format!("fork() failed {e}")))?),
        false => None,
    };
    // Before the pid is published: from now on signals are events.
    let signals = Signals::watch().map_err(|e| Failure::of(format!("signalfd() failed {e}")))?;
    let pid_file = config.process.pid.as_deref().map(write_pid).transpose()?;
    let logs = std::mem::take(logs);
    Ok(Prepared { config, config_source, logs, listeners, signals, pid_file, worker, notes, ready })
}

/// Prints the addresses and sites.
fn print_greeting(greeting: Greeting, config: &Config, config_source: &ConfigSource, listeners: &Listeners) {
    if greeting == Greeting::Silent {
        return;
    }
    let program = &config_source.program;
    let reach = greeting::reachable_address(config);
    // For a served directory, the prefix is that directory.
    let here = config_source.text.as_ref().and_then(|_| std::env::current_dir().ok());
    let near = here.as_ref().unwrap_or(&config_source.prefix);
    for line in greeting::lines(config, listeners.addresses(), reach, near) {
        // A directory's name may contain any bytes.
        console::line(format_args!("{program}: {}", Printable(line.as_bytes())));
    }
    if listeners.addresses().next().is_none() {
        console::line(format_args!("{program}: running without an address to listen on, until a reload adds one"));
    }
    if greeting != Greeting::WithCode {
        return;
    }
    if greeting::is_for_this_machine(config) {
        let cure = if config_source.text.is_some() { "--bind 0.0.0.0" } else { "a \"listen\" without 127.0.0.1" };
        console::line(format_args!(
            "{program}: only this machine reaches that address; for a phone, which then gets a code, use {cure}"
        ));
        return;
    }
    if std::io::stderr().is_terminal()
        && let Some(code) = greeting::code(config, listeners.addresses(), reach)
    {
        console::complain(&code);
    }
}

/// Writes the pid file, and removes the report of a killed process with the same pid: in a container every start has
/// the same.
fn write_pid(path: &Path) -> Result<PidFile, Failure> {
    let file = PidFile::write(path)?;
    reload_report::remove(path);
    Ok(file)
}

/// Descriptors still needed before a request can be answered: for signals, the pid file, the parent, the event loop and
/// its timer, a client, its file.
const STILL_NEEDED: u64 = 8;

/// Refuses to start if connections could be accepted but not answered.
fn descriptors_suffice() -> Result<(), Failure> {
    let limit = process::nofile_limit().map_or(u64::MAX, |limit| limit.soft);
    let next = match file::open_at(None, c"/", file::O_PATH, 0) {
        Ok(fd) => u64::from(fd.as_raw_fd().unsigned_abs()),
        Err(Errno::EMFILE) => limit,
        Err(e) => return Err(Failure::of(format!("open() of \"/\" failed {e}"))),
    };
    if next.saturating_add(STILL_NEEDED) <= limit {
        return Ok(());
    }
    let least = next.saturating_add(STILL_NEEDED);
    Err(Failure::of(format!("at most {limit} descriptors may be open (RLIMIT_NOFILE): at least {least} are needed")))
}

/// Takes the sockets of a socket unit. One that is unusable, or that no `listen` names, is no reason not to serve.
fn activate(listeners: &mut Listeners, names: &str, config: &Config, program: &str) {
    for (name, why) in listeners.activate(names) {
        console::line(format_args!(
            "{program}: [warn] descriptor {name} of LISTEN_FDS is not a listening socket {why}: it is closed"
        ));
    }
    let is_v4 = |addr: &Addr| matches!(addr, Addr::V4(_));
    let mut torn = listeners.dual_ports();
    torn.retain(|port| config.sockets.iter().any(|wanted| is_v4(&wanted.addr) && wanted.addr.port() == Some(*port)));
    for port in &torn {
        console::line(format_args!(
            "{program}: [warn] the socket unit passes \"[::]:{port}\", which takes IPv4 as well, so that \"listen {port}\" cannot \
             have it: write ListenStream=0.0.0.0:{port} in the unit (and, for IPv6, ListenStream=[::]:{port} with \
             BindIPv6Only=ipv6-only), or \"listen [::]:{port} ipv6only=off\" alone in the configuration"
        ));
    }
    let is_torn = |addr: &Addr| !is_v4(addr) && addr.port().is_some_and(|port| torn.contains(&port));
    let unnamed = listeners.addresses().filter(|addr| !config.sockets.iter().any(|wanted| wanted.addr == **addr));
    for addr in unnamed.filter(|addr| !is_torn(addr)) {
        console::line(format_args!(
            "{program}: [warn] the socket unit passes \"{addr}\", which no \"listen\" names: it is closed here, and the unit keeps \
             its port; ListenStream= and \"listen\" have to name the same address"
        ));
    }
}

impl Prepared {
    /// For [`announce`], before the rest is moved out.
    pub fn take_ready(&mut self) -> Option<Ready> {
        self.ready.take()
    }
}

/// Lets the parent process continue; a daemon detaches from the terminal.
///
/// # Errors
/// The standard streams cannot be redirected.
pub fn announce(ready: Option<Ready>, config: &Config, logs: &mut Logs) -> Result<(), Failure> {
    if let Some(ready) = ready {
        leave_terminal(config, logs)?;
        ready.tell();
    }
    Ok(())
}

/// Serves in this process until it is stopped by a signal.
///
/// # Errors
/// The event loop could not be created; the error log says so, too.
pub fn serve(prepared: Prepared) -> Result<(), Failure> {
    let Prepared { config, config_source, mut logs, listeners, signals, pid_file, notes, ready, .. } = prepared;
    let announced = announce(ready, &config, &mut logs);
    announced.inspect_err(|failure| failed_start::note_unopened(&config, failure))?;
    let begun = begin(config.clone(), logs, listeners, signals);
    let mut server = begun.inspect_err(|failure| failed_start::note_unopened(&config, failure))?;
    server.config_source = Some(config_source);
    server.pid_file = pid_file;
    server.service_manager = ServiceManager::from_env();
    server.note_start(&notes);
    server.keep_journal();
    server.open_syncs();
    process::map_large_blocks();
    process::merge_freed_blocks();
    process::trim_memory();
    server.prepare_passwords();
    // A reload frees what it replaces.
    drop(config);
    server.service_manager.ready("serving");
    let mut server = server.run();
    server.end_journal();
    server.note(format_args!("exit"));
    if let Some(file) = server.pid_file.take() {
        reload_report::remove(file.path());
        file.remove();
    }
    Ok(())
}

/// # Errors
/// The event loop could not be created.
pub fn begin(config: Rc<Config>, logs: Logs, listeners: Listeners, signals: Signals) -> Result<Server, Failure> {
    if config.speaks_tls() {
        entropy::collect();
    }
    let mut cx = Services::new(config, logs);
    // The first request that needs them would wait for all.
    while cx.has_dirs_to_find() {
        cx.find_dirs();
    }
    Server::new(cx, listeners, signals).map_err(|e| Failure::of(format!("epoll failed {e}")))
}

/// Redirects a daemon's standard streams, so that a process waiting for their end can continue. What is written to
/// standard error anyway (by the runtime, in a panic) goes to the error log, as in nginx.
///
/// # Errors
/// The error of dup2.
pub fn leave_terminal(config: &Config, logs: &mut Logs) -> Result<(), Failure> {
    let failed = |e| Failure::of(format!("dup2() failed {e}"));
    process::redirect_stdio_to_null(Streams::All).map_err(failed)?;
    if let Some(log) = error_log_of(config, logs) {
        process::dup2(log, std::io::stderr().as_fd()).map_err(failed)?;
    }
    logs.drop_stderr();
    Ok(())
}

fn error_log_of<'a>(config: &Config, logs: &'a Logs) -> Option<BorrowedFd<'a>> {
    let LogTarget::File(id) = config.process.error_log.target else { return None };
    logs.descriptors().find(|(at, ..)| *at == id.at()).map(|(.., fd)| fd)
}

/// # Errors
/// The first log that cannot be opened.
pub fn open_logs(config: &Config) -> Result<Logs, Failure> {
    let mut logs = Logs::new();
    match logs.open(config) {
        Ok(()) => Ok(logs),
        Err((path, e)) => Err(Failure::open(&path, e)),
    }
}

impl Server {
    /// Logs the first lines of a serving process. What is on standard error already is not repeated there.
    pub fn note_start(&mut self, notes: &[(Level, String)]) {
        self.note(format_args!("webserv/{} started", env!("CARGO_PKG_VERSION")));
        let on_stderr = matches!(self.cx.config.process.error_log.target, LogTarget::Stderr);
        for (level, text) in notes.iter().filter(|_| !on_stderr) {
            self.say(*level, format_args!("{text}"));
        }
        self.note_without_proc();
    }

    /// Where /proc is not mounted, says what of the configuration does not work.
    pub(super) fn note_without_proc(&mut self) {
        if Path::new("/proc/self/fd").exists() {
            return;
        }
        let what =
            "/proc is not mounted: the real paths of files are unknown, and requests that depend on them are refused";
        self.say(Level::Alert, format_args!("{what} (uploads, WebDAV and links among others)"));
        if self.cx.config.process.memory_limit > 0 {
            let what = "the memory in use is unknown, so that worker_memory_limit limits nothing";
            self.say(Level::Alert, format_args!("/proc is not mounted: {what}"));
        }
        if self.parent.is_some() && self.cx.config.locations.iter().any(Location::runs_programs) {
            let what = "CGI programs that outlive their serving process are not found, and not ended";
            self.say(Level::Alert, format_args!("/proc is not mounted: {what}"));
        }
    }

    /// Logs a line at this level in the process's error log.
    pub fn say(&mut self, level: Level, what: std::fmt::Arguments<'_>) {
        let log = self.cx.config.process.error_log.clone();
        self.cx.logs.error(&log, level, &mut self.cx.now, None, what);
    }
}
