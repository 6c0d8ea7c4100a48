//! The media type of a file by its extension, as `types` and `default_type` configure it.

use super::content_type::ContentType;
use crate::config::settings::files::Files;
use crate::http::media_type;

/// The type of a text from the configuration itself (`return`), by the extension of the URI. No file tells its type:
/// if the configuration has no `types`, only nginx's three defaults count, so that `return 200 ok` is text at any
/// path.
pub fn of_text(files: &Files, name: &[u8]) -> ContentType {
    const OWN: [&[u8]; 3] = [b".html", b".gif", b".jpg"];
    let ends =
        |ending: &&[u8]| name.len() > ending.len() && name[name.len() - ending.len()..].eq_ignore_ascii_case(ending);
    match files.types.is_some() || OWN.iter().any(ends) {
        true => of_name(files, name),
        false => ContentType::Shared(files.default_type.clone()),
    }
}

/// The type of what a URI names, by the last of its names.
pub fn of_uri(files: &Files, uri: &[u8]) -> ContentType {
    of_name(files, uri.rsplit(|b| *b == b'/').next().unwrap_or_default())
}

/// The type of a file of that name.
pub fn of_name(files: &Files, name: &[u8]) -> ContentType {
    let extension = match memchr::memrchr(b'.', name) {
        // A dot that begins the name begins no extension (nginx).
        Some(dot) if dot > 0 => &name[dot + 1..],
        _ => return ContentType::Shared(files.default_type.clone()),
    };
    let mut lower = [0; 32];
    let Some(lower) = lower.get_mut(..extension.len()) else {
        return ContentType::Shared(files.default_type.clone());
    };
    lower.copy_from_slice(extension);
    lower.make_ascii_lowercase();
    match &files.types {
        Some(types) => ContentType::Shared(types.get(&*lower).unwrap_or(&files.default_type).clone()),
        // The configuration names no types.
        None => match media_type::of_extension(lower) {
            Some(guess) => ContentType::Static(guess),
            None => ContentType::Shared(files.default_type.clone()),
        },
    }
}
