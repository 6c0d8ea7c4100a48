//! The limits that a path's location sets for a file which is put there by a request for another URI: a file of a form,
//! or of a tree that is copied or moved. Whether it may be put there at all is decided in [`super::path_rules`].
//!
//! Invariant: such a file keeps each limit that uploads to that location have, or it is refused.

use super::upload::{self, Refusal};
use crate::config::model::Location;
use crate::config::settings::upload::{Duplicate, MinFree, Store, UploadSettings, VerifyDigest};
use crate::exchange::media_types;
use crate::exchange::response::ContentType;
use crate::http::method::{Method, MethodSet};
use crate::http::status::Status;
use std::rc::Rc;

/// The limits of the location that a path belongs to; found for each action that is allowed there.
pub struct TargetLimits {
    /// The location's upload settings.
    pub upload: Rc<UploadSettings>,
    /// The type that the path's extension implies.
    pub content_type: ContentType,
    /// The location itself takes uploads, so that its limits on them apply.
    pub takes_uploads: bool,
    /// What uploads to the location may do.
    limits: UploadLimits,
}

/// What uploads to a location may do, whichever request stores the file.
#[derive(Clone, Copy, Debug)]
pub struct UploadLimits {
    /// Whether they may replace a file.
    pub replaces: bool,
    /// client_max_body_size; 0: no limit.
    pub max_body_size: u64,
}

impl TargetLimits {
    /// The limits of a location for one of its URIs. `methods`: those that it allows.
    pub fn of(location: &Location, uri: &[u8], methods: MethodSet) -> TargetLimits {
        let settings = &location.settings;
        let upload = settings.upload.clone();
        TargetLimits {
            content_type: media_types::of_uri(&settings.files, uri),
            takes_uploads: methods.iter().any(|method| !method.is_safe()),
            limits: UploadLimits {
                replaces: methods.contains(Method::Put)
                    || methods.contains(Method::Delete)
                    || upload.on_duplicate == Duplicate::Overwrite,
                max_body_size: settings.client.max_body_size.0,
            },
            upload,
        }
    }

    /// Checks that the location's limits on everything stored in it are not stricter than those of the request's
    /// location (`own`), the only ones that are enforced.
    ///
    /// # Errors
    /// 403.
    pub fn check_directory(&self, own: &UploadSettings) -> Result<(), Refusal> {
        let there = &*self.upload;
        let has_room = there.quota.is_none_or(|there| own.quota.is_some_and(|own| own.covers(there)));
        let is_off = there.store == Store::Off && own.store == Store::Uri;
        Self::refuse_stricter(&[
            ("upload_store off", is_off || self.takes_uploads && there.store == Store::Off && own.store != Store::Off),
            ("upload_quota", self.takes_uploads && !has_room),
            ("upload_min_free", self.takes_uploads && !own.min_free.covers(there.min_free)),
        ])
    }

    /// As [`TargetLimits::check_directory`], with the limits that apply to uploads only. `is_foreign`: a page of
    /// another site sends this one. Returns the limits that the file must keep as well; None: there are none.
    ///
    /// # Errors
    /// 403.
    pub fn check_upload(&self, own: &UploadSettings, is_foreign: bool) -> Result<Option<UploadLimits>, Refusal> {
        let there = &*self.upload;
        // upload_store PATH: the file is stored in another directory than that of the location.
        if matches!(own.store, Store::Path(_)) && own.store != there.store {
            return Ok(None);
        }
        self.check_directory(own)?;
        if !self.takes_uploads {
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

    /// Checks whether a file may be stored under that name. `old`: the name that it had before, by which its type was
    /// checked then; None for a file that comes with a Content-Type.
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

/// Whether the location has limits that apply to each file stored in it.
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
