//! The page: our own readable listing, for people. Rendering follows in the next commit.
use super::{Entry, Kind, Listing};
/// The page's Content-Security-Policy.
pub const PAGE_CSP: &str = "";
pub fn head(_listing: &Listing<'_>, _out: &mut Vec<u8>) {}
pub fn entry(_listing: &Listing<'_>, _entry: &Entry<'_>, _out: &mut Vec<u8>) {}
pub fn tail(_listing: &Listing<'_>, _out: &mut Vec<u8>) {}
/// The small page that asks before a delete without script.
pub fn confirm_delete(_path: &[u8], _name: &[u8], _kind: Kind, _out: &mut Vec<u8>) {}
