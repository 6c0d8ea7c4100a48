//! `webserv DIR`: generates the configuration that serves one directory. The server runs exactly this text, so
//! `--print-config` shows everything.
//!
//! Invariant: the text is a valid configuration, whatever the directory's name.

use crate::http::escape::to_base64;
use crate::tools::format;
use crate::util::printable::Printable;
use sha1::{Digest, Sha1};
use std::ffi::OsStr;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// As in `python -m http.server`; dufs and miniserve use others. A port that needs no root.
pub const PORT: u16 = 8000;

/// The options from the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeDir {
    /// Absolute.
    pub dir: PathBuf,
    /// Where to listen.
    pub address: SocketAddr,
    /// Whether visitors may upload, replace and delete files.
    pub upload: bool,
    /// The user whose password is required, and the password file.
    pub login: Option<(String, PathBuf)>,
    /// Whether to use HTTPS, with a certificate of the local authority.
    pub tls: bool,
    /// This machine's address, printed at the start besides `localhost`: the certificate must cover it too.
    pub reach: Option<IpAddr>,
    /// Whether names that begin with a dot are served.
    pub hidden: bool,
    /// Whether symbolic links may lead out of the directory.
    pub follow_links: bool,
    /// Whether root serves it and stays root: users share what they may read themselves, and the password file is
    /// theirs too.
    pub as_root: bool,
}

impl ServeDir {
    /// The text of the configuration, in the layout of `webserv fmt`.
    pub fn config(&self) -> String {
        let mut text = String::new();
        let _ = self.write(&mut text);
        let laid_out = format::format(text.as_bytes()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        laid_out.unwrap_or(text)
    }

    /// The directory as an argument. A name that cannot be written in a configuration (not UTF-8, or with a dollar
    /// sign, which begins a variable) is replaced by the prefix, which is the directory.
    fn root(&self) -> String {
        let bytes = self.dir.as_os_str().as_bytes();
        let plain = std::str::from_utf8(bytes).is_ok() && !bytes.iter().any(|b| *b == b'$' || b.is_ascii_control());
        if plain { word(self.dir.as_os_str()) } else { HERE.to_owned() }
    }

    /// The command line options that reproduce this configuration.
    fn options(&self) -> String {
        let given = [
            (self.upload, "--upload".to_owned()),
            (self.address.port() != PORT, format!("--port {}", self.address.port())),
            (self.address.ip() != Ipv4Addr::LOCALHOST, format!("--bind {}", self.address.ip())),
            (self.login.is_some(), self.login.as_ref().map_or_else(String::new, |(user, _)| format!("--auth {user}"))),
            (self.tls, "--tls".to_owned()),
            (self.hidden, "--hidden".to_owned()),
            (self.follow_links, "--follow-links".to_owned()),
        ];
        given.into_iter().filter(|(is_given, _)| *is_given).map(|(_, option)| format!(" {option}")).collect()
    }

    /// The lines for listener, names and certificate.
    fn write_address(&self, out: &mut String) -> std::fmt::Result {
        let both = if self.address.ip() == Ipv6Addr::UNSPECIFIED { " ipv6only=off" } else { "" };
        writeln!(out, "listen {}{}{both};", self.address, if self.tls { " ssl" } else { "" })?;
        match self.reach.filter(|_| self.tls) {
            Some(ip) => writeln!(out, "server_name localhost {};", bracketed(ip))?,
            None => writeln!(out, "server_name localhost;")?,
        }
        if self.tls {
            writeln!(
                out,
                "# Made and signed on this machine: `webserv cert` tells how to trust it.\nssl_certificate auto;\n"
            )?;
        }
        Ok(())
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "# What `webserv {}{}` runs.", shown(self.dir.as_os_str()), self.options())?;
        writeln!(out, "error_log stderr notice;\npid off;")?;
        if self.as_root {
            writeln!(out, "# Root shares what root may read.\nuser root;")?;
        }
        writeln!(out, "\nserver {{")?;
        self.write_address(out)?;
        let root = self.root();
        if root == HERE {
            writeln!(out, "# No configuration can hold the directory's name: start it there, or with -p.")?;
        }
        writeln!(out, "root {root};\ncharset utf-8;\naccess_log off;\nserver_tokens off;\n")?;
        if self.address.ip().is_loopback() {
            write!(out, "{ONLY_LOCALHOST}")?;
        }
        if !self.follow_links {
            let (also, hidden) =
                if self.hidden { ("", "") } else { (", or to a name that begins with a dot,", " hidden") };
            writeln!(out, "# Links that lead out of the directory{also} are not followed.")?;
            writeln!(out, "disable_symlinks outside{hidden};\n")?;
        }
        if let Some((user, file)) = &self.login {
            writeln!(out, "# `webserv DIR --auth {user}` asks for the password and writes this file.")?;
            writeln!(out, "auth_basic Restricted;\nauth_basic_user_file {};\n", word(file.as_os_str()))?;
        }
        writeln!(out, "location / {{\nautoindex on;\nautoindex_format page;\nautoindex_archive zip;")?;
        if self.upload {
            write!(out, "{UPLOADS}")?;
        }
        writeln!(out, "}}")?;
        if !self.hidden {
            writeln!(out, "\n# Names that begin with a dot are neither listed nor served.\nlocation ~ /\\. {{")?;
            if self.upload {
                write!(out, "{NO_HIDDEN_UPLOADS}")?;
            }
            writeln!(out, "return 404;\n}}")?;
        }
        writeln!(out, "}}")
    }
}

