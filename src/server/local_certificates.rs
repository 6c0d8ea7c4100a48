//! `ssl_certificate auto` while the server runs: certificates are made again before they end, and where the clock shows
//! that they were made by a wrong one ([`super::certificate_renewals`]). At most one in a turn.
//!
//! Under a parent that alone may write them does so, and hands them down.

use super::Server;
use super::certificate_renewals::all;
pub use super::certificate_renewals::{Renewals, Renewed};
use crate::config::model::Level;
use crate::sys::{Errno, file};
use crate::tls::issue::Issued;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{AsFd, OwnedFd};

/// A certificate and its key as a file without a name, for another process.
///
/// # Errors
/// There is no memory for it.
pub fn packed(issued: &Issued) -> Result<OwnedFd, Errno> {
    let held = file::memfd(c"certificate")?;
    file::write_all(held.as_fd(), issued.certificate.as_bytes())?;
    file::write_all(held.as_fd(), issued.key.as_bytes())?;
    Ok(held)
}

/// What [`packed`] holds: both texts are all of it, and of each the other's part is not looked at.
fn unpacked(packed: OwnedFd) -> Result<Issued, Errno> {
    let (mut file, mut text) = (File::from(packed), String::new());
    file.rewind()?;
    file.read_to_string(&mut text)?;
    Ok(Issued { certificate: text.clone(), key: text })
}

impl Server {
    /// Sees to the certificates of the present configuration.
    pub(super) fn plan_local_certificates(&mut self) {
        self.renewals.plan(&self.cx.config, self.cx.now.ms, self.cx.now.unix);
    }

    /// When the next look is due. Those of a parent's process are its parent's, those of one that ends its successor's.
    pub(super) fn next_local_certificate(&self) -> Option<u64> {
        self.renewals.next().filter(|_| self.parent.is_none() && !self.cx.quitting)
    }

    /// Looks at the certificates of `ssl_certificate auto` if that is due, and makes at most one.
    pub(super) fn renew_local_certificate(&mut self) {
        if self.next_local_certificate().is_none() {
            return;
        }
        let config = self.cx.config.clone();
        if let Some(Renewed { level, text, .. }) = self.renewals.step(&config, self.cx.now.ms, self.cx.now.unix) {
            self.say(level, format_args!("{text}"));
        }
    }

