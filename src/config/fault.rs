//! An error in a directive, before it becomes a [`Diagnostic`].

use super::ast::Span;
use super::error::Diagnostic;
use super::value;

/// What applying a directive came to.
pub type Outcome = Result<(), Fault>;

/// An error in a directive: where, what, and how to fix it.
#[derive(Debug)]
pub struct Fault {
    /// What is marked.
    pub span: Span,
    /// The first line, in nginx's words if nginx has this error.
    pub message: String,
    /// The text at the carets.
    pub label: Option<String>,
    /// How to fix it.
    pub help: Option<String>,
    /// Another place involved, and a note about it.
    pub note: Option<Box<(Span, String)>>,
}

impl Fault {
    /// Without label, help and note.
    pub fn new(span: Span, message: impl Into<String>) -> Fault {
        Fault { span, message: message.into(), label: None, help: None, note: None }
    }

    /// The fault of a word whose value has this error.
    pub fn of_value(span: Span, error: value::ValueError) -> Fault {
        Fault { help: error.help, ..Fault::new(span, error.message) }
    }

    /// Adds the text at the carets.
    pub fn label(mut self, label: impl Into<String>) -> Fault {
        self.label = Some(label.into());
        self
    }

    /// Adds another place involved.
    pub fn note(mut self, span: Span, note: impl Into<String>) -> Fault {
        self.note = Some(Box::new((span, note.into())));
        self
    }

    /// Adds a way to fix it.
    pub fn help(mut self, help: impl Into<String>) -> Fault {
        self.help = Some(help.into());
        self
    }

    /// As an error of the configuration.
    pub fn diagnostic(self) -> Diagnostic {
        let mut diagnostic = Diagnostic::emerg(self.span, self.message);
        if let Some(label) = self.label {
            diagnostic = diagnostic.label(label);
        }
        if let Some(help) = self.help {
            diagnostic = diagnostic.help(help);
        }
        if let Some(note) = self.note {
            let (span, note) = *note;
            diagnostic = diagnostic.note(span, note);
        }
        diagnostic
    }
}
