use super::base64;
use super::error::{Fallible, JsonError, JsonErrorKind, ParseError};
use super::field::{Field, VALUES};
use super::headers;
use super::limits::JsonLimits;
use super::refuse;
use super::scan::{Scanner, Text};
use super::scratch::JsonScratch;
use crate::batch::{Headers, NewRecord};

/// 9999-12-31T23:59:59.999Z: what RFC 3339 can write.
const TIMESTAMP_MS_MAX: u64 = 253_402_300_799_999;
const PARTITION_MAX: u64 = i32::MAX as u64;

/// What a record's value was given as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ValueKind {
    /// `value`: checked JSON, byte for byte as it came.
    Json,
    /// `value_text`: UTF-8.
    Text,
    /// `value_base64`: any bytes.
    Binary,
    /// A null: the record is a tombstone.
    Null,
}

/// One record of a request, borrowed from its text or from the scratch.
#[derive(Debug, Clone, Copy)]
pub struct JsonRecord<'a> {
    /// The key's bytes, or none.
    pub key: Option<&'a [u8]>,
    /// The value's bytes; none if [`kind`](Self::kind) is [`ValueKind::Null`].
    pub value: Option<&'a [u8]>,
    /// What the value was given as.
    pub kind: ValueKind,
    /// The headers, in the order of the text.
    pub headers: Headers<'a>,
    /// Milliseconds since the epoch, 0 to 253402300799999, if the client set it.
    pub timestamp_ms: Option<i64>,
    /// The partition that the client wants, at most 2^31 - 1; whether it exists is not known here.
    pub partition: Option<u32>,
}

impl<'a> JsonRecord<'a> {
    /// Bytes of key, value, header names and header values together.
    pub fn payload_bytes(&self) -> usize {
        self.key.map_or(0, <[u8]>::len)
            + self.value.map_or(0, <[u8]>::len)
            + self.headers.payload_bytes()
    }

    /// The record for a batch; `now_ms` (milliseconds since the epoch) is its timestamp if the
    /// client set none.
    #[inline]
    pub fn to_new(&self, now_ms: i64) -> NewRecord<'a> {
        NewRecord {
            key: self.key,
            value: self.value,
            json: self.kind == ValueKind::Json,
            timestamp_ms: self.timestamp_ms.unwrap_or(now_ms),
            server_timestamp: self.timestamp_ms.is_none(),
            headers: self.headers,
        }
    }
}

/// Reads one record object, such as a line of NDJSON. White space may surround it, nothing else.
///
/// # Errors
/// [`ParseError::Json`] with pointers from the record down (`/value`), or what `on_record` said.
pub fn parse_record<E>(
    line: &[u8],
    limits: &JsonLimits,
    scratch: &mut JsonScratch,
    on_record: impl FnOnce(&JsonRecord<'_>) -> Result<(), E>,
) -> Result<(), ParseError<E>> {
    scratch.shrink();
    let mut scanner = Scanner::new(line)?;
    scanner.white_space();
    let record = read(&mut scanner, limits, scratch)?;
    scanner.end()?;
    on_record(&record).map_err(ParseError::Sink)
}

/// Bytes that are in the text, or in a buffer of the scratch.
#[derive(Clone, Copy)]
enum Piece<'a> {
    None,
    Text(&'a [u8]),
    Scratch,
}

impl<'a> Piece<'a> {
    #[inline(always)]
    fn bytes<'b>(self, scratch: &'b [u8]) -> Option<&'b [u8]>
    where
        'a: 'b,
    {
        match self {
            Self::None => None,
            Self::Text(bytes) => Some(bytes),
            Self::Scratch => Some(scratch),
        }
    }
}

/// Reads a record object with the position at its brace; afterwards just behind it. Pointers of
/// errors start at the record.
#[inline(always)]
pub(super) fn read<'s, 'a: 's>(
    scanner: &mut Scanner<'a>,
    limits: &JsonLimits,
    scratch: &'s mut JsonScratch,
) -> Fallible<JsonRecord<'s>> {
    let start = scanner.at();
    if !scanner.take(b'{') {
        return Err(scanner.not_a("a record: an object with a value"));
    }
    scratch.headers.clear();
    let mut fields = Fields {
        seen: 0,
        key: Piece::None,
        value: Piece::None,
        kind: ValueKind::Null,
        timestamp_ms: None,
        partition: None,
    };
    let mut first = true;
    while let Some(name) = scanner.next_name(&mut first)? {
        let field = fields.claim(&name, &mut scratch.unescaped)?;
        fields
            .read(field, scanner, limits, scratch)
            .map_err(|error| error.inside(field.name()))?;
    }
    if fields.seen & VALUES == 0 {
        return Err(refuse::missing_value(start));
    }
    let record = JsonRecord {
        key: fields.key.bytes(&scratch.key),
        value: fields.value.bytes(&scratch.value),
        kind: fields.kind,
        headers: Headers::encoded(&scratch.headers.encoded, scratch.headers.count),
        timestamp_ms: fields.timestamp_ms,
        partition: fields.partition,
    };
    let payload_bytes = record.key.map_or(0, <[u8]>::len)
        + record.value.map_or(0, <[u8]>::len)
        + scratch.headers.payload_bytes;
    if payload_bytes > limits.record_bytes_max {
        return Err(refuse::too_large(
            JsonErrorKind::RecordTooLarge,
            start,
            payload_bytes,
            limits,
        ));
    }
    Ok(record)
}

/// What is known of a record while its fields are read.
struct Fields<'a> {
    seen: u16,
    key: Piece<'a>,
    value: Piece<'a>,
    kind: ValueKind,
    timestamp_ms: Option<i64>,
    partition: Option<u32>,
}

