//! The certificate of `ssl_certificate auto` over time: the one in use, when it must be renewed, and how the running
//! process does that.
//!
//! Invariant: the certificate in use stays until the next one is complete.

use super::certificates;
use super::local_ca::{self, RENEW_WITHIN};
use super::tls_recipe::Recipe;
use crate::tls::CertifiedKey;
use crate::tls::issue::Issued;
use crate::tls::server::Prepared;
use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// The certificate of one server, and what is needed to make it again.
#[derive(Debug)]
pub struct LocalCertificate {
    /// The server's own, without those of this machine.
    names: Vec<String>,
    /// Where it is kept; None: in memory.
    directory: Option<PathBuf>,
    /// Certificates that the configuration names beside it.
    others: Vec<Arc<CertifiedKey>>,
    recipe: Recipe,
    made: RefCell<Made>,
    /// A temporary certificate: no client trusts the authority that signed it. It serves until one can be kept on disk.
    is_stopgap: Cell<bool>,
    /// Seconds of Unix time in which it is not tried again: from a failure until the next attempt. A clock that was set
    /// leaves them.
    pause: RefCell<Option<Range<i64>>>,
}

#[derive(Debug)]
struct Made {
    prepared: Rc<Prepared>,
    /// Its validity, Unix time.
    from: i64,
    until: i64,
}

/// What an attempt to renew made.
#[derive(Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Made, and kept where the configuration says.
    Made(Issued),
    /// In memory, because it could not be kept, and the one before is not valid.
    Stopgap(Issued, String),
}

impl Made {
    fn new(recipe: &Recipe, others: &[Arc<CertifiedKey>], issued: &Issued) -> Result<Made, String> {
        let pair = certificates::pair(issued.certificate.as_bytes(), issued.key.as_bytes(), &[]);
        let pair = pair.map_err(|wrong| format!("{wrong:?}"))?;
        let leaf = certificates::leaf(&pair).ok_or("no certificate")?;
        let (from, until) = (leaf.not_before, leaf.not_after);
        let pairs = others.iter().cloned().chain([Arc::new(pair)]).collect();
        Ok(Made { prepared: Rc::new(recipe.build(pairs)?), from, until })
    }
}

impl LocalCertificate {
    /// # Errors
    /// The certificate does not go with the rest.
    pub(super) fn new(
        names: Vec<String>,
        directory: Option<PathBuf>,
        others: Vec<Arc<CertifiedKey>>,
        recipe: Recipe,
        issued: &Issued,
    ) -> Result<LocalCertificate, String> {
        let made = RefCell::new(Made::new(&recipe, &others, issued)?);
        let (is_stopgap, pause) = (Cell::new(false), RefCell::new(None));
        Ok(LocalCertificate { names, directory, others, recipe, made, is_stopgap, pause })
    }

    /// Keeps it in another directory from now on.
    #[cfg(test)]
    pub fn keep_in(&mut self, directory: PathBuf) {
        self.directory = Some(directory);
    }

    /// What a handshake is made with.
    pub fn prepared(&self) -> Rc<Prepared> {
        self.made.borrow().prepared.clone()
    }

    /// When it ends, Unix time.
    pub fn end(&self) -> i64 {
        self.made.borrow().until
    }

    /// The first name that it is for.
    pub fn name(&self) -> &str {
        self.names.first().map_or("localhost", String::as_str)
    }

    /// When the next one is to be made, Unix time: at once where this one was made by a clock that was ahead.
    pub fn renew_at(&self, now: i64) -> i64 {
        let (from, until) = self.validity();
        let due = if now < from || self.is_stopgap.get() { now } else { until - RENEW_WITHIN };
        self.pause.borrow().as_ref().filter(|pause| pause.contains(&now)).map_or(due, |pause| due.max(pause.end))
    }

    fn validity(&self) -> (i64, i64) {
        let made = self.made.borrow();
        (made.from, made.until)
    }

    /// Postpones the next attempt: by a day, or by an hour in the last two days or without a valid certificate, but not
    /// past its end. Returns the time of the next attempt.
    pub fn put_off(&self, now: i64) -> i64 {
        let left = self.end() - now;
        let pause = if left > 2 * DAY && !self.is_stopgap.get() { DAY } else { HOUR };
        let next = now + if left > 0 { pause.min(left) } else { pause };
        *self.pause.borrow_mut() = Some(now..next);
        next
    }

    /// Makes the next one, or finds what another process has made, and serves it from now on. `waits`: leaves it to
    /// another process that holds the lock; None: one does.
    ///
    /// # Errors
    /// It could not be made or kept; the present one stays as long as clients take it.
    pub fn renew(&self, now: i64, waits: bool) -> Result<Option<Renewal>, String> {
        let directory = self.directory.as_deref();
        let why = match local_ca::renew(directory, &self.names, now) {
            Ok(Some(issued)) => return self.install(&issued).map(|()| Some(Renewal::Made(issued))),
            Ok(None) if waits => return Ok(None),
            Ok(None) => directory.map(local_ca::held).unwrap_or_default(),
            Err(why) => why,
        };
        let (from, until) = self.validity();
        if (from..until).contains(&now) {
            return Err(why);
        }
        // Clients have to be told to take it all the same, where they would not take the present one at all.
        let issued = local_ca::obtain(None, &self.names, now)?;
        self.install(&issued)?;
        self.is_stopgap.set(true);
        Ok(Some(Renewal::Stopgap(issued, why)))
    }

