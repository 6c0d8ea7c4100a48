//! Variables of the file that a request is mapped to.

use super::put::Is;
use crate::config::model::Level;
use crate::config::template::Builtin;
use crate::config::template::{Part, Var};
use crate::exchange::Exchange;
use crate::exchange::mapping::{self, Expand, Mapped};
use crate::services::{Services, real_paths};
use crate::sys::Errno;
use crate::util::printable::Printable;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The value of a variable of the path. None: it is of another family.
pub fn value(builtin: Builtin, ex: &mut Exchange, cx: &mut Services, out: &mut Vec<u8>, expand: Expand) -> Option<Is> {
    use Builtin as B;
    Some(match builtin {
        // Of a target that is refused only the root is known (nginx).
        B::RequestFilename if ex.route.uri.is_empty() => return value(B::DocumentRoot, ex, cx, out, expand),
        B::RequestFilename => ex.with_path(Vec::new(), |ex| match mapping::map(ex, cx, expand) {
            Mapped::Outside | Mapped::Rewritten | Mapped::Unknown(_) => Is::Unset,
            Mapped::Path { .. } | Mapped::Control => {
                out.extend_from_slice(&ex.route.path);
                Is::Set
            }
        }),
        B::DocumentRoot | B::RealpathRoot => {
            let config = ex.config.clone();
            let root = &config.location(ex.route.location).settings.files.root;
            let at = out.len();
            match root.constant() {
                Some(root) => out.extend_from_slice(root),
                // A root that is made of itself has no value.
                None if root.parts.iter().any(|p| {
                    matches!(p, Part::Var(Var::Builtin(B::DocumentRoot | B::RealpathRoot | B::RequestFilename)))
                }) => {}
                None => expand(root, ex, cx, out),
            }
            if builtin == B::RealpathRoot {
                let real = real_paths::of_existing(&out[at..]);
                if real.is_none() {
                    unresolved(ex, cx, &out[at..]);
                }
                out.truncate(at);
                let Some(real) = real else { return Some(Is::Unset) };
                out.extend_from_slice(&real);
            }
            Is::Set
        }
        _ => return None,
    })
}

/// Logs, in nginx's words, why a root has no real path: an application that gets an empty one says less.
fn unresolved(ex: &Exchange, cx: &mut Services, root: &[u8]) {
    let path = Path::new(OsStr::from_bytes(root));
    let why = std::fs::metadata(path).err().map_or(Errno::ENOENT, Errno::from);
    ex.report(cx, Level::Crit, format_args!("realpath() \"{}\" failed {why}", Printable(root)));
}
