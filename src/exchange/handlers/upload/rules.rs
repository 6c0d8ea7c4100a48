//! What may be stored: by media type, by extension, by free space.

use super::refusal::Refusal;
use crate::config::settings::upload::{Extensions, MinFree};
use crate::exchange::Exchange;
use crate::http::field_syntax::trim_ows;
use crate::http::status::Status;
use crate::sys::file;
use std::os::fd::BorrowedFd;

/// Bodies of at least this size are compared with the free space before they are read.
const LARGE: u64 = 1 << 20;

/// A media type without its parameters.
pub fn essence(content_type: &[u8]) -> &[u8] {
    let end = memchr::memchr(b';', content_type).unwrap_or(content_type.len());
    trim_ows(&content_type[..end])
}

/// Whether upload_types lists the type. `allowed` is in lower case.
pub fn is_type_allowed(allowed: &[Box<[u8]>], content_type: &[u8]) -> bool {
    if allowed.is_empty() {
        return true;
    }
    let essence = essence(content_type);
    allowed.iter().any(|pattern| match &**pattern {
        b"*/*" => true,
        [family @ .., b'*'] => essence.get(..family.len()).is_some_and(|start| start.eq_ignore_ascii_case(family)),
        exact => essence.eq_ignore_ascii_case(exact),
    })
}

/// Whether upload_extensions allows the name. An allowed extension must be the last; a denied one may not occur
/// anywhere (`x.php.jpg` is PHP to some servers).
pub fn is_extension_allowed(extensions: &Extensions, name: &[u8]) -> bool {
    if extensions.denied.is_empty() && extensions.allowed.is_empty() {
        return true;
    }
    let lower = name.to_ascii_lowercase();
    let ends =
        |extension: &[u8]| lower.strip_suffix(extension).is_some_and(|stem| stem.len() > 1 && stem.ends_with(b"."));
    let denied = extensions.denied.iter().any(|denied| {
        ends(denied) || lower.split(|b| *b == b'.').skip(1).any(|component| trim_ows(component) == &**denied)
    });
    !denied && (extensions.allowed.is_empty() || extensions.allowed.iter().any(|allowed| ends(allowed)))
}

/// upload_types.
///
/// # Errors
/// 415.
pub fn check_type(allowed: &[Box<[u8]>], content_type: &[u8]) -> Result<(), Refusal> {
    if is_type_allowed(allowed, content_type) {
        return Ok(());
    }
    let refusal = Refusal::new(Status::UNSUPPORTED_MEDIA_TYPE, "files of this type are not accepted");
    Err(refusal.limit("upload_types"))
}

/// [`check_type`] by the location, and by the signed link of the request.
///
/// # Errors
/// 415.
pub fn check_types(ex: &Exchange, allowed: &[Box<[u8]>], content_type: &[u8]) -> Result<(), Refusal> {
    if let Some(link) = &ex.route.link
        && !is_type_allowed(&link.limits.types, content_type)
    {
        let why = "the link is not for files of this type";
        return Err(Refusal::new(Status::UNSUPPORTED_MEDIA_TYPE, why));
    }
    check_type(allowed, content_type)
}

/// Most bytes of a file: by the location, and by the signed link of the request. 0: any number.
pub fn largest(ex: &Exchange) -> u64 {
    let link = ex.route.link.as_ref().map_or(0, |link| link.limits.most);
    stricter_limit(ex.location().settings.upload.max_file_size.0, link)
}

/// The stricter of two limits; 0: no limit.
pub fn stricter_limit(one: u64, other: u64) -> u64 {
    match (one, other) {
        (0, most) | (most, 0) => most,
        (a, b) => a.min(b),
    }
}

/// # Errors
/// 400: the signed link of the request is for larger files.
pub fn check_minimum_size(ex: &Exchange, size: u64) -> Result<(), Refusal> {
    match &ex.route.link {
        Some(link) if size < link.limits.least => {
            let why = format!("the file is smaller than the {} bytes that the link is for", link.limits.least);
            Err(Refusal::new(Status::BAD_REQUEST, why))
        }
        _ => Ok(()),
    }
}

/// upload_extensions.
///
/// # Errors
/// 415.
pub fn check_extension(extensions: &Extensions, name: &[u8]) -> Result<(), Refusal> {
    if is_extension_allowed(extensions, name) {
        return Ok(());
    }
    let why = "files with this extension are not accepted";
    Err(Refusal::new(Status::UNSUPPORTED_MEDIA_TYPE, why).limit("upload_extensions").of(name))
}

/// Whether `size` more bytes (0 if that is not known) fit on the disk of `dir`.
///
/// # Errors
/// 507, before anything is read or written.
pub fn check_room(dir: BorrowedFd<'_>, min_free: MinFree, size: u64) -> Result<(), Refusal> {
    if min_free == MinFree::Bytes(0) && size < LARGE {
        return Ok(());
    }
    // A file system that does not report its free space is not checked.
    file::free_space(dir).map_or(Ok(()), |(free, total)| check_free_space(free, total, min_free, size))
}

