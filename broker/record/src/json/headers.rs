//! The `headers` and `headers_base64` objects of a record.

use super::base64;
use super::error::{Fallible, JsonError, JsonErrorKind};
use super::limits::JsonLimits;
use super::scan::{Scanner, Text};
use super::scratch::HeaderScratch;
use crate::batch::{RecordHeader, varint};

/// Reads one of the two objects and adds its headers to `scratch`, encoded as in a batch.
#[inline(never)]
pub(super) fn read(
    scanner: &mut Scanner<'_>,
    limits: &JsonLimits,
    base64: bool,
    unescaped: &mut Vec<u8>,
    scratch: &mut HeaderScratch,
) -> Fallible<()> {
    if scanner.null()? {
        return Ok(());
    }
    if !scanner.take(b'{') {
        return Err(scanner.not_a("an object of header names and values"));
    }
    scratch.names.clear();
    scratch.name_ends.clear();
    let mut reader = Reader {
        scanner,
        limits,
        base64,
        unescaped,
        scratch,
    };
    let mut first = true;
    while let Some(name) = reader.scanner.next_name(&mut first)? {
        reader.name(&name)?;
        reader
            .values()
            .map_err(|error| error.inside_foreign(reader.scratch.last_name()))?;
    }
    Ok(())
}

struct Reader<'s, 'a> {
    scanner: &'s mut Scanner<'a>,
    limits: &'s JsonLimits,
    base64: bool,
    unescaped: &'s mut Vec<u8>,
    scratch: &'s mut HeaderScratch,
}

impl Reader<'_, '_> {
    /// Adds a name to those of this object.
    fn name(&mut self, name: &Text<'_>) -> Fallible<()> {
        let bytes = name.bytes(self.unescaped)?;
        if self.scratch.has_name(bytes) {
            let error = JsonError::new(
                JsonErrorKind::DuplicateField,
                name.at,
                "This header name is there twice. Give it once, with a list of values.",
            );
            return Err(error.inside_foreign(bytes));
        }
        // Names with empty lists make no header but take time to compare.
        if self.scratch.name_ends.len() == self.limits.headers_max {
            return Err(self.too_many());
        }
        self.scratch.names.extend_from_slice(bytes);
        self.scratch.name_ends.push(self.scratch.names.len());
        Ok(())
    }

    /// A value, or a list of them.
    fn values(&mut self) -> Fallible<()> {
        if !self.scanner.take(b'[') {
            return self.value("a string, a list of strings or null");
        }
        let mut first = true;
        let mut index = 0_usize;
        while self.scanner.next_element(&mut first)? {
            self.value("a string or null")
                .map_err(|error| error.inside(&index.to_string()))?;
            index += 1;
        }
        Ok(())
    }

    fn value(&mut self, expected: &'static str) -> Fallible<()> {
        if self.scratch.count == self.limits.headers_max {
            return Err(self.too_many());
        }
        let value = match self.scanner.peek() {
            Some(b'"') => {
                let text = self.scanner.string()?;
                if self.base64 {
                    base64::decode(&text, self.unescaped, &mut self.scratch.value)?;
                    Some(self.scratch.value.as_slice())
                } else {
                    Some(text.bytes(&mut self.scratch.value)?)
                }
            }
            Some(b'n') => {
                self.scanner.literal("null")?;
                None
            }
            _ => return Err(self.scanner.not_a(expected)),
        };
        let name = last_name(&self.scratch.names, &self.scratch.name_ends);
        self.scratch.payload_bytes += name.len() + value.map_or(0, <[u8]>::len);
        self.scratch.count += 1;
        let header = RecordHeader { name, value };
        varint::write_bytes(&mut self.scratch.encoded, Some(header.name));
        varint::write_bytes(&mut self.scratch.encoded, header.value);
        Ok(())
    }

    #[cold]
    fn too_many(&self) -> Box<JsonError> {
        let most = self.limits.headers_max;
        JsonError::new(
            JsonErrorKind::TooManyHeaders,
            self.scanner.at(),
            format!("A record has at most {most} headers. Move some into its value."),
        )
    }
}

impl HeaderScratch {
    fn has_name(&self, name: &[u8]) -> bool {
        let mut start = 0;
        self.name_ends.iter().any(|&end| {
            let known = &self.names[start..end];
            start = end;
            known == name
        })
    }

    fn last_name(&self) -> &[u8] {
        last_name(&self.names, &self.name_ends)
    }
}

fn last_name<'n>(names: &'n [u8], ends: &[usize]) -> &'n [u8] {
    let start = ends.len().checked_sub(2).map_or(0, |before| ends[before]);
    &names[start..]
}
