//! Where a location keeps its unfinished uploads. The configuration alone decides it, so that all such directories
//! can be searched at the start.

use crate::config::model::{Config, Location, LocationKind};
use crate::config::settings::upload::Store;
use crate::config::template::{Part, Template};
use crate::config::value::Mode;
use crate::io::make_path::make_path;
use crate::services::Services;
use crate::sys::Errno;
use crate::sys::file::{self, Follow, Unlink};
use std::ffi::CString;
use std::rc::Rc;

use super::store::Dir;

/// The directory beside the stored files. No client's file name may begin so, and URIs with it are not served.
pub const NAME: &[u8] = b".webserv-upload-state";

/// The state directory of a location.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Home {
    /// Without a final slash.
    pub path: Rc<[u8]>,
    /// It is ours: made when needed, removed when empty. Otherwise the configuration names it.
    pub ours: bool,
}

impl Home {
    /// None: the store's path depends on the request, and upload_state_store is not set.
    pub fn of(config: &Config, location: &Location) -> Option<Home> {
        let upload = &location.settings.upload;
        if let Some(path) = &upload.resumable.state_store {
            return Some(Home { path: path.clone(), ours: false });
        }
        let files = &location.settings.files;
        let mut path = match &upload.store {
            Store::Off => return None,
            Store::Path(template) => constant(template)?,
            Store::Uri => {
                let mut path = constant(&files.root)?;
                if files.root.constant().is_some() && files.alias.is_none() {
                    while path.ends_with(b"/") {
                        path.pop();
                    }
                    path.extend_from_slice(named(config, location));
                }
                path
            }
        };
        while path.ends_with(b"/") {
            path.pop();
        }
        path.push(b'/');
        path.extend_from_slice(NAME);
        Some(Home { path: path.into(), ours: true })
    }

    /// The directory; it must exist. ENOENT: no upload is under way there.
    pub fn open(&self) -> Result<Dir, Errno> {
        open(&self.path)
    }

    /// Its parent, with a final slash; empty if the configuration names it.
    pub fn area(&self) -> &[u8] {
        self.path.strip_suffix(NAME).unwrap_or_default()
    }

    /// Opens it, and makes it if it is missing; with `parents`, its parents too. Also gives whether anything was
    /// made.
    pub fn make(&self, parents: Option<Mode>) -> Result<(Dir, bool), Errno> {
        match self.open() {
            Err(Errno::ENOENT) => {}
            other => return other.map(|dir| (dir, false)),
        }
        let above = memchr::memrchr(b'/', &self.path).filter(|at| *at > 0).and_then(|at| self.path.get(..at));
        if let (Some(mode), Some(above)) = (parents, above) {
            make_path(above, mode.directory().0, || {})?;
        }
        let path = file::c_string(&*self.path)?;
        match file::mkdir_at(None, &path, 0o700) {
            Ok(()) | Err(Errno::EEXIST) => self.open().map(|dir| (dir, true)),
            Err(e) => Err(e),
        }
    }

    /// Its path, if it is one of ours.
    pub fn own(&self) -> Option<CString> {
        CString::new(&*self.path).ok().filter(|_| self.ours)
    }

    /// An upload is over: removes an empty directory of ours.
    pub fn tidy(&self, cx: &mut Services) {
        if self.ours {
            tidy(cx, &self.path);
        }
    }
}

/// The directory is one that this server makes and removes.
pub fn is_ours(path: &[u8]) -> bool {
    path.ends_with(NAME)
}

/// Opens the directory. One of ours is never a link: it lies where clients store.
pub fn open(path: &[u8]) -> Result<Dir, Errno> {
    match path.strip_suffix(NAME) {
        Some(area) => Dir::open(path, area, Follow::No),
        None => Dir::open(path, b"", Follow::Yes),
    }
}

/// Removes the directory if it is one of ours and empty. A file that is removed while it is open stays on FUSE under
/// another name until it is closed: there the directory is looked at again.
pub fn tidy(cx: &mut Services, path: &Rc<[u8]>) {
    let is_fuse = cx.resumable.lock_reach.get(path).is_some_and(|(_, reach)| !reach.is_empty());
    if !is_tidy(path) && is_fuse {
        cx.resumable.untidy.add(path, cx.now.ms);
    }
}

/// As [`tidy`]; false: something is in it.
pub fn is_tidy(path: &[u8]) -> bool {
    let Some(path) = CString::new(path).ok().filter(|path| is_ours(path.to_bytes())) else { return true };
    !matches!(file::unlink_at(None, &path, Unlink::Dir), Err(Errno::ENOTEMPTY | Errno::EEXIST))
}

