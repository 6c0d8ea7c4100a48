//! Keys for certificates to be ordered, and for accounts. RSA keys are made by a helper process: one of 4096 bits takes
//! a second and a half, during which the event loop would serve no client. A key is kept until its certificate is
//! issued or the configuration changes, so that a failed order does not cost another key.
//!
//! What bounds it: one key at a time.

use crate::io::helper::Helper;
use crate::tls::issue::{self, KeyKind};
use std::collections::HashMap;

/// What a key is for, by its number in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyOwner {
    Certificate(usize),
    /// The account at an authority.
    Account(usize),
}

/// Maximum seconds for one key: even on a slow machine most take a tenth of this.
const LONGEST: u32 = 300;
/// Milliseconds between two checks whether the key is ready.
pub const POLL: u64 = 50;

#[derive(Default)]
pub struct NewKeys {
    /// Keys of RSA, or why there is none, for their owner's next attempt.
    made: HashMap<KeyOwner, Result<String, String>>,
    making: Option<(KeyOwner, Helper)>,
}

impl NewKeys {
    /// The key of a certificate or an account; None while it is being made, or another one.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn of(&mut self, id: KeyOwner, kind: KeyKind) -> Option<Result<String, String>> {
        if !kind.is_rsa() {
            return Some(issue::new_key(kind));
        }
        if let Some((of, helper)) = self.making.take() {
            match helper.answer() {
                None => self.making = Some((of, helper)),
                Some(answer) => {
                    let key = answer.ok().and_then(|text| String::from_utf8(text).ok()).filter(|key| !key.is_empty());
                    self.made.insert(of, key.ok_or_else(|| "the process that makes the key ended".to_owned()));
                }
            }
        }
        match self.made.get(&id) {
            Some(Ok(key)) => return Some(Ok(key.clone())),
            // The attempt after this one makes another key.
            Some(Err(_)) => return self.made.remove(&id),
            None => {}
        }
        if self.making.is_none() {
            let make = move |_: &[u8]| issue::new_key(kind).unwrap_or_default().into_bytes();
            let begun = Helper::start(c"webserv-key", LONGEST, make).and_then(|helper| {
                helper.ask(b"key")?;
                Ok(helper)
            });
            match begun {
                Ok(helper) => self.making = Some((id, helper)),
                Err(e) => return Some(Err(format!("no process can be started to make the key {e}"))),
            }
        }
        None
    }

    /// The certificate has been issued, and the next one has the same key; or the account has its key.
    pub fn forget(&mut self, id: KeyOwner) {
        self.made.remove(&id);
    }

    /// As if the process that makes it had ended.
    #[cfg(test)]
    pub fn fail(&mut self, id: KeyOwner) {
        self.made.insert(id, Err("the process that makes the key ended".to_owned()));
    }

    /// Waits until one has been made.
    #[cfg(test)]
    pub fn wait(&self) {
        if let Some((_, helper)) = &self.making {
            let _ = crate::sys::file::wait_any(&[helper.fd()], u32::MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It was dropped, so that no pause began: the two certificates started a process every 50 ms.
    #[test]
    fn a_key_that_failed_while_another_certificate_asked_is_reported_to_its_own() {
        let (own, other) = (KeyOwner::Certificate(1), KeyOwner::Certificate(2));
        let kind = KeyKind::Rsa(2048);
        let helper = Helper::start(c"webserv-key", LONGEST, |_| Vec::new()).expect("a process");
        helper.ask(b"key").expect("asked");
        let mut keys = NewKeys { making: Some((own, helper)), ..NewKeys::default() };
        keys.wait();
        assert_eq!(keys.of(other, kind), None, "its key is begun");
        assert_eq!(keys.of(own, kind), Some(Err("the process that makes the key ended".to_owned())));
        assert_eq!(keys.of(own, kind), None, "once: the next attempt makes another key");
    }
}
