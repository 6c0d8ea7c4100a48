//! When certificates of `ssl_certificate auto` are made again, one at a time.

use crate::config::local_certificate::{LocalCertificate, Renewal};
use crate::config::model::{Config, Level};
use crate::config::tls_material::Handshake;
use crate::tls::issue::Issued;
use crate::tls::names;

/// Milliseconds until the next attempt while another process holds the lock.
const HELD: u64 = 1_000;
/// Milliseconds for which it may hold it: longer is a failure like others.
const PATIENCE: u64 = 60_000;

/// The certificates of a configuration, each with the place of its server.
pub(super) fn all(config: &Config) -> impl Iterator<Item = (usize, &LocalCertificate)> {
    config.servers.iter().enumerate().filter_map(|(at, server)| match &server.tls.as_ref()?.handshake {
        Handshake::Local(local) => Some((at, &**local)),
        _ => None,
    })
}

/// When certificates are checked next.
pub struct Renewals {
    /// Milliseconds until the next check at the most: the wall clock may be set.
    pub(super) longest_wait: u64,
    /// Monotonic milliseconds; None: there are none to renew.
    pub(super) next: Option<u64>,
    /// Since when another process holds the lock, monotonic milliseconds.
    pub(super) held: Option<u64>,
}

/// The outcome of a check, as a line for the log.
pub struct Renewed {
    /// Of the line.
    pub level: Level,
    /// The line.
    pub text: String,
    /// The place of its server in the configuration, and the certificate.
    pub made: Option<(usize, Issued)>,
}

impl Renewals {
    /// `longest_wait`: milliseconds between two checks at the most.
    pub fn new(longest_wait: u64) -> Renewals {
        Renewals { longest_wait, next: None, held: None }
    }

    /// When the next one is due, monotonic milliseconds.
    pub fn next(&self) -> Option<u64> {
        self.next
    }

    /// Sees when the first of a configuration is due. `ms` is the monotonic clock, `unix` the wall clock.
    pub fn plan(&mut self, config: &Config, ms: u64, unix: i64) {
        let due = all(config).map(|(_, local)| local.renew_at(unix)).min();
        self.next = due.map(|due| {
            let seconds = u64::try_from(due.saturating_sub(unix)).unwrap_or(0);
            ms.saturating_add(seconds.saturating_mul(1000).min(self.longest_wait))
        });
    }

    /// The wall clock was set.
    pub fn clock_jumped(&mut self, ms: u64) {
        self.next = self.next.map(|next| next.min(ms));
    }

    /// Makes a certificate again, if the time has come and one is due.
    pub fn step(&mut self, config: &Config, ms: u64, unix: i64) -> Option<Renewed> {
        if self.next.is_none_or(|next| next > ms) {
            return None;
        }
        self.plan(config, ms, unix);
        // One that failed is not due for a while, so that it holds up no other.
        let (server, local) = all(config).find(|(_, local)| local.renew_at(unix) <= unix)?;
        // A lock that was held for long is waited for again, the next time.
        self.held = self.held.filter(|since| ms.saturating_sub(*since) < 2 * PATIENCE);
        let waits = self.held.is_none_or(|since| ms.saturating_sub(since) < PATIENCE);
        let Some(outcome) = local.renew(unix, waits).transpose() else {
            self.held.get_or_insert(ms);
            self.next = Some(ms + HELD);
            return None;
        };
        match &outcome {
            Ok(Renewal::Made(_)) => self.held = None,
            Err(_) if waits => self.held = None,
            _ => {}
        }
        let renewed = outcome_of(local, unix, server, outcome);
        self.plan(config, ms, unix);
        Some(renewed)
    }
}

/// Says what an attempt came to, and puts off the next one where it is due all the same.
fn outcome_of(local: &LocalCertificate, unix: i64, server: usize, outcome: Result<Renewal, String>) -> Renewed {
    let (name, end) = (local.name(), names::time(local.end()));
    // One that was made by a clock that is out of all bounds is due again, too.
    let due = local.renew_at(unix);
    let next = names::time(if due <= unix { local.put_off(unix) } else { due });
    match outcome {
        Ok(Renewal::Stopgap(issued, why)) => Renewed {
            level: Level::Warn,
            text: format!(
                "the certificate for {name} is not valid, and none that clients trust could be made: {why}; a \
                 temporary one is served, next attempt at {next}"
            ),
            made: Some((server, issued)),
        },
        Ok(Renewal::Made(issued)) => Renewed {
            level: Level::Notice,
            text: format!("the certificate for {name} was made again, valid until {end}"),
            made: Some((server, issued)),
        },
        Err(why) => Renewed {
            level: Level::Warn,
            text: format!(
                "the certificate for {name}, valid until {end}, could not be made again: {why}; next attempt at {next}"
            ),
            made: None,
        },
    }
}
