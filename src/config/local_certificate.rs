//! The certificate of `ssl_certificate auto` over time: the one that is served, when it is due to be made again, and
//! how the running process does that.
//!
//! Invariant: what is served stays until another one is there.

use super::certificates;
use super::local_ca::{self, SOON};
use super::tls_recipe::Recipe;
use crate::tls::CertifiedKey;
use crate::tls::issue::Issued;
use crate::tls::server::Prepared;
use std::cell::RefCell;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

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
}

#[derive(Debug)]
struct Made {
    prepared: Rc<Prepared>,
    /// Its validity, Unix time.
    from: i64,
    until: i64,
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
        Ok(LocalCertificate { names, directory, others, recipe, made })
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
    pub fn due(&self, now: i64) -> i64 {
        let made = self.made.borrow();
        if now < made.from { now } else { made.until - SOON }
    }

    /// Makes the next one, or finds what another process has made, and serves it from now on. None: another process
    /// makes one now.
    ///
    /// # Errors
    /// It could not be made or kept; the present one stays as long as clients take it.
    pub fn renew(&self, now: i64) -> Result<Option<Issued>, String> {
        let made = local_ca::renew(self.directory.as_deref(), &self.names, now).or_else(|why| {
            let is_valid = |made: &Made| (made.from..made.until).contains(&now);
            // Clients have to be told to take it all the same, where they would not take the present one at all.
            if is_valid(&self.made.borrow()) { Err(why) } else { local_ca::renew(None, &self.names, now) }
        })?;
        made.map(|issued| self.install(&issued).map(|()| issued)).transpose()
    }

    /// Serves another one from now on.
    ///
    /// # Errors
    /// It does not go with the rest.
    pub fn install(&self, issued: &Issued) -> Result<(), String> {
        let made = Made::new(&self.recipe, &self.others, issued)?;
        *self.made.borrow_mut() = made;
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

    const DAY: i64 = 86_400;

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
            assert_eq!(local.due(at) <= at, is_due, "{name}");
        }
        for at in [now + 370 * DAY, now - 30 * DAY, now + 4000 * DAY] {
            assert!(local.renew(at).expect("made").is_some());
            assert!(local.due(at) > at, "it is not due again");
        }
    }

    #[test]
    fn one_that_another_process_has_made_is_served() {
        let scratch = Scratch::new();
        let (local, now) = kept_in(scratch.path());
        let later = now + 370 * DAY;
        let theirs = local_ca::obtain(Some(scratch.path()), &local.names, later).expect("made");
        assert_eq!(local.renew(later), Ok(Some(theirs)));
    }

    #[test]
    fn it_stays_where_no_other_one_can_be_kept_until_no_client_takes_it() {
        let scratch = Scratch::new();
        scratch.write("file", b"");
        let (mut local, now) = kept_in(scratch.path());
        local.directory = Some(scratch.path().join("file/below"));
        let end = local.end();
        assert!(local.renew(now + 370 * DAY).expect_err("no directory").contains("cannot be written"));
        assert_eq!(local.end(), end);
        assert!(local.renew(end).expect("made in memory").is_some());
        assert!(local.end() > end);
    }
}
