//! CGI programs, started for each request (RFC 3875).

use super::list::List;
use crate::config::template::Template;

/// cgi_pass and its siblings.
#[derive(Clone, Debug)]
pub struct Cgi {
    /// cgi_extension: the extension with its dot, and the interpreter; None: the files are executable themselves.
    pub extensions: List<(Box<[u8]>, Interpreter)>,
    /// None: the script's own directory.
    pub working_dir: Option<Template>,
    /// cgi_param: names and values of the environment.
    pub env: List<(Box<[u8]>, Template)>,
    /// Whether STDERR goes to the error log.
    pub logs_stderr: bool,
    /// Programs that may run at once.
    pub max_children: u64,
    /// Whether scripts are executed in directories where clients may write.
    pub uploads: bool,
}

/// The interpreter of a script. None: the script itself is executed.
pub type Interpreter = Option<Box<[u8]>>;

impl Default for Cgi {
    fn default() -> Cgi {
        Cgi {
            extensions: List::default(),
            working_dir: None,
            env: List::default(),
            logs_stderr: true,
            max_children: 64,
            uploads: false,
        }
    }
}

/// Whether one of the extensions makes the last segment a program.
pub fn names_program(uri: &[u8], extensions: &[(Box<[u8]>, Interpreter)]) -> bool {
    by_extension(uri, extensions).any(|(end, _)| end == uri.len())
}

/// Where segments end that one of the extensions makes programs, and what runs them.
pub fn by_extension<'e>(
    uri: &'e [u8],
    extensions: &'e [(Box<[u8]>, Interpreter)],
) -> impl Iterator<Item = (usize, &'e Interpreter)> {
    let ends = memchr::memchr_iter(b'/', uri).chain([uri.len()]);
    ends.filter_map(move |end| {
        let name = uri[..end].rsplit(|b| *b == b'/').next().unwrap_or_default();
        let of = |extension: &[u8]| name.len() > extension.len() && name.ends_with(extension);
        extensions.iter().find(|(extension, _)| of(extension)).map(|(_, interpreter)| (end, interpreter))
    })
}
