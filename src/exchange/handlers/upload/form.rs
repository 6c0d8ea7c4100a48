//! multipart/form-data: its fields, and the part that is being read. Where the parts go is [`super::receive`]'s.

use super::refusal::Refusal;
use crate::http::multipart::Multipart;
use crate::http::status::Status;

/// Bytes of all plain fields of a form, names included.
const FIELDS: usize = 64 << 10;
/// What a field costs beside its bytes.
pub(super) const FIELD: usize = 32;

/// A form that is being read.
pub struct Form {
    /// Finds the parts and the heads in the body.
    pub(super) parser: Multipart,
    /// Where the data of the present part goes.
    pub(super) into: Into,
    /// Names and values of the fields so far, files not among them.
    pub fields: Vec<(Box<[u8]>, Vec<u8>)>,
    /// What arrived when the turn's time was over: parsed in the next ones, before more is read.
    pub(super) unparsed: Vec<u8>,
    held: usize,
}

/// Where the data of the current part goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Into {
    /// The newest of the upload's parts.
    File,
    /// The newest of the fields.
    Field,
    /// An input without a chosen file: there must be no data.
    Nothing,
}

impl Form {
    /// `boundary`: from Content-Type.
    ///
    /// # Errors
    /// 400: it is no boundary (RFC 2046 §5.1.1).
    pub fn new(boundary: &[u8]) -> Result<Form, Refusal> {
        let parser = Multipart::new(boundary)?;
        Ok(Form { parser, into: Into::Nothing, fields: Vec::new(), unparsed: Vec::new(), held: 0 })
    }

    /// The closing boundary has arrived: nothing is missing.
    pub fn is_complete(&self) -> bool {
        self.parser.finished()
    }

    /// Counts bytes of names and values of fields, which stay in memory.
    ///
    /// # Errors
    /// 413: there are more than [`FIELDS`].
    pub(super) fn count(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.held += bytes;
        if self.held > FIELDS {
            return Err(Refusal::new(Status::CONTENT_TOO_LARGE, "the text fields of the form are larger than 64 KiB"));
        }
        Ok(())
    }

    /// Appends to the value of the newest field.
    ///
    /// # Errors
    /// As [`Form::count`].
    pub(super) fn field(&mut self, data: &[u8]) -> Result<(), Refusal> {
        self.count(data.len())?;
        if let Some((_, value)) = self.fields.last_mut() {
            value.extend_from_slice(data);
        }
        Ok(())
    }
}