    /// Serves another one from now on.
    ///
    /// # Errors
    /// It does not go with the rest.
    pub fn install(&self, issued: &Issued) -> Result<(), String> {
        let made = Made::new(&self.recipe, &self.others, issued)?;
        *self.made.borrow_mut() = made;
        *self.pause.borrow_mut() = None;
        self.is_stopgap.set(false);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::build::Form;
    use crate::config::load::{LoadOptions, load_text};
    use crate::config::resolve::resolve;
    use crate::config::tls_material::Handshake;
    use crate::sys::scratch::Scratch;
    use std::path::Path;

    /// The certificate of a configuration, kept in a directory; and the time that it was made.
    fn kept_in(directory: &Path) -> (LocalCertificate, i64) {
        let text = "server { listen 127.0.0.1:8443 ssl; server_name a.test; ssl_certificate auto; }";
        let mut loaded = load_text("auto.conf", text.as_bytes(), &LoadOptions::default());
        let config = resolve(&mut loaded, directory, Form::Webserv, Vec::new(), None).config.expect("it is right");
        let tls = config.servers[0].tls.clone().expect("TLS");
        let Handshake::Local(local) = &tls.handshake else { panic!("a local certificate") };
        let now = local.made.borrow().from + DAY;
        let issued = local_ca::obtain(Some(directory), &local.names, now).expect("made");
        let recipe = local.recipe.clone();
        let made = LocalCertificate::new(local.names.clone(), Some(directory.to_owned()), Vec::new(), recipe, &issued);
        (made.expect("they go together"), now)
    }

    #[test]
    fn it_is_due_before_it_ends_and_where_the_clock_is_before_it() {
        let scratch = Scratch::new();
        let (local, now) = kept_in(scratch.path());
        for (name, at, is_due) in [
            ("just made", now, false),
            ("a year later", now + 360 * DAY, false),
            ("a month before its end", now + 370 * DAY, true),
            ("past its end", now + 4000 * DAY, true),
            ("the clock was set back", now - 30 * DAY, true),
        ] {
            assert_eq!(local.renew_at(at) <= at, is_due, "{name}");
        }
        for at in [now + 370 * DAY, now - 30 * DAY, now + 4000 * DAY] {
            assert!(matches!(local.renew(at, true), Ok(Some(Renewal::Made(_)))));
            assert!(local.renew_at(at) > at, "it is not due again");
        }
    }

    #[test]
    fn one_that_another_process_has_made_is_served() {
        let scratch = Scratch::new();
        let (local, now) = kept_in(scratch.path());
        let later = now + 370 * DAY;
        let theirs = local_ca::obtain(Some(scratch.path()), &local.names, later).expect("made");
        assert_eq!(local.renew(later, true), Ok(Some(Renewal::Made(theirs))));
    }

    #[test]
    fn it_stays_where_no_other_one_can_be_kept_until_no_client_takes_it() {
        let scratch = Scratch::new();
        scratch.write("file", b"");
        let (mut local, now) = kept_in(scratch.path());
        local.directory = Some(scratch.path().join("file/below"));
        let end = local.end();
        assert!(local.renew(now + 370 * DAY, true).expect_err("no directory").contains("cannot be written"));
        assert_eq!(local.end(), end);
        assert!(
            matches!(local.renew(end, true), Ok(Some(Renewal::Stopgap(_, why))) if why.contains("cannot be written"))
        );
        assert!(local.end() > end);
        assert_eq!(local.renew_at(end), end, "it is not what clients trust");
        local.directory = Some(scratch.path().to_owned());
        assert!(matches!(local.renew(end, true), Ok(Some(Renewal::Made(_)))));
        assert!(local.renew_at(end) > end);
    }

    #[test]
    fn a_failure_is_not_repeated_at_once_and_not_put_off_past_the_end() {
        let scratch = Scratch::new();
        let (local, now) = kept_in(scratch.path());
        let end = local.end();
        for (name, at, pause) in [
            ("weeks are left", end - 20 * DAY, DAY),
            ("a day is left", end - DAY, HOUR),
            ("minutes are left", end - 600, 600),
            ("none is left", end, HOUR),
        ] {
            assert_eq!(local.put_off(at), at + pause, "{name}");
            assert_eq!(local.renew_at(at), at + pause, "{name}");
            assert!(local.renew_at(at + pause) <= at + pause, "{name}");
        }
        local.put_off(now + 375 * DAY);
        assert_eq!(local.renew_at(now - 30 * DAY), now - 30 * DAY, "the clock was set back");
    }

    #[test]
    fn a_lock_that_another_process_keeps_is_waited_for_first() {
        let scratch = Scratch::new();
        let (local, now) = kept_in(scratch.path());
        let lock = crate::io::open::own(&scratch.path().join("lock"), 0o600).expect("a file");
        crate::sys::file::flock(std::os::fd::AsFd::as_fd(&lock)).expect("free");
        let later = now + 370 * DAY;
        assert_eq!(local.renew(later, true), Ok(None));
        assert!(local.renew(later, false).expect_err("held").contains("another process holds"));
        assert!(
            matches!(local.renew(local.end(), false), Ok(Some(Renewal::Stopgap(..)))),
            "none that is valid is there"
        );
    }
}
