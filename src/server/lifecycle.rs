//! Start and end of the process: logs, sockets, daemon, user, pid file, the loop.

use super::Server;
use super::greeting;
use super::listeners::Listeners;
use super::pid_file::{self, PidFile};
use super::reload::Origin;
use super::reload_report;
use super::signals::Signals;
use super::temp_paths;
use crate::config::model::{Config, Level, LogTarget};
use crate::config::resolve::Form;
use crate::io::console;
use crate::services::Services;
use crate::services::logs::Logs;
use crate::sys::process::{self, Streams};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

/// Why the process could not start, as one sentence.
#[derive(Debug)]
pub struct Failure(pub String);

/// Whether the addresses are printed once they are open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Greeting {
    Addresses,
    Silent,
}

/// Opens all that `config` names, without keeping it: what `-t` does beyond reading.
pub fn rehearse(config: &Config, form: Form) -> Result<(), Failure> {
    open_logs(config)?;
    temp_paths::make(config, worker(config, form)?.map(|worker| worker.uid))
}

/// Serves until a signal ends it.
///
/// `notes` is what there is to say of the configuration: standard error was told already.
pub fn serve(config: Config, origin: Origin, greeting: Greeting, notes: &[(Level, String)]) -> Result<(), Failure> {
    let mut logs = open_logs(&config)?;
    let worker = worker(&config, origin.form)?;
    temp_paths::make(&config, worker.as_ref().map(|worker| worker.uid))?;
    let mut listeners = Listeners::default();
    let inherited = std::env::var("NGINX").ok();
    if let Some(names) = &inherited
        && let Some((name, e)) = listeners.inherit(names).into_iter().next()
    {
        // As nginx: said, and no reason not to serve.
        let program = &origin.program;
        console::line(format_args!(
            "{program}: [warn] invalid socket number \"{name}\" in NGINX environment variable {e}, ignored"
        ));
    }
    let is_child = !listeners.is_empty();
    if let (Some(path), false) = (&config.process.pid, is_child) {
        pid_file::is_free(path)?;
    }
    // As many descriptors as the system lets us have; fewer is no reason not to serve.
    let _ = process::raise_nofile(config.process.nofile);
    listeners.assume(&config).map_err(|e| Failure(e.to_string()))?;
    if greeting == Greeting::Addresses {
        for line in greeting::lines(&config, listeners.addresses(), &origin.prefix) {
            console::line(format_args!("{}: {line}", origin.program));
        }
    }
    let ready = match config.process.daemon && !is_child {
        true => Some(process::daemonize().map_err(|e| Failure(format!("fork() failed {e}")))?),
        false => None,
    };
    // Before anybody can know our number: a signal from now on is an event.
    let signals = Signals::watch().map_err(|e| Failure(format!("signalfd() failed {e}")))?;
    let pid = config.process.pid.as_deref().map(PidFile::write).transpose()?;
    if let Some(ready) = ready {
        leave_terminal(&config, &mut logs)?;
        ready.tell();
    }
    let rights = drop_rights(worker)?;
    let cx = Services::new(Rc::new(config), logs);
    let mut server = Server::new(cx, listeners, signals).map_err(|e| Failure(format!("epoll failed {e}")))?;
    server.origin = Some(origin);
    server.rights = rights;
    server.pid_file = pid;
    server.note(format_args!("webserv/{} started", env!("CARGO_PKG_VERSION")));
    let told = matches!(server.cx.config.process.error_log.target, LogTarget::Stderr);
    for (level, text) in notes.iter().filter(|_| !told) {
        server.say(*level, format_args!("{text}"));
    }
    server.keep_journal();
    server.open_syncs();
    process::trim_memory();
    server.run();
    server.end_journal();
    server.note(format_args!("exit"));
    if let Some(file) = server.pid_file.take() {
        rights.as_root(|| {
            reload_report::remove(file.path());
            file.remove();
        });
    }
    Ok(())
}

/// A daemon holds none of its caller's standard streams: whoever waits for their end may go on. What is written to
/// standard error all the same (by the runtime, in a panic) goes to the error log, as nginx has it.
fn leave_terminal(config: &Config, logs: &mut Logs) -> Result<(), Failure> {
    let failed = |e| Failure(format!("dup2() failed {e}"));
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

fn open_logs(config: &Config) -> Result<Logs, Failure> {
    let mut logs = Logs::new();
    match logs.open(config) {
        Ok(()) => Ok(logs),
        Err((path, e)) => Err(Failure(format!("open() \"{}\" failed {e}", path.display()))),
    }
}

/// As whom the process works. nginx keeps a master with root's rights to reopen logs and bind ports at a reload; here
/// the one process works as the configured user and takes root back for just these.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rights {
    user: Option<(u32, u32)>,
}

