//! One certificate: order, authorizations, finalization, download. [`Order::next`] returns the next request,
//! [`Order::receive`] takes its response.
//!
//! Invariants: the number of requests is bounded ([`POLLS`], [`REPEATS`]); challenge responses are in place
//! ([`Order::challenges`]) before the authority is notified.

use super::account::{Account, Preliminary};
use super::problem::{AcmeFailure, Kind, Problem, refused, retry_after};
use super::wire::{Request, Response, Url};
use super::{ChallengeKind, Terms};
use crate::http::escape;
use crate::tls::pem;
use crate::tls::x509::Certificate;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::net::IpAddr;

/// Maximum number of polls per order.
const POLLS: u32 = 120;
/// Milliseconds between two polls: the first pause, and the longest.
const PAUSE: u64 = 250;
const LONGEST: u64 = 10_000;
/// Maximum number of consecutive retries of a request (after badNonce and the like).
const REPEATS: u32 = 12;

/// A challenge and the response to serve to the authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// How it is answered.
    pub kind: ChallengeKind,
    /// The name or address to be validated.
    pub name: String,
    /// Names the file of http-01.
    pub token: String,
    /// The key authorization.
    pub answer: String,
}

/// What the caller has to do next.
#[derive(Debug)]
pub enum Action {
    /// Send this request, and give its response to [`Order::receive`].
    Ask(Request),
    /// Milliseconds to wait before calling [`Order::next`] again.
    Wait(u64),
    /// The chain as PEM.
    Done(String),
}

#[derive(Debug)]
enum Stage {
    New,
    /// Fetches the first pending authorization.
    FetchAuthorization,
    /// Notifies the authority that the challenge at this URL is ready.
    NotifyChallenge(Url),
    /// Polls until the authorization is valid or invalid.
    PollAuthorization,
    /// Polls until the order is ready, or its certificate is issued.
    PollOrder,
    Finalize,
    Download(Url),
    /// Fetches an alternate chain, which may be the preferred one.
    Alternate(Url),
    Done,
}

#[derive(Clone, Copy, Debug)]
enum Outstanding {
    Preliminary(Preliminary),
    Own,
}

/// A certificate order in progress at one authority.
#[derive(Debug)]
pub struct Order {
    names: Vec<String>,
    /// DER.
    request: Vec<u8>,
    /// ID of the certificate that this order replaces (RFC 9773).
    replaces: Option<String>,
    stage: Stage,
    outstanding: Option<Outstanding>,
    url: Option<Url>,
    finalize: Option<Url>,
    authorizations: VecDeque<Url>,
    challenges: Vec<Challenge>,
    wait: Option<u64>,
    pause: u64,
    polls: u32,
    repeats: u32,
    chain: String,
    alternates: Vec<Url>,
}

/// The identifier for an order: of type `dns` or `ip`.
fn identifier(name: &str) -> Value {
    let kind = if name.parse::<IpAddr>().is_ok() { "ip" } else { "dns" };
    json!({ "type": kind, "value": name })
}

