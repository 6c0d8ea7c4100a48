//! multipart/form-data: which part goes where. Files are stored, plain fields are kept for variables, an input
//! without a chosen file is nothing.

use super::Upload;
use super::refusal::Refusal;
use crate::exchange::Exchange;
use crate::http::multipart::{Event, Multipart, PartHead};
use crate::http::status::Status;
use crate::services::Services;

/// Bytes of all plain fields of a form, names included.
const FIELDS: usize = 64 << 10;
/// What a field costs beside its bytes.
const FIELD: usize = 32;

pub struct Form {
    parser: Multipart,
    into: Into,
    pub fields: Vec<(Box<[u8]>, Vec<u8>)>,
    held: usize,
}

/// Where the data of the current part goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Into {
    /// The newest of the upload's parts.
    File,
    /// The newest of the fields.
    Field,
    /// An input without a file: there must be no data.
    Nothing,
}

impl Form {
    pub fn new(boundary: &[u8]) -> Result<Form, Refusal> {
        Ok(Form { parser: Multipart::new(boundary)?, into: Into::Nothing, fields: Vec::new(), held: 0 })
    }

    /// The closing boundary was seen: nothing is missing.
    pub fn is_complete(&self) -> bool {
        self.parser.finished()
    }

    fn count(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.held += bytes;
        if self.held > FIELDS {
            return Err(Refusal::new(Status::CONTENT_TOO_LARGE, "the text fields of the form are larger than 64 KiB"));
        }
        Ok(())
    }

    fn field(&mut self, data: &[u8]) -> Result<(), Refusal> {
        self.count(data.len())?;
        if let Some((_, value)) = self.fields.last_mut() {
            value.extend_from_slice(data);
        }
        Ok(())
    }
}

/// Takes a piece of the form.
pub fn accept(
    upload: &mut Upload,
    form: &mut Form,
    ex: &mut Exchange,
    cx: &mut Services,
    data: &[u8],
) -> Result<(), Refusal> {
    let mut rest = data;
    loop {
        let (used, event) = form.parser.next(rest)?;
        let here = rest;
        rest = rest.get(used..).unwrap_or_default();
        // Copied where it must be: these few bytes belong to the parser.
        let held: [u8; 80];
        let data = match event {
            Event::More => return Ok(()),
            Event::Part(head) => {
                begin(upload, form, ex, cx, head)?;
                continue;
            }
            Event::PartEnd | Event::End => continue,
            Event::Data(range) => here.get(range).unwrap_or_default(),
            Event::Held(bytes) => {
                let mut copy = [0; 80];
                let len = bytes.len().min(copy.len());
                copy[..len].copy_from_slice(&bytes[..len]);
                held = copy;
                &held[..len]
            }
        };
        match form.into {
            Into::File => upload.write(cx, data)?,
            Into::Field => form.field(data)?,
            Into::Nothing if data.is_empty() => {}
            Into::Nothing => return Err(Refusal::new(Status::BAD_REQUEST, "the file name is empty")),
        }
    }
}

/// A part begins.
fn begin(
    upload: &mut Upload,
    form: &mut Form,
    ex: &mut Exchange,
    cx: &mut Services,
    head: PartHead,
) -> Result<(), Refusal> {
    form.into = match head.filename {
        Some(name) if name.is_empty() => Into::Nothing,
        Some(name) => {
            // RFC 7578 §4.4: a part that does not say is text/plain.
            let kind = head.content_type.as_deref().unwrap_or(b"text/plain");
            upload.open(ex, cx, &form.fields, Some(&name), kind)?;
            upload.promise(&head.digests)?;
            Into::File
        }
        None => {
            let name = head.name.unwrap_or_default();
            form.count(name.len() + FIELD)?;
            form.fields.push((name.into(), Vec::new()));
            Into::Field
        }
    };
    Ok(())
}