impl Rights {
    /// Whose files the process makes.
    pub fn uid(self) -> Option<u32> {
        self.user.map(|(uid, _)| uid)
    }

    /// Does `what` with the rights the process was started with.
    pub fn as_root<T>(self, what: impl FnOnce() -> T) -> T {
        let Some((uid, gid)) = self.user else { return what() };
        // Where the rights cannot be had, what is done fails and says so itself.
        let risen = process::act_as_root().is_ok();
        let done = what();
        if risen && process::act_as_again(uid, gid).is_err() {
            // Serving strangers as root is not an option.
            std::process::abort();
        }
        done
    }
}

/// A user that the process is to work as, and is not yet.
struct Worker {
    name: String,
    uid: u32,
    gid: u32,
}

/// Whom the configuration wants. None: the process stays who it is.
fn worker(config: &Config, form: Form) -> Result<Option<Worker>, Failure> {
    // nginx without a master has nobody to change: the process stays who it is.
    if process::geteuid() != 0 || !config.process.master {
        return Ok(None);
    }
    let (name, group) = match &config.process.user {
        Some((name, group)) => (name.to_string(), group.clone()),
        None if form == Form::Nginx => ("nobody".to_string(), None),
        None => return Ok(None),
    };
    let (uid, primary) = match process::lookup_user(&name) {
        Ok(Some(ids)) => ids,
        _ => return Err(Failure(format!("getpwnam(\"{name}\") failed"))),
    };
    let gid = match group {
        None => primary,
        Some(group) => process::lookup_group(&group)
            .ok()
            .flatten()
            .ok_or_else(|| Failure(format!("getgrnam(\"{group}\") failed")))?,
    };
    Ok((uid != 0).then_some(Worker { name, uid, gid }))
}

/// Works as the configured user, once everything that needs root is open.
fn drop_rights(worker: Option<Worker>) -> Result<Rights, Failure> {
    let Some(Worker { name, uid, gid }) = worker else { return Ok(Rights::default()) };
    process::act_as(uid, gid, &name).map_err(|e| Failure(format!("setuid({uid}) failed {e}")))?;
    Ok(Rights { user: Some((uid, gid)) })
}

/// The signal that `-s` means by a word.
pub fn signal_number(name: &str) -> Option<i32> {
    Some(match name {
        "stop" => process::SIGTERM,
        "quit" => process::SIGQUIT,
        "reload" => process::SIGHUP,
        "reopen" => process::SIGUSR1,
        _ => return None,
    })
}

/// What `-s` came to.
#[derive(Debug)]
pub enum Signalled {
    Sent,
    /// The server has not taken the configuration: what it has to say of it, in full.
    Refused(String),
}

/// `-s`: sends the signal to the process whose id is in the pid file. `reload` waits for what becomes of it, but not for
/// long: a server that says nothing in time may still be at it.
pub fn signal(config: &Config, name: &str) -> Result<Signalled, Failure> {
    let number = signal_number(name).ok_or_else(|| Failure(format!("invalid option: \"-s {name}\"")))?;
    let Some(path) = &config.process.pid else {
        return Err(Failure("the configuration writes no pid file, so there is nobody to signal".into()));
    };
    let pid = pid_file::running(path)?;
    let before = reload_report::read(path);
    process::kill(pid, number).map_err(|e| Failure(format!("kill({pid}, {number}) failed {e}")))?;
    if number != process::SIGHUP {
        return Ok(Signalled::Sent);
    }
    Ok(match reload_report::wait(path, pid, before.as_ref()) {
        Some(report) if !report.errors.is_empty() => Signalled::Refused(report.errors),
        _ => Signalled::Sent,
    })
}

impl Server {
    /// A line of this level in the process's own error log.
    pub fn say(&mut self, level: Level, what: std::fmt::Arguments<'_>) {
        let log = self.cx.config.process.error_log.clone();
        self.cx.logs.error(&log, level, &mut self.cx.now, None, what);
    }
}
