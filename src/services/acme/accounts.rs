//! The accounts at the authorities: read from disk or created, and stored there. An RSA key is made by a helper process
//! ([`super::new_keys`]) before the first order: a key of 4096 bits would hold up all clients for a second and a half.

use super::authority::Authority;
use super::new_keys::{self, KeyOwner};
use super::store::{self, Opened};
use super::{Acme, Moment, chance};
use crate::acme::jose::AccountKey;
use crate::config::acme::Issuer;
use crate::config::model::Level;
use crate::tls::issue::{self, KeyKind};
use std::rc::Rc;

impl Acme {
    pub(super) fn authority(&mut self, issuer: &Rc<Issuer>) -> Option<Authority> {
        let opened = store::account(issuer);
        let is_makeshift = opened.is_err();
        let opened = opened.or_else(|why| {
            self.lines.push((Level::Emerg, format!("acme issuer \"{}\": {why}", issuer.name)));
            // A temporary account, until a reload can read the key: better than no certificate. The state on disk is
            // not changed.
            let key = issue::new_key(KeyKind::P256).and_then(|key| AccountKey::from_pem(key.as_bytes()))?;
            Ok::<_, String>(Some(Opened { key, kid: None, unsaved_key: None }))
        });
        let mut authority = Authority::new(issuer.clone());
        authority.take(opened.ok()?);
        authority.is_makeshift = is_makeshift;
        Some(authority)
    }

    /// Retries reading keys that could not be read. True if one succeeded.
    pub(super) fn read_keys_again(&mut self) -> bool {
        let mut is_mended = false;
        for authority in self.authorities.iter_mut().filter(|authority| authority.is_makeshift) {
            if let Ok(opened) = store::account(&authority.issuer) {
                authority.take(opened);
                is_mended = true;
            }
        }
        is_mended
    }

    /// Whether an authority has its account. If not, its key is being made.
    ///
    /// # Errors
    /// The key cannot be made; the next call begins another.
    pub(super) fn has_account(&mut self, at: usize, now: Moment) -> Result<bool, String> {
        let Some(authority) = self.authorities.get_mut(at).filter(|authority| authority.account.is_none()) else {
            return Ok(true);
        };
        let Some(kind) = authority.issuer.account_key.kind_to_make() else { return Ok(true) };
        let Some(key) = self.new_keys.of(KeyOwner::Account(at), kind) else {
            authority.wait = now.ms + new_keys::POLL;
            return Ok(false);
        };
        let opened = store::new_account(&authority.issuer, key?)?;
        authority.take(Some(opened));
        self.new_keys.forget(KeyOwner::Account(at));
        self.keep_account(at, now.unix);
        Ok(true)
    }

    /// Writes the parts of an account that are not on disk yet.
    pub(super) fn keep_account(&mut self, at: usize, now: i64) {
        let Some(authority) = self.authorities.get_mut(at) else { return };
        let issuer = authority.issuer.clone();
        let key = authority.unsaved_key.as_deref().map_or(Ok(true), |text| store::keep_key(&issuer, text));
        let kept = key.and_then(|is_ours| match is_ours {
            true => authority.keep().map(|()| false),
            false => match store::account(&issuer)? {
                None | Some(Opened { unsaved_key: Some(_), .. }) => Err("account.key has come and gone".to_owned()),
                opened => {
                    authority.take(opened);
                    Ok(true)
                }
            },
        });
        let is_other = kept == Ok(true);
        let what = format!("the account of acme issuer \"{}\"", issuer.name);
        self.lines.extend(authority.unsaved.attempted(kept.map(drop), &what, now, chance()));
        if is_other {
            // The order in progress belonged to another account.
            self.finish(at);
        }
    }
}
