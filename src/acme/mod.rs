//! ACME (RFC 8555) without I/O: ordering certificates from a certificate authority. Requests and responses are values;
//! sockets are in `server::acme`, timers and files in `services::acme`.
//!
//! | file | what |
//! |---|---|
//! | [`jose`] | the account's key, and how requests are signed with it |
//! | [`wire`] | a request and a response as bytes of HTTP |
//! | [`problem`] | why a request or an order failed |
//! | [`account`] | an authority: its directory, nonces, and our account there |
//! | [`order`] | one certificate, from the order to the chain |
//! | [`renewal`] | when to renew a certificate (with and without RFC 9773), and when to retry |

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
    /// A file below `/.well-known/acme-challenge/`, on port 80 (RFC 8555 §8.3).
    Http01,
    /// A certificate for the ALPN protocol `acme-tls/1`, on port 443 (RFC 8737).
    TlsAlpn01,
}

impl ChallengeKind {
    /// As in challenges and in the directive `challenge`.
    pub fn name(self) -> &'static str {
        match self {
            ChallengeKind::Http01 => "http-01",
            ChallengeKind::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

/// An `acme_issuer`: the authority and the settings of our account there.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Its directory.
    pub uri: wire::Url,
    /// As URLs, `mailto:` included.
    pub contacts: Vec<String>,
    /// The terms of service are agreed to.
    pub agreed: bool,
    /// External account binding: key identifier and MAC key.
    pub external: Option<(String, Vec<u8>)>,
    /// The challenge that is answered.
    pub challenge: ChallengeKind,
    /// Common name that the topmost issuer of the chain should have.
    pub preferred_chain: Option<String>,
    /// Profile name, and whether it is an error if the authority does not offer it.
    pub profile: Option<(String, bool)>,
}
