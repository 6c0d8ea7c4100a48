//! Response header fields, and other settings of responses as a whole.

use super::list::List;
use crate::config::template::Template;
use crate::http::cond::ImsMode;
use crate::http::fields::Fields;
use std::cell::OnceCell;
use std::ops::Deref;
use std::rc::Rc;

/// What responses look like, whatever made them.
#[derive(Clone, Debug)]
pub struct Output {
    /// add_header.
    pub headers: AddedFields,
    /// None: off.
    pub expires: Option<Rc<Expires>>,
    /// ETag is sent for files.
    pub etag: bool,
    /// if_modified_since.
    pub if_modified_since: ImsMode,
    /// None: no limit.
    pub max_ranges: Option<u32>,
    /// server_tokens.
    pub server_tokens: Tokens,
    /// chunked_transfer_encoding.
    pub chunked: bool,
    /// Location has scheme and host.
    pub absolute_redirect: bool,
    /// It has the port, too.
    pub port_in_redirect: bool,
    /// The host is the server's first name, not that of the request.
    pub server_name_in_redirect: bool,
    /// add_trailer.
    pub trailers: AddedFields,
    /// add_header_inherit.
    pub headers_inherit: Inherit,
    /// add_trailer_inherit.
    pub trailers_inherit: Inherit,
    /// For MSIE, a redirect is a page.
    pub msie_refresh: bool,
    /// An upstream's 103 is passed on if one of these is true.
    pub early_hints: List<Template>,
}

/// One add_header or add_trailer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddHeader {
    /// The name as sent.
    pub name: Box<[u8]>,
    /// Empty: the field is not sent.
    pub value: Template,
    /// On every status, not only on those for which nginx adds headers.
    pub always: bool,
}

/// The add_header or add_trailer directives in force at a level.
#[derive(Clone, Debug, Default)]
pub struct AddedFields {
    lines: List<AddHeader>,
    /// Computed for the first response: most levels of a large configuration never serve one.
    steps: OnceCell<Box<[FieldStep]>>,
}

/// How a run of directives is applied to a response.
#[derive(Clone, Debug)]
pub enum FieldStep {
    /// Consecutive directives with constant fields: those for the statuses that nginx lists, and those for all
    /// statuses.
    Fixed { listed: Fields, always: Fields },
    /// The directive with this index.
    Line(usize),
}

/// Fields that interact with fields already in the response.
const SPECIAL: [&[u8]; 3] = [b"last-modified", b"etag", CONTENT_SECURITY_POLICY];
/// A field of which the pages of this program have one of their own.
pub const CONTENT_SECURITY_POLICY: &[u8] = b"content-security-policy";

impl AddedFields {
    /// Adds a line; the first of a level replaces what is inherited.
    pub fn add(&mut self, is_first: bool, line: AddHeader) {
        self.steps = OnceCell::new();
        self.lines.add(is_first, line);
    }

    /// The lines as steps, fixed values that follow one another rendered together. Computed at the first use.
    pub fn steps(&self) -> &[FieldStep] {
        self.steps.get_or_init(|| {
            let mut steps = Vec::new();
            for (at, line) in self.lines.iter().enumerate() {
                let is_special = SPECIAL.iter().any(|name| line.name.eq_ignore_ascii_case(name));
                let Some(value) = line.value.constant().filter(|_| !is_special) else {
                    steps.push(FieldStep::Line(at));
                    continue;
                };
                if !matches!(steps.last(), Some(FieldStep::Fixed { .. })) {
                    steps.push(FieldStep::Fixed { listed: Fields::default(), always: Fields::default() });
                }
                // An empty value adds no field.
                if let Some(FieldStep::Fixed { listed, always }) = steps.last_mut().filter(|_| !value.is_empty()) {
                    listed.push(&line.name, value);
                    if line.always {
                        always.push(&line.name, value);
                    }
                }
            }
            steps.into()
        })
    }
}

impl Deref for AddedFields {
    type Target = [AddHeader];

    fn deref(&self) -> &[AddHeader] {
        &self.lines
    }
}

impl FromIterator<AddHeader> for AddedFields {
    fn from_iter<I: IntoIterator<Item = AddHeader>>(lines: I) -> AddedFields {
        AddedFields { lines: lines.into_iter().collect(), steps: OnceCell::new() }
    }
}

/// Whether the outer level's add_header directives apply too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inherit {
    /// Only where the level has none of its own (nginx's default).
    On,
    /// Never.
    Off,
    /// Both, the outer ones first.
    Merge,
}

/// How Server header and error pages identify the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// With the version.
    On,
    /// The name alone.
    Off,
}

/// `expires`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expires {
    /// 1 January 1970, and `no-cache`.
    Epoch,
    /// The end of 2037, and ten years.
    Max,
    /// Seconds from the time of the request.
    Access(i64),
    /// Seconds from the file's modification time.
    Modified(i64),
    /// A time of day in seconds, local time.
    Daily(i64),
    /// Evaluated for each request.
    Value(Template),
}

impl Default for Output {
    fn default() -> Output {
        Output {
            headers: AddedFields::default(),
            expires: None,
            etag: true,
            if_modified_since: ImsMode::Exact,
            max_ranges: None,
            server_tokens: Tokens::On,
            chunked: true,
            absolute_redirect: true,
            port_in_redirect: true,
            server_name_in_redirect: false,
            trailers: AddedFields::default(),
            headers_inherit: Inherit::On,
            trailers_inherit: Inherit::On,
            msie_refresh: false,
            early_hints: List::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::template::Variables;

    #[test]
    fn lines_that_are_always_the_same_are_one_step_and_keep_their_order() {
        let mut variables = Variables::default();
        let mut line = |name: &str, value: &str, always| AddHeader {
            name: name.as_bytes().into(),
            value: Template::parse(value.as_bytes(), &mut variables).expect("a template"),
            always,
        };
        let fields: AddedFields = [
            line("A", "1", false),
            line("B", "2", true),
            line("Empty", "", true),
            line("C", "$uri", false),
            line("ETag", "x", false),
            line("D", "a\nb", true),
        ]
        .into_iter()
        .collect();
        let shown = fields.steps().iter().map(|step| match step {
            FieldStep::Line(at) => (*at, String::new(), String::new()),
            FieldStep::Fixed { listed, always } => {
                let text = |fields: &Fields| String::from_utf8_lossy(&fields.to_lines()).into_owned();
                (usize::MAX, text(listed), text(always))
            }
        });
        let shown: Vec<_> = shown.collect();
        let fixed = |listed: &str, always: &str| (usize::MAX, listed.to_owned(), always.to_owned());
        let single = |at| (at, String::new(), String::new());
        let expected = [fixed("A: 1\r\nB: 2\r\n", "B: 2\r\n"), single(3), single(4), fixed("D: a b\r\n", "D: a b\r\n")];
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_line_that_is_added_later_is_a_step_too() {
        let field = |name: &[u8]| AddHeader { name: name.into(), value: Template::literal(b"v"), always: false };
        let mut fields = AddedFields::default();
        fields.add(true, field(b"A"));
        assert_eq!(fields.steps().len(), 1);
        fields.add(false, field(b"ETag"));
        assert_eq!((fields.len(), fields.steps().len()), (2, 2));
    }
}
