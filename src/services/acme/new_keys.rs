//! Keys for certificates that are ordered. Those of RSA are made by a helper process: one of 4096 bits takes a second
//! and a half, for which the loop would serve nobody. They are kept until the certificate is issued or the
//! configuration changes, so that an order that fails costs no other key.
//!
//! What bounds it: one key at a time.

use crate::io::helper::Helper;
use crate::tls::issue::{self, KeyKind};
use std::collections::HashMap;

/// Seconds after which the helper gives a key up: on a slow machine most take a tenth of this.
const LONGEST: u32 = 300;
/// Milliseconds between two looks whether it has been made.
pub const LOOK: u64 = 50;

/// Keys of RSA, by the number of their certificate.
#[derive(Default)]
pub struct NewKeys {
    made: HashMap<usize, String>,
    making: Option<(usize, Helper)>,
}

impl NewKeys {
    /// The key of a certificate; None while it is being made, or another one.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn of(&mut self, id: usize, kind: KeyKind) -> Option<Result<String, String>> {
        if !kind.is_rsa() {
            return Some(issue::new_key(kind));
        }
        if let Some((of, helper)) = self.making.take() {
            match helper.answer() {
                None => self.making = Some((of, helper)),
                Some(answer) => match answer.ok().and_then(|text| String::from_utf8(text).ok()) {
                    Some(key) if !key.is_empty() => _ = self.made.insert(of, key),
                    _ if of == id => return Some(Err("the process that makes the key ended".to_owned())),
                    _ => {}
                },
            }
        }
        if let Some(key) = self.made.get(&id) {
            return Some(Ok(key.clone()));
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

    /// The certificate has been issued: the next one has the same key.
    pub fn forget(&mut self, id: usize) {
        self.made.remove(&id);
    }

    /// Waits until one has been made.
    #[cfg(test)]
    pub fn wait(&self) {
        if let Some((_, helper)) = &self.making {
            let _ = crate::sys::file::wait_any(&[helper.fd()], u32::MAX);
        }
    }
}