/// The directory, if it is the prefix.
const HERE: &str = ".";

/// A listing with upload form and buttons, and the methods they use.
const UPLOADS: &str = "\
autoindex_upload on;
allowed_methods GET POST PUT PATCH DELETE;
upload_resumable on;
upload_create_path on; # folders, too
client_max_body_size 0; # of any size
upload_min_free 500m; # 507 before the disk is full
";

/// Without this check, a server on localhost would be open to any website its user visits: the site's name may resolve
/// to 127.0.0.1 on a second lookup, and the browser then treats this server as that site (DNS rebinding).
const ONLY_LOCALHOST: &str = r#"# A site whose name leads here could read and write by its visitors' browsers.
if ($host !~ "^((.+\.)?localhost|127\.[0-9.]+|\[::1\])$") {
return 421 "Only this machine is served, as localhost; --bind ADDRESS serves others.\n";
}

"#;

/// Clients that write get an explanation; readers learn nothing about what exists.
const NO_HIDDEN_UPLOADS: &str = r#"if ($request_method !~ "^(GET|HEAD)$") {
return 403 "Names that begin with a dot are not taken; --hidden takes them. Nothing was stored.\n";
}
"#;

/// An address in the notation of URLs and `server_name`.
fn bracketed(ip: IpAddr) -> String {
    if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() }
}

/// Notices at startup about entries of the directory that are not served, which its owner may not expect. Only the top
/// level is examined.
pub fn kept_back(serve: &ServeDir) -> Vec<String> {
    let (mut hidden, mut out) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(&serve.dir).into_iter().flatten().flatten().take(MOST_EXAMINED) {
        let name = Printable(entry.file_name().as_bytes()).to_string();
        let leads_out = || entry.path().canonicalize().is_ok_and(|place| !is_shown(&place, serve));
        if name.starts_with('.') {
            hidden.push(name);
        } else if entry.file_type().is_ok_and(|kind| kind.is_symlink()) && leads_out() {
            out.push(name);
        }
    }
    let mut notices = Vec::new();
    if !serve.hidden && !hidden.is_empty() {
        notices.push(format!("names that begin with a dot are not served ({}); --hidden serves them", some_of(hidden)));
    }
    if !serve.follow_links && !out.is_empty() {
        notices.push(format!(
            "links that lead out of the directory, or to a name that begins with a dot, are not followed ({}); \
             --follow-links follows them",
            some_of(out)
        ));
    }
    notices
}

