use super::error::{Fallible, JsonError, JsonErrorKind, ParseError};
use super::limits::JsonLimits;
use super::record::{self, JsonRecord};
use super::scan::Scanner;
use super::scratch::JsonScratch;

/// What a produce request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Acks {
    /// The records are on disk at a quorum of replicas.
    #[default]
    Quorum,
    /// The records are on the leader's disk.
    Leader,
    /// Nothing.
    None,
}

/// What a produce request says besides its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProduceBody {
    /// What the request waits for.
    pub acks: Acks,
    /// How many records were handed over; at least 1.
    pub records: usize,
}

/// Reads `{"records":[…],"acks":…}` and hands over each record, with its index from 0, as its
/// object ends. The two fields may come in either order.
///
/// # Errors
/// The first fault in the text, or whatever `on_record` said. The records before it have been
/// handed over by then: the caller drops what it made of them.
pub fn parse_produce<E>(
    body: &[u8],
    limits: &JsonLimits,
    scratch: &mut JsonScratch,
    mut on_record: impl FnMut(usize, &JsonRecord<'_>) -> Result<(), E>,
) -> Result<ProduceBody, ParseError<E>> {
    scratch.shrink();
    let mut scanner = Scanner::new(body)?;
    scanner.white_space();
    if !scanner.take(b'{') {
        return Err(scanner.not_a("an object with the field records").into());
    }
    let mut acks = None;
    let mut records = None;
    let mut first = true;
    while let Some(name) = scanner.next_name(&mut first)? {
        match name.bytes(&mut scratch.unescaped)? {
            b"records" => {
                if records.is_some() {
                    return Err(twice(name.at, "records").into());
                }
                records = Some(read_records(&mut scanner, limits, scratch, &mut on_record)?);
            }
            b"acks" => {
                if acks.is_some() {
                    return Err(twice(name.at, "acks").into());
                }
                let read = read_acks(&mut scanner, &mut scratch.unescaped);
                acks = Some(read.map_err(|error| error.inside("acks"))?);
            }
            other => {
                let error = JsonError::new(
                    JsonErrorKind::UnknownField,
                    name.at,
                    "A produce request has the fields records and acks only. Remove this one.",
                );
                return Err(error.inside_foreign(other).into());
            }
        }
    }
    scanner.end()?;
    let Some(records) = records else {
        return Err(JsonError::new(
            JsonErrorKind::MissingField,
            0,
            "The request has no records. Send {\"records\":[…]}.",
        )
        .into());
    };
    Ok(ProduceBody {
        acks: acks.unwrap_or_default(),
        records,
    })
}

#[inline(always)]
fn read_records<E>(
    scanner: &mut Scanner<'_>,
    limits: &JsonLimits,
    scratch: &mut JsonScratch,
    on_record: &mut impl FnMut(usize, &JsonRecord<'_>) -> Result<(), E>,
) -> Result<usize, ParseError<E>> {
    let at = scanner.at();
    let inside = |error: Box<JsonError>| error.inside("records");
    if !scanner.take(b'[') {
        return Err(inside(scanner.not_a("a list of records")).into());
    }
    let mut index = 0;
    let mut first = true;
    while scanner.next_element(&mut first).map_err(inside)? {
        if index == limits.records_max {
            return Err(too_many(scanner.at(), limits.records_max).into());
        }
        let record = record::read(scanner, limits, scratch)
            .map_err(|error| inside(error.inside(&index.to_string())))?;
        on_record(index, &record).map_err(ParseError::Sink)?;
        index += 1;
    }
    if index == 0 {
        let message = "The list is empty. Send at least one record.";
        return Err(inside(JsonError::new(JsonErrorKind::OutOfRange, at, message)).into());
    }
    Ok(index)
}

fn read_acks(scanner: &mut Scanner<'_>, unescaped: &mut Vec<u8>) -> Fallible<Acks> {
    const EXPECTED: &str = "\"quorum\", \"leader\" or \"none\"";
    if scanner.peek() != Some(b'"') {
        return Err(scanner.not_a(EXPECTED));
    }
    let text = scanner.string()?;
    match text.bytes(unescaped)? {
        b"quorum" => Ok(Acks::Quorum),
        b"leader" => Ok(Acks::Leader),
        b"none" => Ok(Acks::None),
        _ => Err(JsonError::new(
            JsonErrorKind::OutOfRange,
            text.at,
            format!("acks is one of {EXPECTED}."),
        )),
    }
}

#[cold]
fn twice(at: usize, name: &str) -> Box<JsonError> {
    let message = "This field is there twice. Give it once.";
    JsonError::new(JsonErrorKind::DuplicateField, at, message).inside(name)
}

#[cold]
fn too_many(at: usize, records_max: usize) -> Box<JsonError> {
    JsonError::new(
        JsonErrorKind::TooManyRecords,
        at,
        format!("A request has at most {records_max} records. Send the rest in another one."),
    )
    .inside("records")
}