fn object(response: &Response) -> Result<Value, AcmeFailure> {
    serde_json::from_slice(&response.body).map_err(|_| AcmeFailure::invalid_response("no JSON"))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn url(value: &Value, name: &str) -> Result<Url, AcmeFailure> {
    Url::parse(text(value, name)).ok_or_else(|| AcmeFailure::invalid_response(name))
}

impl Order {
    /// An order for these names, with a PKCS#10 request (DER).
    pub fn new(names: Vec<String>, request: Vec<u8>, replaces: Option<String>) -> Order {
        Order {
            names,
            request,
            replaces,
            stage: Stage::New,
            outstanding: None,
            url: None,
            finalize: None,
            authorizations: VecDeque::new(),
            challenges: Vec::new(),
            wait: None,
            pause: PAUSE,
            polls: 0,
            repeats: 0,
            chain: String::new(),
            alternates: Vec::new(),
        }
    }

    /// The challenge responses that must be served until the order is complete.
    pub fn challenges(&self) -> &[Challenge] {
        &self.challenges
    }

    /// The next action. Must not be called while a request is outstanding.
    ///
    /// # Errors
    /// The order has failed.
    pub fn next(&mut self, account: &mut Account, terms: &Terms) -> Result<Action, AcmeFailure> {
        if let Stage::Done = self.stage {
            return Ok(Action::Done(std::mem::take(&mut self.chain)));
        }
        if let Some(wait) = self.wait.take() {
            return Ok(Action::Wait(wait));
        }
        if let Some((which, request)) = account.preliminary(terms)? {
            self.outstanding = Some(Outstanding::Preliminary(which));
            return Ok(Action::Ask(request));
        }
        let (target, payload) = self.own(account, terms)?;
        self.outstanding = Some(Outstanding::Own);
        Ok(Action::Ask(account.post(&target, &payload)?))
    }

    fn own(&self, account: &Account, terms: &Terms) -> Result<(Url, String), AcmeFailure> {
        let lost = || AcmeFailure::invalid_response("an order without its URLs");
        Ok(match &self.stage {
            Stage::New => {
                let names: Vec<Value> = self.names.iter().map(|name| identifier(name)).collect();
                let mut order = json!({ "identifiers": names });
                if let Some(replaced) = &self.replaces {
                    order["replaces"] = replaced.clone().into();
                }
                if let Some(profile) = account.profile(terms)? {
                    order["profile"] = profile.into();
                }
                (account.orders().ok_or_else(lost)?.clone(), order.to_string())
            }
            Stage::FetchAuthorization | Stage::PollAuthorization => {
                (self.authorizations.front().ok_or_else(lost)?.clone(), String::new())
            }
            Stage::NotifyChallenge(challenge) => (challenge.clone(), "{}".into()),
            Stage::PollOrder | Stage::Done => (self.url.clone().ok_or_else(lost)?, String::new()),
            Stage::Finalize => {
                let payload = json!({ "csr": escape::base64url(&self.request) });
                (self.finalize.clone().ok_or_else(lost)?, payload.to_string())
            }
            Stage::Download(target) | Stage::Alternate(target) => (target.clone(), String::new()),
        })
    }

    /// Handles the response to the last request. `now`: seconds since 1970.
    ///
    /// # Errors
    /// The order has failed.
    pub fn receive(
        &mut self,
        account: &mut Account,
        terms: &Terms,
        response: &Response,
        now: i64,
    ) -> Result<(), AcmeFailure> {
        match self.outstanding.take() {
            Some(Outstanding::Preliminary(which)) => match account.take(which, terms, response, now) {
                Err(_) if self.again(account, response) => Ok(()),
                taken => taken,
            },
            Some(Outstanding::Own) => {
                account.learn(response);
                if (200..300).contains(&response.status) {
                    self.repeats = 0;
                    return self.progress(account, terms, response, now);
                }
                if self.again(account, response) {
                    return Ok(());
                }
                self.refusal(response, now)
            }
            None => Ok(()),
        }
    }

    fn again(&mut self, account: &mut Account, response: &Response) -> bool {
        self.repeats += 1;
        self.repeats <= REPEATS && account.may_repeat(response)
    }

    fn refusal(&mut self, response: &Response, now: i64) -> Result<(), AcmeFailure> {
        let problem = Problem::of_response(response);
        match self.stage {
            Stage::New if problem.kind == "alreadyReplaced" && self.replaces.take().is_some() => Ok(()),
            // It was finalized already, or is not ready yet.
            Stage::Finalize if problem.kind == "orderNotReady" => {
                self.stage = Stage::PollOrder;
                self.poll_later(None)
            }
            // The alternate chain could not be fetched: fall back to the default chain.
            Stage::Alternate(_) => {
                self.stage = Stage::Done;
                Ok(())
            }
            _ => {
                let what = match &self.stage {
                    Stage::New => "newOrder",
                    Stage::FetchAuthorization | Stage::PollAuthorization => "the authorization",
                    Stage::NotifyChallenge(_) => "the challenge",
                    Stage::PollOrder => "the order",
                    Stage::Finalize => "finalize",
                    Stage::Download(_) | Stage::Alternate(_) | Stage::Done => "the certificate",
                };
                Err(refused(response, what, now))
            }
        }
    }

    /// Schedules the next poll.
    fn poll_later(&mut self, wanted: Option<u64>) -> Result<(), AcmeFailure> {
        self.polls += 1;
        if self.polls > POLLS {
            return Err(AcmeFailure::new(Kind::Refused, "the authority does not decide"));
        }
        self.wait = Some(wanted.map_or(self.pause, |seconds| seconds.clamp(1, 300) * 1000));
        self.pause = (self.pause * 3 / 2).min(LONGEST);
        Ok(())
    }

    fn progress(&mut self, account: &Account, terms: &Terms, response: &Response, now: i64) -> Result<(), AcmeFailure> {
        let wanted = retry_after(response, now);
        match &self.stage {
            Stage::New => {
                let place = response.field("location").and_then(Url::parse);
                self.url = Some(place.ok_or_else(|| AcmeFailure::invalid_response("an order without a URL"))?);
                let order = object(response)?;
                self.finalize = Some(url(&order, "finalize")?);
                let urls = order.get("authorizations").and_then(Value::as_array).cloned().unwrap_or_default();
                self.authorizations = urls.iter().filter_map(|url| Url::parse(url.as_str()?)).collect();
                self.stage = if self.authorizations.is_empty() { Stage::PollOrder } else { Stage::FetchAuthorization };
                Ok(())
            }
            Stage::FetchAuthorization | Stage::PollAuthorization => {
                self.authorization(account, terms, &object(response)?, wanted)
            }
            Stage::NotifyChallenge(_) => {
                self.stage = Stage::PollAuthorization;
                self.pause = PAUSE;
                self.poll_later(wanted)
            }
            Stage::PollOrder | Stage::Finalize => self.order(&object(response)?, wanted),
            Stage::Download(_) => {
                let chain =
                    String::from_utf8(response.body.clone()).map_err(|_| AcmeFailure::invalid_response("its chain"))?;
                self.alternates = alternates(response);
                self.chain = chain;
                self.choose(terms);
                Ok(())
            }
            Stage::Alternate(_) => {
                if let Ok(chain) = String::from_utf8(response.body.clone())
                    && is_preferred(&chain, terms)
                {
                    self.chain = chain;
                }
                self.choose(terms);
                Ok(())
            }
            Stage::Done => Ok(()),
        }
    }

    /// Keeps the chain if it is the preferred one, otherwise fetches the next alternate.
    fn choose(&mut self, terms: &Terms) {
        self.stage = match self.alternates.pop() {
            Some(next) if !is_preferred(&self.chain, terms) => Stage::Alternate(next),
            _ => Stage::Done,
        };
    }

    fn authorization(
        &mut self,
        account: &Account,
        terms: &Terms,
        found: &Value,
        wanted: Option<u64>,
    ) -> Result<(), AcmeFailure> {
        let name = found.get("identifier").map(|name| text(name, "value")).unwrap_or_default().to_owned();
        let offered = found.get("challenges").and_then(Value::as_array).cloned().unwrap_or_default();
        match text(found, "status") {
            "valid" => {
                self.authorizations.pop_front();
                self.stage = if self.authorizations.is_empty() { Stage::PollOrder } else { Stage::FetchAuthorization };
                return Ok(());
            }
            "pending" => {}
            _ => {
                let error = offered.iter().find_map(|challenge| challenge.get("error"));
                let problem = error.map(Problem::of).unwrap_or_default();
                let kind = terms.challenge.name();
                return Err(problem.failure(&format!("control over \"{name}\" was not shown by {kind}")));
            }
        }
        let ours = offered.iter().find(|challenge| text(challenge, "type") == terms.challenge.name());
        let Some(ours) = ours else {
            let what = format!("the authority offers no {} for \"{name}\"", terms.challenge.name());
            return Err(AcmeFailure::new(Kind::Settings, what));
        };
        if matches!(self.stage, Stage::PollAuthorization) || text(ours, "status") == "processing" {
            self.stage = Stage::PollAuthorization;
            return self.poll_later(wanted);
        }
        let token = text(ours, "token").to_owned();
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')) {
            return Err(AcmeFailure::invalid_response("the token of a challenge"));
        }
        let answer = account.key().authorization(&token);
        self.challenges.push(Challenge { kind: terms.challenge, name, token, answer });
        self.stage = Stage::NotifyChallenge(url(ours, "url")?);
        Ok(())
    }

    fn order(&mut self, order: &Value, wanted: Option<u64>) -> Result<(), AcmeFailure> {
        match text(order, "status") {
            "ready" if matches!(self.stage, Stage::PollOrder) => {
                self.stage = Stage::Finalize;
                self.pause = PAUSE;
                Ok(())
            }
            "valid" => {
                self.stage = Stage::Download(url(order, "certificate")?);
                Ok(())
            }
            "invalid" => {
                let problem = order.get("error").map(Problem::of).unwrap_or_default();
                Err(problem.failure("the order was refused"))
            }
            _ => {
                self.stage = Stage::PollOrder;
                self.poll_later(wanted)
            }
        }
    }
}

/// URLs of alternate chains (`Link: rel="alternate"`, RFC 8288).
fn alternates(response: &Response) -> Vec<Url> {
    let links = response.fields.iter().filter(|(name, _)| name == "link").flat_map(|(_, value)| value.split(','));
    let alternate = links.filter_map(|link| {
        let (target, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_alternate = rest.split(';').any(|part| matches!(part.trim(), "rel=\"alternate\"" | "rel=alternate"));
        Url::parse(target).filter(|_| is_alternate)
    });
    // Reversed, since `choose` takes them from the end.
    let mut found: Vec<Url> = alternate.collect();
    found.reverse();
    found
}

/// Whether the last certificate of the chain was issued by the preferred issuer.
fn is_preferred(chain: &str, terms: &Terms) -> bool {
    let Some(wanted) = &terms.preferred_chain else { return true };
    let Ok(sections) = pem::parse(chain.as_bytes()) else { return false };
    let Some(top) = sections.last().and_then(|section| Certificate::parse(&section.der).ok()) else { return false };
    top.issuer_common_name() == Some(wanted.as_bytes())
}

#[cfg(test)]
mod tests;