fn check_free_space(free: u64, total: u64, min_free: MinFree, size: u64) -> Result<(), Refusal> {
    let kept = match min_free {
        MinFree::Bytes(bytes) => bytes,
        MinFree::Percent(percent) => (u128::from(total) * u128::from(percent) / 100) as u64,
    };
    if total == 0 || free >= size.saturating_add(kept) {
        return Ok(());
    }
    let why = match free {
        0 => "the disk is full",
        free if free < size => "the disk has no room for it",
        _ => "the rest of the disk is kept free",
    };
    let limit = if free < size { "" } else { "upload_min_free" };
    let detail = format!("{free} bytes are free, {size} are to be stored, {kept} are to stay free");
    Err(Refusal::new(Status::INSUFFICIENT_STORAGE, why).limit(limit).detail(detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(list: &[&str]) -> Vec<Box<[u8]>> {
        list.iter().map(|w| w.as_bytes().into()).collect()
    }

    #[test]
    fn what_is_stored_leaves_as_much_free_as_is_to_stay_free() {
        let (full, small, kept) =
            ("the disk is full", "the disk has no room for it", "the rest of the disk is kept free");
        for (free, min_free, size, expected) in [
            (100, MinFree::Bytes(0), 100, None),
            (100, MinFree::Bytes(0), 101, Some((small, ""))),
            (100, MinFree::Bytes(60), 40, None),
            (100, MinFree::Bytes(61), 40, Some((kept, "upload_min_free"))),
            (100, MinFree::Bytes(61), 100, Some((kept, "upload_min_free"))),
            (100, MinFree::Bytes(u64::MAX), 40, Some((kept, "upload_min_free"))),
            (100, MinFree::Percent(10), 0, None),
            (99, MinFree::Percent(10), 0, Some((kept, "upload_min_free"))),
            (100, MinFree::Percent(10), 1, Some((kept, "upload_min_free"))),
            (0, MinFree::Percent(0), 0, None),
            (0, MinFree::Percent(0), 1, Some((full, ""))),
        ] {
            let refusal = check_free_space(free, 1000, min_free, size).err();
            let got = refusal.as_ref().map(|refusal| (&*refusal.why, refusal.limit));
            assert_eq!(got, expected, "{free} {min_free:?} {size}");
        }
        assert!(check_free_space(0, 0, MinFree::Bytes(1), 1).is_ok(), "the file system does not say");
    }

    #[test]
    fn types_match_by_family_or_whole() {
        let table: [(&[&str], &str, bool); 10] = [
            (&[], "anything/at-all", true),
            (&["image/png"], "image/png", true),
            (&["image/png"], "Image/PNG; q=1", true),
            (&["image/png"], "image/pngx", false),
            (&["image/*"], "image/gif", true),
            (&["image/*"], "imagex/gif", false),
            (&["image/*"], "image", false),
            (&["*/*"], "a/b", true),
            (&["image/*", "text/plain"], "text/plain ;charset=x", true),
            (&["image/*"], "", false),
        ];
        for (allowed, kind, expected) in table {
            assert_eq!(is_type_allowed(&words(allowed), kind.as_bytes()), expected, "{allowed:?} {kind}");
        }
    }

    #[test]
    fn an_allowed_extension_ends_the_name_and_a_denied_one_stands_nowhere() {
        let table: [(&[&str], &[&str], &str, bool); 18] = [
            (&[], &[], "x", true),
            (&["jpg", "png"], &[], "x.jpg", true),
            (&["jpg"], &[], "x.JPG", true),
            (&["jpg"], &[], "jpg", false),
            (&["jpg"], &[], ".jpg", false),
            (&["jpg"], &[], "xjpg", false),
            (&["jpg"], &[], "x.jpg.exe", false),
            (&["jpg"], &[], "x.php.jpg", true),
            (&["tar.gz"], &[], "x.tar.gz", true),
            (&["tar.gz"], &[], "x.gz", false),
            (&[], &["php"], "x.php", false),
            (&[], &["php"], "x.PhP", false),
            (&[], &["php"], "x.php.jpg", false),
            (&[], &["php"], "x.php .jpg", false),
            (&[], &["php"], "php", true),
            (&[], &["php"], "x.phpx", true),
            (&["jpg"], &["php"], "x.php.jpg", false),
            (&[], &["tar.gz"], "x.tar.gz", false),
        ];
        for (allowed, denied, name, expected) in table {
            let extensions = Extensions { allowed: words(allowed), denied: words(denied) };
            assert_eq!(is_extension_allowed(&extensions, name.as_bytes()), expected, "{allowed:?} {denied:?} {name}");
        }
    }
}