    /// The parent has made a certificate again, for a server of this configuration.
    pub(super) fn install_certificate(&mut self, server: usize, packed: OwnedFd) {
        let config = self.cx.config.clone();
        let Some((_, local)) = all(&config).find(|(at, _)| *at == server) else { return };
        let installed = unpacked(packed).map_err(|e| e.to_string()).and_then(|issued| local.install(&issued));
        if let Err(why) = installed {
            self.say(Level::Error, format_args!("the parent's certificate for {} is not used: {why}", local.name()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    use crate::config::model::Config;
    use crate::config::resolve::resolve;
    use crate::config::tls_material::Handshake;
    use crate::server::listeners::Listeners;
    use crate::server::signals::Signals;
    use crate::services::Services;
    use crate::services::logs::Logs;
    use crate::sys::scratch::Scratch;
    use std::rc::Rc;

    const DAY: u64 = 86_400_000;

    const INTERVAL: u64 = 3_600_000;

    fn config(dir: &Scratch) -> Config {
        let path = dir.path().display();
        let text = format!(
            "error_log {path}/errors notice; events {{}} http {{ access_log off;
             server {{ listen unix:{path}/a ssl; server_name a.test; ssl_certificate auto; }}
             server {{ listen unix:{path}/b; }}
             server {{ listen unix:{path}/c ssl; server_name c.test; ssl_certificate auto; }} }}"
        );
        let mut loaded = load_text("auto.conf", text.as_bytes(), &LoadOptions::default());
        resolve(&mut loaded, dir.path(), Form::Webserv, Vec::new(), None).config.expect("it is right")
    }

    fn server(dir: &Scratch) -> Server {
        let config = config(dir);
        let mut logs = Logs::new();
        logs.open(&config).expect("the directory may be written to");
        let mut listeners = Listeners::default();
        listeners.open(&config).expect("free paths");
        Server::new(Services::new(Rc::new(config), logs), listeners, Signals::none()).expect("epoll")
    }

    fn ends(server: &Server) -> Vec<i64> {
        all(&server.cx.config).map(|(_, local)| local.end()).collect()
    }

    /// A look begins once the turn before has seen what time it is.
    fn turns(server: &mut Server) {
        for _ in 0..4 {
            server.poll();
        }
    }

    #[test]
    fn a_certificate_is_made_again_before_it_ends_while_the_server_runs() {
        let dir = Scratch::new();
        let mut server = server(&dir);
        let first = ends(&server);
        turns(&mut server);
        assert_eq!((first.len(), ends(&server)), (2, first.clone()), "none is due");
        server.cx.now.jump(360 * DAY);
        turns(&mut server);
        assert_eq!(ends(&server), first, "none is due yet");
        server.cx.now.jump(10 * DAY);
        server.poll();
        let changed = ends(&server).iter().zip(&first).filter(|(now, before)| now > before).count();
        assert!(changed <= 1, "one in a turn at most");
        turns(&mut server);
        let second = ends(&server);
        assert!(second.iter().zip(&first).all(|(now, before)| *now >= before + 360 * 86_400), "{second:?} {first:?}");
        turns(&mut server);
        assert_eq!(ends(&server), second, "once is enough");
        server.cx.logs.flush_all();
        let log = String::from_utf8_lossy(&dir.read(&dir.join("errors"))).into_owned();
        assert_eq!(log.matches("was made again").count(), 2, "{log}");
        assert!(server.next_local_certificate().is_some_and(|next| next > server.cx.now.ms));
    }

    #[test]
    fn a_certificate_that_cannot_be_renewed_holds_up_no_other() {
        let dir = Scratch::new();
        dir.write("file", b"");
        let mut config = config(&dir);
        let tls = config.servers[0].tls.as_mut().and_then(Rc::get_mut).expect("this server's own");
        let Handshake::Local(first) = &mut tls.handshake else { panic!("a local certificate") };
        first.keep_in(dir.path().join("file/below"));
        let (end, mut renewals) = (first.end(), Renewals::new(INTERVAL));
        let mut look = |at: i64| {
            renewals.plan(&config, 0, at);
            renewals.step(&config, INTERVAL, at).map(|renewed| (renewed.made.map(|(server, _)| server), renewed.text))
        };
        let early = end - 20 * 86_400;
        let (made, text) = look(early).expect("due");
        assert!(made.is_none() && text.contains("a.test") && text.contains("could not be made again"), "{text}");
        let (made, text) = look(early).expect("the other one is due");
        assert_eq!(made, Some(2), "{text}");
        assert_eq!(look(early), None, "the first is not tried again at once");
        assert!(look(end - 600).is_some_and(|(made, _)| made.is_none()), "but before it ends");
        assert_eq!(look(end - 1), None);
        let (made, text) = look(end).expect("it is not served any longer");
        assert!(made == Some(0) && text.contains("is not valid"), "{text}");
    }

    #[test]
    fn a_lock_that_is_held_for_long_is_said_once() {
        let dir = Scratch::new();
        let mut config = config(&dir);
        for at in [0, 2] {
            let tls = config.servers[at].tls.as_mut().and_then(Rc::get_mut).expect("this server's own");
            let Handshake::Local(local) = &mut tls.handshake else { panic!("a local certificate") };
            local.keep_in(dir.path().join("state"));
        }
        std::fs::create_dir(dir.path().join("state")).expect("made");
        let lock = crate::io::open::own(&dir.path().join("state/lock"), 0o600).expect("a file");
        file::flock(lock.as_fd()).expect("free");
        let (at, mut renewals) =
            (all(&config).map(|(_, local)| local.end()).min().expect("two") - 86_400, Renewals::new(INTERVAL));
        renewals.plan(&config, 0, at);
        let said: Vec<String> = (0..300).filter_map(|s| renewals.step(&config, s * 1000, at)).map(|r| r.text).collect();
        assert_eq!(said.len(), 2, "for each certificate: {said:?}");
        assert!(said.iter().all(|text| text.contains("another process holds the lock")), "{said:?}");
        drop(lock);
        let renewed = renewals.step(&config, 2 * INTERVAL, at + 3600).expect("due");
        assert_eq!(renewed.made.map(|(server, _)| server), Some(0), "{}", renewed.text);
    }

    #[test]
    fn what_a_parent_hands_down_is_served() {
        let dir = Scratch::new();
        let mut server = server(&dir);
        let before = ends(&server);
        let now = server.cx.now.unix;
        let ca = crate::tls::issue::authority("ca", now).expect("made");
        let issued = crate::tls::issue::sign(&ca, &["c.test".to_owned()], now + 20 * 86_400).expect("made");
        server.install_certificate(2, packed(&issued).expect("memory"));
        server.install_certificate(1, packed(&issued).expect("memory"));
        server.install_certificate(0, file::memfd(c"nothing").expect("memory"));
        let after = ends(&server);
        assert_eq!((after[0], after[1] > before[1]), (before[0], true), "the right one alone");
    }
}
