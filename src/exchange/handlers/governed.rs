//! What the location of a path asks of a file that comes there by a request for another URI: a form's, one of a tree
//! that is copied or moved. Whether it may come there at all is decided in [`super::path_rules`].
//!
//! Invariant: a file is held to each limit that the location's own uploads have, or it is refused.

use super::upload::{self, Refusal};
use crate::config::model::Location;
use crate::config::settings::upload::{Duplicate, MinFree, Store, UploadSettings, VerifyDigest};
use crate::exchange::media_types;
use crate::exchange::response::ContentType;
use crate::http::method::{Method, MethodSet};
use crate::http::status::Status;
use std::rc::Rc;

/// The rules of the path of an allowed action.
pub struct Governed {
    /// The upload settings of its location.
    pub upload: Rc<UploadSettings>,
    /// The type that its name implies.
    pub content_type: ContentType,
    /// Its location takes uploads itself: its limits are for those, too.
    pub takes: bool,
    /// What its own uploads may do.
    limits: PlaceLimits,
}

/// What uploads to a location may do, whatever request brings a file there.
#[derive(Clone, Copy, Debug)]
pub struct PlaceLimits {
    /// They may replace a file.
    pub replaces: bool,
    /// client_max_body_size; 0: no limit.
    pub most_body: u64,
}

impl Governed {
    /// The rules of a location for a URI of it. `methods`: those that it allows.
    pub fn of(location: &Location, uri: &[u8], methods: MethodSet) -> Governed {
        let settings = &location.settings;
        let upload = settings.upload.clone();
        Governed {
            content_type: media_types::of_uri(&settings.files, uri),
            takes: methods.iter().any(|method| !method.is_safe()),
            limits: PlaceLimits {
                replaces: methods.contains(Method::Put)
                    || methods.contains(Method::Delete)
                    || upload.on_duplicate == Duplicate::Overwrite,
                most_body: settings.client.max_body_size.0,
            },
            upload,
        }
    }

    /// Checks that no limit on all that its location takes is stricter than the one of the location of the request,
    /// which alone is kept.
    ///
    /// # Errors
    /// 403.
    pub fn check_place(&self, own: &UploadSettings) -> Result<(), Refusal> {
        let there = &*self.upload;
        let has_room = there.quota.is_none_or(|there| own.quota.is_some_and(|own| own.covers(there)));
        let is_off = there.store == Store::Off && own.store == Store::Uri;
        Self::refuse_stricter(&[
            ("upload_store off", is_off || self.takes && there.store == Store::Off && own.store != Store::Off),
            ("upload_quota", self.takes && !has_room),
            ("upload_min_free", self.takes && !own.min_free.covers(there.min_free)),
        ])
    }

    /// The same for what only uploads are judged by. `is_foreign`: a page of another site sends this one. Gives the
    /// limits that the file has to keep as well; None: none hold for it.
    ///
    /// # Errors
    /// 403.
    pub fn check_upload(&self, own: &UploadSettings, is_foreign: bool) -> Result<Option<PlaceLimits>, Refusal> {
        let there = &*self.upload;
        // What is stored elsewhere than its URI says comes to no place of that location.
        if matches!(own.store, Store::Path(_)) && own.store != there.store {
            return Ok(None);
        }
        self.check_place(own)?;
        if !self.takes {
            return Ok(None);
        }
        let requires = |upload: &UploadSettings| upload.verify_digest == VerifyDigest::Require;
        Self::refuse_stricter(&[
            ("upload_verify_digest", requires(there) && !requires(own)),
            ("upload_cross_site", is_foreign && !there.cross_site),
        ])?;
        Ok(Some(self.limits))
    }

    fn refuse_stricter(rules: &[(&'static str, bool)]) -> Result<(), Refusal> {
        match rules.iter().find(|(_, is_stricter)| *is_stricter) {
            Some((rule, _)) => {
                let why = format!("the location of its name has a stricter {rule}: send it there");
                Err(Refusal::new(Status::FORBIDDEN, why))
            }
            None => Ok(()),
        }
    }

    /// Checks whether a file may be put there under that name. `old`: the name under which it was stored before, by
    /// which its type was judged; None for a file that comes with a type of its own.
    ///
    /// # Errors
    /// 415, 413.
    pub fn check_file(&self, name: &[u8], old: Option<&[u8]>, size: u64) -> Result<(), Refusal> {
        let extension = |name: &[u8]| memchr::memrchr(b'.', name).map(|dot| name[dot..].to_ascii_lowercase());
        upload::check_extension(&self.upload.extensions, name)?;
        if old.is_some_and(|old| extension(old) != extension(name)) {
            upload::check_type(&self.upload.types, self.content_type.as_bytes()).map_err(|e| e.of(name))?;
        }
        let most = self.upload.max_file_size.0;
        if most > 0 && size > most { Err(upload::too_large().of(name)) } else { Ok(()) }
    }
}

/// The location has rules that apply to each file, wherever it is put.
pub fn has_file_rules(upload: &UploadSettings) -> bool {
    let extensions = &upload.extensions;
    !upload.types.is_empty()
        || !extensions.allowed.is_empty()
        || !extensions.denied.is_empty()
        || upload.max_file_size.0 > 0
        || upload.quota.is_some()
        || upload.min_free != MinFree::Bytes(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exchange::testing::{INSIDE, Site};

    #[test]
    fn each_rule_for_files_is_known_as_one() {
        for (rule, expected) in [
            ("", false),
            ("upload_on_duplicate rename;", false),
            ("upload_types image/*;", true),
            ("upload_extensions .jpg;", true),
            ("upload_extensions !.php;", true),
            ("upload_max_file_size 1k;", true),
            ("upload_quota 1m;", true),
            ("upload_min_free 1m;", true),
            ("upload_min_free 1%;", true),
        ] {
            let mut site = Site::new("", &format!("location / {{ allowed_methods PUT; {rule} }}"));
            let ex = site.at("PUT /f", &[], INSIDE);
            assert_eq!(has_file_rules(&ex.location().settings.upload), expected, "{rule}");
        }
    }
}
