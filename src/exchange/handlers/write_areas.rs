//! Whether a file of an area in which clients write by URI can have come from a client, by the locations that its URI
//! and the folders above belong to.

use crate::config::model::{Config, Location, WriteArea};
use crate::io::make_path::MOST_MISSING;
use crate::route::{NoTrace, location};

/// Whether the file at `area_uri`, a slash and `rest` may be a client's:
///
/// * no location is found for its URI: it may;
/// * `own` gives an answer for that location: that is it;
/// * `own` gives none: it may if a form can have brought it, that is, if `may_post` is true of the location of a folder
///   above it.
pub fn may_be_put(
    (config, area): (&Config, &WriteArea),
    (area_uri, rest): (&[u8], &[u8]),
    own: impl FnOnce(&Location) -> Option<bool>,
    may_post: impl Fn(&Location) -> bool,
) -> bool {
    let uri = [area_uri, b"/", rest].concat();
    let location = |uri: &[u8]| {
        let found = location::find(config, area.server, uri, &mut NoTrace).ok();
        found.map(|found| config.location(found.location))
    };
    let Some(there) = location(&uri) else { return true };
    // A form was posted to the file's folder, or to one above: upload_create_path makes all but one.
    let most = if area.makes_directories { MOST_MISSING + 1 } else { 1 };
    let mut folders = memchr::memrchr_iter(b'/', &uri).take(most).map(|slash| &uri[..=slash]);
    own(there).unwrap_or_else(|| {
        area.takes_forms && there.may_get_forms() && folders.any(|folder| location(folder).is_none_or(&may_post))
    })
}
