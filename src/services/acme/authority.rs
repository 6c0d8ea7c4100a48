//! An authority, its account and its current job. Certificates are only indices here.

use super::store::{self, Opened};
use super::unsaved::Unsaved;
use crate::acme::account::Account;
use crate::acme::order::Order;
use crate::acme::renewal::Inquiry;
use crate::config::acme::Issuer;
use std::rc::Rc;

/// What a job does at its authority.
pub enum Work {
    /// With the private key of the future certificate.
    Order(Box<Order>, String),
    /// Asks the authority when to renew a certificate (ARI, RFC 9773).
    Inquiry(Inquiry),
}

/// One order or inquiry; an authority has one at a time.
pub struct Job {
    /// Index of the certificate.
    pub certificate: usize,
    /// How far it has come.
    pub work: Work,
    /// The number of challenges whose responses are published.
    pub published: usize,
}

/// An issuer and its current job.
pub struct Authority {
    /// The authority as the configuration has it.
    pub issuer: Rc<Issuer>,
    /// The account that signs the requests. None: its key is made before the first of them.
    pub account: Option<Account>,
    /// None: nothing is due.
    pub job: Option<Job>,
    /// A request was sent and has not been answered.
    pub outstanding: bool,
    /// No request is sent before this time, monotonic milliseconds.
    pub wait: u64,
    /// The account's key, if it was made here and is not on disk.
    pub unsaved_key: Option<String>,
    /// The key on disk could not be read: a temporary account is used, whose key is not stored.
    pub is_makeshift: bool,
    /// Retries writing the account to disk.
    pub unsaved: Unsaved,
}

impl Authority {
    /// Without an account and a job.
    pub fn new(issuer: Rc<Issuer>) -> Authority {
        Authority {
            issuer,
            account: None,
            job: None,
            outstanding: false,
            wait: 0,
            unsaved_key: None,
            is_makeshift: false,
            unsaved: Unsaved::default(),
        }
    }

    /// Switches to another account, which may be one that is yet to be registered. None: its key is yet to be made.
    pub fn take(&mut self, opened: Option<Opened>) {
        (self.account, self.unsaved_key, self.is_makeshift) = (None, None, false);
        if let Some(Opened { key, kid, unsaved_key }) = opened {
            (self.account, self.unsaved_key) = (Some(Account::new(key, kid)), unsaved_key);
        }
    }

    /// Writes the key to disk, and the URL if it is known.
    pub fn keep(&mut self) -> Result<(), String> {
        self.unsaved_key = None;
        let Some(account) = self.account.as_ref().filter(|_| !self.is_makeshift) else { return Ok(()) };
        account.kid().map_or(Ok(()), |kid| store::keep_account(&self.issuer, account.key(), kid))
    }

    /// The state after a reload, without a job.
    pub fn without_job(self, issuer: Rc<Issuer>) -> Authority {
        Authority { issuer, job: None, outstanding: false, wait: 0, ..self }
    }
}

/// Whether a job that was begun with one issuer can continue with the other.
pub fn is_same(a: &Issuer, b: &Issuer) -> bool {
    let (x, y) = (&a.terms, &b.terms);
    a.name == b.name
        && a.state == b.state
        && a.account_key == b.account_key
        && x.uri == y.uri
        && x.challenge == y.challenge
        && x.external == y.external
        && x.profile == y.profile
}
