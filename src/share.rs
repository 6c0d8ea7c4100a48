//! `webserv DIR`: from the command line's options to a configuration, asking for a password where one is wanted.

use crate::cli::Share;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, BufRead, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use webserv::config::build::Form;
use webserv::io::console;
use webserv::server::greeting;
use webserv::server::lifecycle::Failure;
use webserv::server::reload::ConfigSource;
use webserv::sys::Errno;
use webserv::sys::file::flock;
use webserv::sys::random;
use webserv::sys::terminal::NoEcho;
use webserv::tools::serve_dir::{PORT, ServeDir, kept_back, password_line};

/// What is to run for a directory. `dir` is absolute.
///
/// # Errors
/// The password could not be had or kept.
pub fn config_source(dir: &Path, share: &Share, program: String, executable: PathBuf) -> Result<ConfigSource, Failure> {
    let dir = dir.canonicalize().map_err(|e| unusable("realpath", dir, e))?;
    // Nothing of it could be shown.
    std::fs::read_dir(&dir).map_err(|e| unusable("opendir", &dir, e))?;
    let address = SocketAddr::new(share.bind.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)), share.port.unwrap_or(PORT));
    let login = match &share.auth {
        Some(user) if share.print_config => Some((user.clone(), password_path(user, address)?)),
        Some(user) => Some((user.clone(), keep_password(user, address)?)),
        None => None,
    };
    if share.upload && share.auth.is_none() && !address.ip().is_loopback() && !share.print_config {
        console::line(format_args!(
            "{program}: [warn] anyone who reaches {address} may upload, replace and delete files here; --auth USER asks for a password"
        ));
    }
    if share.tls && !share.print_config {
        console::line(format_args!(
            "{program}: browsers warn of this certificate until its authority is trusted: `webserv cert` says how"
        ));
    }
    if share.auth.is_some() && !share.tls && !address.ip().is_loopback() && !share.print_config {
        console::line(format_args!(
            "{program}: [warn] passwords for {address} cross the network unencrypted; --tls encrypts them"
        ));
    }
    let serve = ServeDir {
        dir: dir.clone(),
        address,
        upload: share.upload,
        login,
        tls: share.tls,
        reach: reach(address.ip()),
        hidden: share.hidden,
        follow_links: share.follow_links,
        as_root: webserv::sys::process::geteuid() == 0,
    };
    if !share.print_config {
        if serve.as_root {
            console::line(format_args!(
                "{program}: [notice] serving as root: visitors can read what root may read here; start it as yourself where you can"
            ));
        }
        for notice in kept_back(&serve) {
            console::line(format_args!("{program}: {notice}"));
        }
    }
    Ok(ConfigSource {
        executable,
        file: PathBuf::from(format!("(webserv {})", dir.display())),
        text: Some(serve.config()),
        prefix: dir,
        directives: None,
        error_log: None,
        form: Form::Webserv,
        program,
    })
}

/// The address that the start line prints for others on the network.
fn reach(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        ip if ip.is_loopback() => None,
        ip if ip.is_unspecified() => greeting::own_address(),
        ip => Some(ip),
    }
}

fn unusable(call: &str, dir: &Path, e: io::Error) -> Failure {
    let cure = match e.kind() {
        io::ErrorKind::PermissionDenied => "\nthis user may not read it: chmod u+rx, chown, or start as a user who may",
        _ => "",
    };
    Failure::of(format!("{call}() \"{}\" failed {}{cure}", dir.display(), Errno::from(e)))
}

/// The path of the password file of `--auth`: in the user's state directory (XDG base directories). Each address has
/// its own, since a running server reads its file again when it changes.
fn password_path(user: &str, address: SocketAddr) -> Result<PathBuf, Failure> {
    if let Some((name, _)) = user.split_once(':').filter(|(name, _)| !name.is_empty()) {
        return Err(Failure::of(format!(
            "--auth takes the user's name alone: --auth {name}; the password is asked for, or read from standard input"
        )));
    }
    if user.is_empty() || user.contains(|c: char| c == ':' || c.is_control()) {
        return Err(Failure::of("--auth: that cannot be a user's name, as in: --auth alice"));
    }
    let of = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    let home = || of("HOME").map(|home| home.join(".local/state"));
    // As for certificates, the directory that systemd gives comes first.
    let state = of("STATE_DIRECTORY").or_else(|| of("XDG_STATE_HOME").or_else(home).map(|state| state.join("webserv")));
    let state =
        state.ok_or_else(|| Failure::of("--auth: neither XDG_STATE_HOME nor HOME says where to keep the password"))?;
    Ok(state.join(format!("serve-{}-{}.htpasswd", address.ip(), address.port())))
}

/// Asks for the password and writes the password file, readable by its owner only, unless a running server has it.
fn keep_password(user: &str, address: SocketAddr) -> Result<PathBuf, Failure> {
    let path = password_path(user, address)?;
    let password = ask(user).map_err(|e| Failure::of(format!("--auth: no password: {}", Errno::from(e))))?;
    if password.is_empty() {
        return Err(Failure::of("--auth: the password is empty: type one, or pass it on standard input"));
    }
    let mut salt = [0; 8];
    random::fill(&mut salt).map_err(|e| Failure::of(format!("getrandom() failed {e}")))?;
    let write = || -> io::Result<()> {
        if let Some(dir) = path.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        let mut file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
        flock(file.as_fd())?;
        file.set_len(0)?;
        file.write_all(password_line(user, &password, salt).as_bytes())?;
        // The lock is held until the process ends.
        std::mem::forget(file);
        Ok(())
    };
    match write() {
        Ok(()) => Ok(path),
        Err(e) if e.kind() == io::ErrorKind::WouldBlock => Err(Failure::of(format!(
            "--auth: another webserv serves {address} and has \"{}\": its password stays; choose another --port",
            path.display()
        ))),
        Err(e) => Err(Failure::of(format!(
            "--auth: open() of the password file \"{}\" failed {}\nname a directory of this user's own: \
             STATE_DIRECTORY=DIR webserv …",
            path.display(),
            Errno::from(e)
        ))),
    }
}

/// A line from the terminal, not shown while it is typed; from a pipe, its first line.
fn ask(user: &str) -> io::Result<String> {
    let stdin = io::stdin();
    let silent = if stdin.is_terminal() {
        let mut stderr = io::stderr();
        write!(stderr, "Password for {user}: ")?;
        stderr.flush()?;
        NoEcho::new(stdin.as_fd()).ok()
    } else {
        None
    };
    if let Some(silent) = &silent {
        silent.await_line().map_err(|e| io::Error::from_raw_os_error(e.0))?;
    }
    let mut line = String::new();
    stdin.lock().read_line(&mut line)?;
    drop(silent);
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
