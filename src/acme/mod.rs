//! ACME (RFC 8555) without I/O: how a certificate is asked of an authority. Requests go out and responses come in as
//! values; sockets are `server::acme`'s, timers and files `services::acme`'s.
//!
//! | file | what |
//! |---|---|
//! | [`jose`] | the account's key, and how requests are signed with it |
//! | [`wire`] | a request and a response as bytes of HTTP |
//! | [`problem`] | why the authority, or the way to it, refused |
//! | [`account`] | what one authority knows us by: directory, nonces, account |
//! | [`order`] | one certificate, from the order to the chain |
//! | [`renewal`] | when the next one is due (RFC 9773, and without it) |

pub mod account;
pub mod jose;
pub mod order;
pub mod problem;
pub mod renewal;
pub mod wire;

/// Where answers to challenges of http-01 are asked for.
pub const HTTP_01: &[u8] = b"/.well-known/acme-challenge/";
/// The protocol that challenges of tls-alpn-01 negotiate.
pub const TLS_ALPN: &[u8] = b"acme-tls/1";

/// How control over a name is shown.
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

/// What is asked of an authority, and on which terms.
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
