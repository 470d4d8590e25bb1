//! In which form records are given out.

use bytes::BufMut;
use headwater_record::{RecordView, WriteOptions, write_record};
use prost::{encode_length_delimiter, length_delimiter_len};

/// How the records of a page are written, one behind the other.
#[derive(Debug, Clone, Copy)]
pub enum Form {
    /// JSON objects.
    Json(JsonForm),
    /// The field `repeated Record records = 1` of a message of `headwater.v1`: the page is the
    /// beginning of the message that it is sent in.
    Protobuf {
        /// Whether records say of which topic they are.
        with_topic: bool,
    },
}

/// What JSON objects look like, and what stands between them.
#[derive(Debug, Clone, Copy)]
pub struct JsonForm {
    /// Keys, values and headers as base64.
    pub base64: bool,
    /// No line breaks inside a record.
    pub single_line: bool,
    /// What stands before the first record.
    pub prefix: &'static [u8],
    /// What stands behind each record but, for a comma, the last.
    pub separator: u8,
    /// Whether records say of which topic they are.
    pub with_topic: bool,
}

impl Form {
    /// What a page begins with.
    pub fn prefix(&self) -> &'static [u8] {
        match self {
            Self::Json(json) => json.prefix,
            Self::Protobuf { .. } => b"",
        }
    }

    /// Adds a record of a partition of `topic` to a page.
    pub fn write(&self, page: &mut Vec<u8>, record: &RecordView<'_>, topic: &str, partition: u32) {
        match self {
            Self::Json(json) => {
                let options = WriteOptions {
                    base64: json.base64,
                    single_line: json.single_line,
                    partition,
                };
                if json.with_topic {
                    // A name of a topic needs no escapes. What opens the record now only separates.
                    page.extend_from_slice(b"{\"topic\":\"");
                    page.extend_from_slice(topic.as_bytes());
                    page.push(b'"');
                    let opens_at = page.len();
                    write_record(page, record, &options);
                    page[opens_at] = b',';
                } else {
                    write_record(page, record, &options);
                }
                page.push(json.separator);
            }
            Self::Protobuf { with_topic } => {
                let topic = with_topic.then_some(topic.as_bytes());
                write_message(page, record, topic, partition);
            }
        }
    }

    /// Ends a page: nothing stands behind the last record that only separates it from another.
    pub fn finish(&self, page: &mut Vec<u8>) {
        if let Self::Json(JsonForm {
            separator: b',', ..
        }) = self
            && page.last() == Some(&b',')
        {
            page.pop();
        }
    }
}

// The protobuf encoding: before each field stands its number and how long it is, or that it is a
// varint. The numbers are those of `Record` and `Header` in records.proto.

const fn bytes_field(number: u8) -> u8 {
    number << 3 | 2
}

const fn varint_field(number: u8) -> u8 {
    number << 3
}

const RECORDS: u8 = bytes_field(1);
const KEY: u8 = bytes_field(1);
const VALUE: u8 = bytes_field(2);
const JSON: u8 = varint_field(3);
const HEADERS: u8 = bytes_field(4);
const TIMESTAMP_MS: u8 = varint_field(5);
const PARTITION: u8 = varint_field(6);
const OFFSET: u8 = varint_field(7);
const TOPIC: u8 = bytes_field(8);
const HEADER_NAME: u8 = bytes_field(1);
const HEADER_VALUE: u8 = bytes_field(2);

fn write_message(
    page: &mut Vec<u8>,
    record: &RecordView<'_>,
    topic: Option<&[u8]>,
    partition: u32,
) {
    let header_bytes =
        |name: &[u8], value: Option<&[u8]>| bytes_field_len(Some(name)) + bytes_field_len(value);
    let headers: usize = record
        .headers()
        .map(|header| bytes_field_len_of(header_bytes(header.name, header.value)))
        .sum();
    // What a negative number is as a varint.
    let timestamp = record.timestamp_ms as u64;
    let length = bytes_field_len(record.key)
        + bytes_field_len(record.value)
        + 2 * usize::from(record.is_json())
        + headers
        + varint_field_len(timestamp)
        + varint_field_len(partition.into())
        + varint_field_len(record.offset)
        + bytes_field_len(topic);
    page.reserve(bytes_field_len_of(length));
    page.push(RECORDS);
    put_varint(page, length as u64);
    put_bytes(page, KEY, record.key);
    put_bytes(page, VALUE, record.value);
    if record.is_json() {
        page.extend_from_slice(&[JSON, 1]);
    }
    for header in record.headers() {
        page.push(HEADERS);
        put_varint(page, header_bytes(header.name, header.value) as u64);
        put_bytes(page, HEADER_NAME, Some(header.name));
        put_bytes(page, HEADER_VALUE, header.value);
    }
    for (field, number) in [
        (TIMESTAMP_MS, timestamp),
        (PARTITION, partition.into()),
        (OFFSET, record.offset),
    ] {
        page.push(field);
        put_varint(page, number);
    }
    put_bytes(page, TOPIC, topic);
}

fn varint_field_len(number: u64) -> usize {
    1 + length_delimiter_len(number as usize)
}

fn bytes_field_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(0, |bytes| bytes_field_len_of(bytes.len()))
}

fn bytes_field_len_of(length: usize) -> usize {
    1 + length_delimiter_len(length) + length
}

fn put_varint(page: &mut Vec<u8>, number: u64) {
    encode_length_delimiter(number as usize, page).expect("a vector has room");
}

fn put_bytes(page: &mut Vec<u8>, field: u8, bytes: Option<&[u8]>) {
    if let Some(bytes) = bytes {
        page.put_u8(field);
        put_varint(page, bytes.len() as u64);
        page.extend_from_slice(bytes);
    }
}
