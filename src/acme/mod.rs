//! ACME (RFC 8555) without I/O: ordering certificates from a certificate authority. Requests and responses are values;
//! sockets are in `server::acme`, timers and files in `services::acme`.
//!
//! | file | what |
//! |---|---|
//! | [`jose`] | the account's key, and how requests are signed with it |
//! | [`wire`] | a request and a response as bytes of HTTP |
//! | [`problem`] | why the authority, or the way to it, refused |
//! | [`account`] | one authority: its directory, nonces, our account there |
//! | [`order`] | one certificate, from the order to the chain |
//! | [`renewal`] | when the next one is due (RFC 9773, and without it) |

pub mod account;
pub mod jose;
pub mod order;
pub mod problem;
pub mod renewal;
pub mod wire;

/// The path prefix under which the authority fetches answers to http-01 challenges (RFC 8555 §8.3).
pub const HTTP_01: &[u8] = b"/.well-known/acme-challenge/";
/// The ALPN protocol of tls-alpn-01 challenges (RFC 8737).
pub const TLS_ALPN: &[u8] = b"acme-tls/1";

/// The challenge type by which control over a name is proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChallengeKind {
    Http01,
    TlsAlpn01,
}

impl ChallengeKind {
    pub fn name(self) -> &'static str {
        match self {
            ChallengeKind::Http01 => "http-01",
            ChallengeKind::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

/// An `acme_issuer`: the authority and the terms of the account.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Its directory.
    pub uri: wire::Url,
    /// URLs with their scheme.
    pub contacts: Vec<String>,
    pub agreed: bool,
    /// Key identifier and MAC key of an account there that ours is bound to.
    pub external: Option<(String, Vec<u8>)>,
    pub challenge: ChallengeKind,
    /// Common name of the issuer at the top of the wanted chain.
    pub preferred_chain: Option<String>,
    /// A profile, and whether it is an error that there is none of that name.
    pub profile: Option<(String, bool)>,
}