/// The template's text before its first variable, up to a slash; all of it if it has no variable.
fn constant(template: &Template) -> Option<Vec<u8>> {
    if let Some(whole) = template.constant() {
        return Some(whole.to_vec());
    }
    match template.parts.first() {
        Some(Part::Literal(text)) if text.starts_with(b"/") => {
            let end = memchr::memrchr(b'/', text).filter(|at| *at > 0)?;
            Some(text[..end].to_vec())
        }
        _ => None,
    }
}

/// The directory in the location's name, with its slashes; for a location that is no prefix, the root's.
fn named<'l>(config: &Config, location: &'l Location) -> &'l [u8] {
    use LocationKind::*;
    let is_prefix = match location.kind {
        Exact | Prefix | PrefixFinal => true,
        // The block has the name of the location it is in.
        If | LimitExcept => config.locations.iter().any(|other| {
            matches!(other.kind, Exact | Prefix | PrefixFinal)
                && other.server == location.server
                && other.name == location.name
        }),
        Server | Regex | Named => false,
    };
    match memchr::memrchr(b'/', &location.name) {
        Some(slash) if is_prefix && location.name.starts_with(b"/") => &location.name[..=slash],
        _ => b"/",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::template::Variables;
    use crate::exchange::testing::Site;
    use crate::services::temp_names::is_hidden;

    /// A block has the name of the location it is in: that of a regex is no path, though it may look like one.
    #[test]
    fn a_block_is_where_its_location_is() {
        let block = "if ($arg_a) { set $x 1; } limit_except GET { deny all; }";
        let site = Site::new(
            "",
            &format!(
                "location /up/files/ {{ {block} }} location = /one {{ {block} }} location ~ /regex/x {{ {block} }}
                 location ^~ /final/x {{ {block} }}"
            ),
        );
        let config = &site.cx.config;
        let blocks = config.locations.iter().filter(|l| matches!(l.kind, LocationKind::If | LocationKind::LimitExcept));
        let mut found: Vec<_> = blocks.map(|l| (&*l.name, named(config, l))).collect();
        found.sort_unstable();
        found.dedup();
        let expected: [(&[u8], &[u8]); 4] =
            [(b"/final/x", b"/final/"), (b"/one", b"/"), (b"/regex/x", b"/"), (b"/up/files/", b"/up/files/")];
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_on_its_way_is_hidden() {
        assert!(is_hidden(NAME));
    }

    #[test]
    fn a_path_is_known_up_to_its_first_variable() {
        let table = [
            ("/srv/files", Some("/srv/files")),
            ("/srv/files/$remote_user", Some("/srv/files")),
            ("/srv/u-$remote_user/x", Some("/srv")),
            ("/$remote_user", None),
            ("$document_root/up", None),
            ("files/$remote_user", None),
        ];
        for (text, expected) in table {
            let template = Template::parse(text.as_bytes(), &mut Variables::default()).expect(text);
            assert_eq!(constant(&template), expected.map(|path| path.as_bytes().to_vec()), "{text}");
        }
    }

    /// An operator finds them by the configuration alone.
    #[test]
    fn unfinished_uploads_lie_beside_the_files_or_where_the_configuration_says() {
        let table = [
            ("", Some(("html/up/files/.webserv-upload-state", true))),
            ("alias DIR/other/;", Some(("other/.webserv-upload-state", true))),
            ("root DIR/sites/$host;", Some(("sites/.webserv-upload-state", true))),
            ("root $arg_root;", None),
            ("upload_store DIR/store//;", Some(("store/.webserv-upload-state", true))),
            ("upload_store DIR/store/$remote_user;", Some(("store/.webserv-upload-state", true))),
            ("upload_store $document_root/store;", None),
            ("upload_store DIR/store/$remote_user; upload_state_store DIR/states;", Some(("states", false))),
            ("upload_store $document_root/store; upload_state_store DIR/states;", Some(("states", false))),
        ];
        for (settings, expected) in table {
            let on = "allowed_methods GET POST; upload_resumable on;";
            let site = Site::new("", &format!("location /up/files/ {{ {on} {settings} }}"));
            let config = &site.cx.config;
            let location =
                config.locations.iter().find(|location| &*location.name == b"/up/files/").expect("it is there");
            let found = Home::of(config, location).map(|home| {
                let path = String::from_utf8(home.path.to_vec()).expect("text");
                assert_eq!(home.own().is_some(), home.ours, "{settings}");
                (path.replace(&format!("{}/", site.scratch.path().display()), ""), home.ours)
            });
            assert_eq!(found, expected.map(|(path, ours)| (path.to_owned(), ours)), "{settings}");
        }
    }
}