impl<'a> Fields<'a> {
    /// The field called `name`, noted as seen.
    #[inline(always)]
    fn claim(&mut self, name: &Text<'_>, unescaped: &mut Vec<u8>) -> Fallible<Field> {
        let bytes = name.bytes(unescaped)?;
        let Some(field) = Field::from_name(bytes) else {
            return Err(refuse::unknown_field(name.at, bytes));
        };
        let taken = self.seen & field.alternatives();
        if taken != 0 {
            return Err(refuse::second(field, taken, name.at));
        }
        self.seen |= field.bit();
        Ok(field)
    }

    #[inline(always)]
    fn read(
        &mut self,
        field: Field,
        scanner: &mut Scanner<'a>,
        limits: &JsonLimits,
        scratch: &mut JsonScratch,
    ) -> Fallible<()> {
        match field {
            Field::Key => self.key(scanner, limits, scratch, false)?,
            Field::KeyBase64 => self.key(scanner, limits, scratch, true)?,
            Field::Value => {
                let start = scanner.at();
                scanner.value(limits.depth_max)?;
                let value = scanner.since(start);
                if value != b"null" {
                    self.kind = ValueKind::Json;
                    self.value = Piece::Text(value);
                }
            }
            Field::ValueText => self.value_text(scanner, scratch)?,
            Field::ValueBase64 => self.value_base64(scanner, scratch)?,
            Field::Headers | Field::HeadersBase64 => {
                let base64 = field == Field::HeadersBase64;
                headers::read(
                    scanner,
                    limits,
                    base64,
                    &mut scratch.unescaped,
                    &mut scratch.headers,
                )?;
            }
            Field::Timestamp => {
                let timestamp = integer(scanner, TIMESTAMP_MS_MAX)?;
                self.timestamp_ms = timestamp.map(|ms| ms as i64);
            }
            Field::Partition => {
                self.partition = integer(scanner, PARTITION_MAX)?.map(|partition| partition as u32);
            }
            Field::Offset => {
                integer(scanner, u64::MAX)?;
            }
            // Where it was read, as its offset is.
            Field::Topic => {
                if scanner.peek() == Some(b'"') {
                    scanner.string()?.bytes(&mut scratch.unescaped)?;
                } else if !scanner.null()? {
                    return Err(scanner.not_a("a string or null"));
                }
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn key(
        &mut self,
        scanner: &mut Scanner<'a>,
        limits: &JsonLimits,
        scratch: &mut JsonScratch,
        base64: bool,
    ) -> Fallible<()> {
        if scanner.peek() != Some(b'"') {
            return if scanner.null()? {
                Ok(())
            } else {
                Err(scanner.not_a("a string or null"))
            };
        }
        let text = scanner.string()?;
        let length = if base64 {
            base64::decode(&text, &mut scratch.unescaped, &mut scratch.key)?;
            self.key = Piece::Scratch;
            scratch.key.len()
        } else if text.escaped {
            self.key = Piece::Scratch;
            text.bytes(&mut scratch.key)?.len()
        } else {
            self.key = Piece::Text(text.raw);
            text.raw.len()
        };
        if length > limits.key_bytes_max {
            return Err(refuse::too_large(
                JsonErrorKind::KeyTooLarge,
                text.at,
                length,
                limits,
            ));
        }
        Ok(())
    }

    fn value_text(&mut self, scanner: &mut Scanner<'a>, scratch: &mut JsonScratch) -> Fallible<()> {
        if scanner.peek() != Some(b'"') {
            return Err(scanner.not_a("a string (a tombstone is \"value\":null)"));
        }
        let text = scanner.string()?;
        self.kind = ValueKind::Text;
        self.value = if text.escaped {
            text.bytes(&mut scratch.value)?;
            Piece::Scratch
        } else {
            Piece::Text(text.raw)
        };
        Ok(())
    }

    fn value_base64(
        &mut self,
        scanner: &mut Scanner<'a>,
        scratch: &mut JsonScratch,
    ) -> Fallible<()> {
        if scanner.peek() != Some(b'"') {
            return if scanner.null()? {
                Ok(())
            } else {
                Err(scanner.not_a("a string or null"))
            };
        }
        let text = scanner.string()?;
        base64::decode(&text, &mut scratch.unescaped, &mut scratch.value)?;
        self.kind = ValueKind::Binary;
        self.value = Piece::Scratch;
        Ok(())
    }
}

/// A whole number from 0 to `max`, or null. With a `max` of `u64::MAX`, any number of digits.
#[inline(always)]
fn integer(scanner: &mut Scanner<'_>, max: u64) -> Fallible<Option<u64>> {
    let start = scanner.at();
    match scanner.peek() {
        Some(b'-' | b'0'..=b'9') => {}
        _ if scanner.null()? => return Ok(None),
        _ => return Err(scanner.not_a("a whole number or null")),
    }
    let integer = scanner.number()?;
    let digits = scanner.since(start);
    if !integer {
        return Err(JsonError::new(
            JsonErrorKind::WrongType,
            start,
            "Expected a whole number. Write it without a decimal point or exponent.",
        ));
    }
    if digits[0] == b'-' {
        return Err(refuse::out_of_range(start, max));
    }
    let number = digits.iter().fold(0_u64, |number, digit| {
        number
            .saturating_mul(10)
            .saturating_add(u64::from(digit - b'0'))
    });
    if number > max {
        Err(refuse::out_of_range(start, max))
    } else {
        Ok(Some(number))
    }
}
