//! One certificate authority: its directory, nonces, and our account there. All requests to that authority share it.
//!
//! Invariant: a nonce is used once.

use super::Terms;
use super::jose::AccountKey;
use super::problem::{AcmeFailure, Kind, Problem, refused};
use super::wire::{Method, Request, Response, Url};
use serde_json::{Value, json};

/// The URLs of the directory (RFC 8555 §7.1.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    nonce: Url,
    account: Url,
    order: Url,
    /// RFC 9773's renewalInfo; not every authority supports it.
    pub renewal: Option<String>,
    terms_of_service: Option<String>,
    needs_external: bool,
    profiles: Vec<String>,
}

impl Directory {
    /// The authority's directory (RFC 8555 §7.1.1). None: it is no JSON, or lacks a URL that is needed.
    pub fn parse(response: &Response) -> Option<Directory> {
        let value: Value = serde_json::from_slice(&response.body).ok()?;
        let url = |name: &str| Url::parse(value.get(name)?.as_str()?);
        let meta = value.get("meta").cloned().unwrap_or(Value::Null);
        let text = |name: &str| meta.get(name).and_then(Value::as_str).map(str::to_owned);
        let profiles = meta.get("profiles").and_then(Value::as_object);
        Some(Directory {
            nonce: url("newNonce")?,
            account: url("newAccount")?,
            order: url("newOrder")?,
            renewal: url("renewalInfo").map(|url| url.text),
            terms_of_service: text("termsOfService"),
            needs_external: meta.get("externalAccountRequired").and_then(Value::as_bool).unwrap_or(false),
            profiles: profiles.into_iter().flatten().map(|(name, _)| name.clone()).collect(),
        })
    }
}

/// What must be fetched before an order can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preliminary {
    /// The directory, which has the other URLs.
    Directory,
    /// A nonce for the first signed request (RFC 8555 §7.2).
    Nonce,
    /// The account: registered, or found by its key.
    Account,
}

/// The account at one authority, and what its next request needs.
#[derive(Debug)]
pub struct Account {
    key: AccountKey,
    /// The account's URL at the authority (JWS `kid`).
    kid: Option<String>,
    directory: Option<Directory>,
    nonce: Option<String>,
}

impl Account {
    /// `kid`: the account's URL, if it is known from an earlier run.
    pub fn new(key: AccountKey, kid: Option<String>) -> Account {
        Account { key, kid, directory: None, nonce: None }
    }

    /// Signs its requests.
    pub fn key(&self) -> &AccountKey {
        &self.key
    }

    /// None: it is not registered yet, or not known to be.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// After a failed request: fetches the directory again, as its URLs may have changed. The account is kept; if the
    /// authority has deleted it, a later response says so.
    pub fn forget(&mut self) {
        self.directory = None;
        self.nonce = None;
    }

    /// None: it was not fetched yet.
    pub fn directory(&self) -> Option<&Directory> {
        self.directory.as_ref()
    }

    /// The URL for new orders (newOrder).
    pub fn orders(&self) -> Option<&Url> {
        self.directory.as_ref().map(|directory| &directory.order)
    }

    /// The request needed before anything else: directory, nonce or account. None: all are at hand.
    ///
    /// # Errors
    /// No account can be created on these terms.
    pub fn preliminary(&mut self, terms: &Terms) -> Result<Option<(Preliminary, Request)>, AcmeFailure> {
        let Some(directory) = &self.directory else {
            return Ok(Some((Preliminary::Directory, Request::get(terms.uri.clone()))));
        };
        if self.nonce.is_none() {
            let request = Request { method: Method::Head, url: directory.nonce.clone(), body: Vec::new() };
            return Ok(Some((Preliminary::Nonce, request)));
        }
        if self.kid.is_some() {
            return Ok(None);
        }
        let url = directory.account.clone();
        let mut payload = json!({});
        if terms.agreed {
            payload["termsOfServiceAgreed"] = true.into();
        }
        if !terms.contacts.is_empty() {
            payload["contact"] = terms.contacts.clone().into();
        }
        match &terms.external {
            Some((kid, mac)) => payload["externalAccountBinding"] = self.key.binding(&url.text, kid, mac),
            None if directory.needs_external => {
                let text = "the authority requires a binding to an external account: external_account_key";
                return Err(AcmeFailure::new(Kind::Settings, text));
            }
            None => {}
        }
        Ok(Some((Preliminary::Account, self.post(&url, &payload.to_string())?)))
    }

    /// Handles the response to the request from [`Account::preliminary`].
    ///
    /// # Errors
    /// The authority refused.
    pub fn take(
        &mut self,
        which: Preliminary,
        terms: &Terms,
        response: &Response,
        now: i64,
    ) -> Result<(), AcmeFailure> {
        self.learn(response);
        let is_good = (200..300).contains(&response.status);
        match which {
            Preliminary::Directory if is_good => {
                let directory =
                    Directory::parse(response).ok_or_else(|| AcmeFailure::invalid_response("its directory"))?;
                self.directory = Some(directory);
                Ok(())
            }
            Preliminary::Directory => Err(refused(response, "the directory", now)),
            Preliminary::Nonce if self.nonce.is_some() => Ok(()),
            Preliminary::Nonce => Err(refused(response, "newNonce", now)),
            Preliminary::Account if is_good => {
                let kid = response
                    .field("location")
                    .ok_or_else(|| AcmeFailure::invalid_response("an account without a URL"))?;
                self.kid = Some(kid.to_owned());
                Ok(())
            }
            Preliminary::Account => {
                let mut failure = refused(response, "newAccount", now);
                let document = self.directory.as_ref().and_then(|directory| directory.terms_of_service.as_ref());
                if let Some(document) = document.filter(|_| !terms.agreed) {
                    failure.kind = Kind::Settings;
                    failure.text.push_str(&format!("; agree to {document} by accept_terms_of_service"));
                }
                Err(failure)
            }
        }
    }

    /// Keeps the nonce of a response for the next request.
    pub fn learn(&mut self, response: &Response) {
        if let Some(nonce) = response.field("replay-nonce") {
            self.nonce = Some(nonce.to_owned());
        }
    }

    /// A signed POST; with an empty payload, a POST-as-GET.
    ///
    /// # Errors
    /// The key cannot sign.
    pub fn post(&mut self, url: &Url, payload: &str) -> Result<Request, AcmeFailure> {
        let nonce = self.nonce.take().unwrap_or_default();
        let body = self.key.request(&url.text, &nonce, self.kid.as_deref(), payload);
        let body = body.map_err(|why| AcmeFailure::new(Kind::Settings, why))?;
        Ok(Request { method: Method::Post, url: url.clone(), body })
    }

    /// Whether to retry after this response: only the nonce or the account was out of date.
    pub fn may_repeat(&mut self, response: &Response) -> bool {
        match Problem::of_response(response).kind.as_str() {
            "badNonce" => true,
            "accountDoesNotExist" if self.kid.is_some() => {
                self.kid = None;
                true
            }
            _ => false,
        }
    }

    /// The profile to order with, if the authority offers it.
    ///
    /// # Errors
    /// It offers none of that name, and the configuration requires it.
    pub fn profile(&self, terms: &Terms) -> Result<Option<String>, AcmeFailure> {
        let Some((name, required)) = &terms.profile else { return Ok(None) };
        let there = self.directory.as_ref().is_some_and(|directory| directory.profiles.contains(name));
        if !there && *required {
            return Err(AcmeFailure::new(Kind::Settings, format!("the authority has no profile \"{name}\"")));
        }
        Ok(there.then(|| name.clone()))
    }
}