/// Whether a symbolic link's target is served.
fn is_shown(place: &Path, serve: &ServeDir) -> bool {
    let is_hidden = |name: &OsStr| name.as_bytes().starts_with(b".") && !serve.hidden;
    place.strip_prefix(&serve.dir).is_ok_and(|below| !below.iter().any(is_hidden))
}

/// Maximum number of entries examined by [`kept_back`].
const MOST_EXAMINED: usize = 10_000;

/// The first names in order, and the number of others.
fn some_of(mut names: Vec<String>) -> String {
    const SHOWN: usize = 3;
    names.sort();
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    match more {
        0 => names.join(", "),
        more => format!("{}, and {more} more", names.join(", ")),
    }
}

/// A line of a password file for `user`: salted SHA-1, which all servers support. The file is as secret as the
/// password.
pub fn password_line(user: &str, password: &str, salt: [u8; 8]) -> String {
    let mut sum = Sha1::new().chain_update(password).chain_update(salt).finalize().to_vec();
    sum.extend_from_slice(&salt);
    let mut line = format!("{user}:{{SSHA}}").into_bytes();
    to_base64(&sum, &mut line);
    line.push(b'\n');
    String::from_utf8_lossy(&line).into_owned()
}

/// A path as a word of the configuration, quoted if it contains spaces, quotes, semicolons or the like.
fn word(path: &OsStr) -> String {
    let text = String::from_utf8_lossy(path.as_bytes());
    if !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "/._-+,@%~:".contains(c)) {
        return text.into_owned();
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// A path for a comment: on one line, quoted if a shell would split it.
fn shown(path: &OsStr) -> String {
    let text = String::from_utf8_lossy(path.as_bytes()).replace(|c: char| c.is_control(), "?");
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+,@%~".contains(c);
    if text.chars().all(is_plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    use crate::config::resolve::resolve;

    fn plain(dir: &str) -> ServeDir {
        let address = "127.0.0.1:8000".parse().expect("an address");
        let (upload, tls, hidden, follow_links, as_root) = (false, false, false, false, false);
        ServeDir { dir: dir.into(), address, upload, login: None, tls, reach: None, hidden, follow_links, as_root }
    }

    #[test]
    fn the_text_is_a_valid_configuration_whatever_the_directory_is_called() {
        for dir in ["/srv", "/srv/my files", "/srv/a\"b", "/srv/semi;colon{}", "/srv/back\\slash", "/srv/#no comment"] {
            for is_open in [false, true] {
                let (upload, hidden, follow_links, as_root) = (is_open, !is_open, !is_open, is_open);
                let login = is_open.then(|| ("ann".to_owned(), "/srv/pass words".into()));
                let text = ServeDir { upload, hidden, follow_links, as_root, login, ..plain(dir) }.config();
                let laid_out = format::format(text.as_bytes()).expect("readable");
                assert_eq!(text.as_bytes(), laid_out, "as webserv fmt has it");
                let mut loaded = load_text("generated", text.as_bytes(), &LoadOptions::default());
                let resolved = resolve(&mut loaded, Path::new("/"), Form::Webserv, Vec::new(), None);
                let problems = resolved.diagnostics.render(&loaded.sources, "webserv");
                assert!(resolved.config.is_some() && problems.is_empty(), "{dir}: {problems}\n{text}");
            }
        }
    }

    #[test]
    fn a_password_line_matches_its_password_only() {
        let line = password_line("alice", "secret", [7; 8]);
        let stored = line.trim_end().strip_prefix("alice:").expect("the user");
        assert!(crate::exchange::access::password::matches(stored.as_bytes(), b"secret"));
        assert!(!crate::exchange::access::password::matches(stored.as_bytes(), b"Secret"));
    }

    #[test]
    fn a_directory_that_no_configuration_can_name_is_left_to_the_prefix() {
        for dir in [OsStr::new("/srv/$HOME"), OsStr::new("/srv/a\nb"), OsStr::from_bytes(b"/srv/\xff")] {
            let text = ServeDir { dir: dir.into(), ..plain("/srv") }.config();
            assert!(text.contains("    root .;\n") && text.contains("with -p"), "{text}");
        }
    }
}
