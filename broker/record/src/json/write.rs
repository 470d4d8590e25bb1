use super::base64;
use super::escape::write_string;
use crate::batch::{HeadersIter, RecordHeader, RecordView};

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// Always the binary fields: `key_base64`, `value_base64`, `headers_base64`.
    pub base64: bool,
    /// Line breaks in a value's white space become spaces, so that the record is one line.
    pub single_line: bool,
    /// The partition that the records are from.
    pub partition: u32,
}

/// Bytes of the names, numbers and punctuation around a record's content, at the most.
const ENVELOPE_BYTES_MAX: usize = 192;

/// Appends `record` as one JSON object.
///
/// The fields are, in this order, `key` or `key_base64`; `value`, `value_text` or `value_base64`;
/// `headers` or `headers_base64`; `timestamp`; `partition`; `offset`. Which of each is the first
/// that loses nothing, so what is written parses back to the same record. Headers of one name are
/// written as a list where the first of them stands.
pub fn write_record(out: &mut Vec<u8>, record: &RecordView<'_>, options: &WriteOptions) {
    let content = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
    out.reserve(content + ENVELOPE_BYTES_MAX);
    write_key(out, record.key, options);
    write_value(out, record, options);
    write_headers(out, record.headers(), options);
    let mut number = itoa::Buffer::new();
    out.extend_from_slice(b",\"timestamp\":");
    out.extend_from_slice(number.format(record.timestamp_ms).as_bytes());
    out.extend_from_slice(b",\"partition\":");
    out.extend_from_slice(number.format(options.partition).as_bytes());
    out.extend_from_slice(b",\"offset\":");
    out.extend_from_slice(number.format(record.offset).as_bytes());
    out.push(b'}');
}

#[inline]
fn write_key(out: &mut Vec<u8>, key: Option<&[u8]>, options: &WriteOptions) {
    match key {
        Some(key) if options.base64 || !is_utf8(key) => {
            out.extend_from_slice(b"{\"key_base64\":");
            write_base64(out, key);
        }
        Some(key) => {
            out.extend_from_slice(b"{\"key\":");
            write_string(key, out);
        }
        None if options.base64 => out.extend_from_slice(b"{\"key_base64\":null"),
        None => out.extend_from_slice(b"{\"key\":null"),
    }
}

#[inline]
fn write_value(out: &mut Vec<u8>, record: &RecordView<'_>, options: &WriteOptions) {
    match record.value {
        Some(value) if options.base64 => write_value_base64(out, value),
        Some(value) if record.is_json() => {
            out.extend_from_slice(b",\"value\":");
            let start = out.len();
            out.extend_from_slice(value);
            if options.single_line {
                join_lines(&mut out[start..]);
            }
        }
        Some(value) if is_utf8(value) => {
            out.extend_from_slice(b",\"value_text\":");
            write_string(value, out);
        }
        Some(value) => write_value_base64(out, value),
        None if options.base64 => out.extend_from_slice(b",\"value_base64\":null"),
        None => out.extend_from_slice(b",\"value\":null"),
    }
}

fn write_value_base64(out: &mut Vec<u8>, value: &[u8]) {
    out.extend_from_slice(b",\"value_base64\":");
    write_base64(out, value);
}

/// In checked JSON a line break can only be white space between tokens: in strings it is escaped.
fn join_lines(value: &mut [u8]) {
    let mut rest = value;
    while let Some(at) = memchr::memchr2(b'\n', b'\r', rest) {
        rest[at] = b' ';
        rest = &mut rest[at + 1..];
    }
}

#[inline]
fn write_headers(out: &mut Vec<u8>, headers: HeadersIter<'_>, options: &WriteOptions) {
    if headers.len() == 0 {
        let empty: &[u8] = if options.base64 {
            b",\"headers_base64\":{}"
        } else {
            b",\"headers\":{}"
        };
        out.extend_from_slice(empty);
    } else {
        write_some_headers(out, headers, options);
    }
}

#[inline(never)]
fn write_some_headers(out: &mut Vec<u8>, headers: HeadersIter<'_>, options: &WriteOptions) {
    let base64 = options.base64 || !headers.clone().all(|h| h.value.is_none_or(is_utf8));
    let name: &[u8] = if base64 {
        b",\"headers_base64\":{"
    } else {
        b",\"headers\":{"
    };
    out.extend_from_slice(name);
    if may_repeat(&headers) {
        let mut groups = Groups::new(headers);
        while let Some(group) = groups.next_group() {
            write_group(out, group, base64);
        }
    } else {
        headers.for_each(|header| write_group(out, &[header], base64));
    }
    // In place of the comma after the last one.
    out.pop();
    out.push(b'}');
}

/// Whether a name is there twice, or too many headers to find out by comparing each with each.
fn may_repeat(headers: &HeadersIter<'_>) -> bool {
    const COMPARED_MAX: usize = 8;
    let mut rest = headers.clone();
    rest.len() > COMPARED_MAX
        || std::iter::from_fn(|| rest.next().map(|header| (header, rest.clone())))
            .any(|(header, mut after)| after.any(|other| other.name == header.name))
}

/// The headers of one name, and a comma.
fn write_group(out: &mut Vec<u8>, group: &[RecordHeader<'_>], base64: bool) {
    write_string(group[0].name, out);
    out.push(b':');
    if let [header] = group {
        write_header_value(out, header, base64);
    } else {
        for (i, header) in group.iter().enumerate() {
            out.push(if i == 0 { b'[' } else { b',' });
            write_header_value(out, header, base64);
        }
        out.push(b']');
    }
    out.push(b',');
}

/// Headers with those of one name together, names in the order in which they first appear.
struct Groups<'a> {
    headers: Vec<RecordHeader<'a>>,
    next: usize,
}

impl<'a> Groups<'a> {
    fn new(headers: HeadersIter<'a>) -> Self {
        let mut numbered: Vec<_> = headers.enumerate().collect();
        // By name to find repeats, then back: the sorts are stable, and no number of headers makes
        // this slow.
        numbered.sort_by_key(|(_, header)| header.name);
        for i in 1..numbered.len() {
            if numbered[i].1.name == numbered[i - 1].1.name {
                numbered[i].0 = numbered[i - 1].0;
            }
        }
        numbered.sort_by_key(|(first, _)| *first);
        Self {
            headers: numbered.into_iter().map(|(_, header)| header).collect(),
            next: 0,
        }
    }

    fn next_group(&mut self) -> Option<&[RecordHeader<'a>]> {
        let rest = &self.headers[self.next..];
        let name = rest.first()?.name;
        let length = rest.iter().take_while(|header| header.name == name).count();
        self.next += length;
        Some(&rest[..length])
    }
}

fn write_header_value(out: &mut Vec<u8>, header: &RecordHeader<'_>, base64: bool) {
    match header.value {
        Some(value) if base64 => write_base64(out, value),
        Some(value) => write_string(value, out),
        None => out.extend_from_slice(b"null"),
    }
}

fn write_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'"');
    base64::encode(bytes, out);
    out.push(b'"');
}

#[inline]
fn is_utf8(bytes: &[u8]) -> bool {
    simdutf8::basic::from_utf8(bytes).is_ok()
}
