//! TLS without I/O: parsing and verifying certificates, keys, tickets, and the connection itself as bytes in and
//! bytes out. It stands between `http` and `config`: configurations are checked with it, and sockets are driven
//! through it.
//!
//! | file | what |
//! |---|---|
//! | [`session`] | a connection: the only user of rustls' unbuffered API |
//! | [`hello`] | the ClientHello, before a configuration is chosen |
//! | [`server`], [`client`], [`possession`] | the settings of handshakes |
//! | [`ticket`] | session resumption |
//! | `time` | the wall clock for rustls |
//! | [`entropy`] | the seed of the process's random numbers |
//! | [`issue`] | certificates that the server makes itself |
//! | [`ciphers`] | suites, curves and schemes by OpenSSL's names |
//! | [`verify`], [`crl`], [`constraints`], [`signed`], [`fault`] | verifying chains, by OpenSSL's rules |
//! | [`x509`], [`names`], [`der`], [`pem`], [`key`] | reading certificates and keys |

pub mod ciphers;
pub mod client;
pub mod constraints;
pub mod crl;
pub mod der;
pub mod entropy;
pub mod fault;
pub mod fuzzing;
pub mod hello;
pub mod issue;
pub mod key;
pub mod names;
pub mod pem;
mod possession;
pub mod server;
pub mod session;
pub mod signed;
pub mod ticket;
mod time;
pub mod verify;
pub mod x509;

pub use rustls::client::ClientConfig;
pub use rustls::pki_types::{CertificateDer, ServerName};
pub use rustls::server::ServerConfig;
pub use rustls::sign::CertifiedKey;

#[cfg(test)]
pub mod testing;
