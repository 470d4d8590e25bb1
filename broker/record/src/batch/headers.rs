use super::varint::{self, Reader};

/// One header of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHeader<'a> {
    /// The name, UTF-8 by contract: a batch with another name does not decode. May be repeated.
    pub name: &'a [u8],
    /// The value, any bytes; `None` is Kafka's null, which differs from an empty value.
    pub value: Option<&'a [u8]>,
}

/// The headers of one record, in order. Cheap to copy.
#[derive(Debug, Clone, Copy)]
pub struct Headers<'a>(Source<'a>);

#[derive(Debug, Clone, Copy)]
enum Source<'a> {
    Slice(&'a [RecordHeader<'a>]),
    /// As they stand in a batch, without their count: checked before this is made.
    Encoded {
        bytes: &'a [u8],
        count: usize,
    },
}

impl<'a> Headers<'a> {
    /// No headers.
    pub const NONE: Headers<'static> = Headers(Source::Slice(&[]));

    /// Headers from a slice. Names must be UTF-8.
    pub const fn new(headers: &'a [RecordHeader<'a>]) -> Self {
        Self(Source::Slice(headers))
    }

    /// Headers that [`write_header`] wrote or [`check_encoded`] accepted.
    pub(crate) const fn encoded(bytes: &'a [u8], count: usize) -> Self {
        Self(Source::Encoded { bytes, count })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Slice(headers) => headers.len(),
            Source::Encoded { count, .. } => count,
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each header, in order.
    pub fn iter(&self) -> HeadersIter<'a> {
        HeadersIter(match self.0 {
            Source::Slice(headers) => Position::Slice(headers.iter()),
            Source::Encoded { bytes, count } => Position::Encoded {
                reader: Reader::new(bytes),
                left: count,
            },
        })
    }

    /// Bytes of all names and values together.
    pub fn payload_bytes(&self) -> usize {
        self.iter()
            .map(|header| header.name.len() + header.value.map_or(0, <[u8]>::len))
            .sum()
    }

    /// Bytes in a batch, without the count.
    #[inline]
    pub(crate) fn encoded_bytes(&self) -> usize {
        match self.0 {
            Source::Slice(headers) => headers
                .iter()
                .map(|header| {
                    varint::len_of_bytes(Some(header.name)) + varint::len_of_bytes(header.value)
                })
                .sum(),
            Source::Encoded { bytes, .. } => bytes.len(),
        }
    }

    #[inline]
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self.0 {
            Source::Slice(headers) => {
                for header in headers {
                    write_header(out, header);
                }
            }
            Source::Encoded { bytes, .. } => out.extend_from_slice(bytes),
        }
    }
}

impl Default for Headers<'_> {
    fn default() -> Self {
        Self::NONE
    }
}

impl<'a> From<&'a [RecordHeader<'a>]> for Headers<'a> {
    fn from(headers: &'a [RecordHeader<'a>]) -> Self {
        Self::new(headers)
    }
}

impl PartialEq for Headers<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl Eq for Headers<'_> {}

impl<'a> IntoIterator for Headers<'a> {
    type Item = RecordHeader<'a>;
    type IntoIter = HeadersIter<'a>;

    fn into_iter(self) -> HeadersIter<'a> {
        self.iter()
    }
}

/// Iterates over [`Headers`].
#[derive(Debug, Clone)]
pub struct HeadersIter<'a>(Position<'a>);

#[derive(Debug, Clone)]
enum Position<'a> {
    Slice(std::slice::Iter<'a, RecordHeader<'a>>),
    Encoded { reader: Reader<'a>, left: usize },
}

impl<'a> Iterator for HeadersIter<'a> {
    type Item = RecordHeader<'a>;

    fn next(&mut self) -> Option<RecordHeader<'a>> {
        match &mut self.0 {
            Position::Slice(headers) => headers.next().copied(),
            Position::Encoded { reader, left } => {
                *left = left.checked_sub(1)?;
                read_header(reader)
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = match &self.0 {
            Position::Slice(headers) => headers.len(),
            Position::Encoded { left, .. } => *left,
        };
        (left, Some(left))
    }
}

impl ExactSizeIterator for HeadersIter<'_> {}

pub(crate) fn write_header(out: &mut Vec<u8>, header: &RecordHeader<'_>) {
    varint::write_bytes(out, Some(header.name));
    varint::write_bytes(out, header.value);
}

fn read_header<'a>(reader: &mut Reader<'a>) -> Option<RecordHeader<'a>> {
    let name = reader.nullable_bytes()??;
    let value = reader.nullable_bytes()?;
    Some(RecordHeader { name, value })
}

/// The headers at the end of a record, checked so that iterating over them cannot fail.
///
/// # Errors
/// What is wrong, in words.
pub(crate) fn check_encoded(bytes: &[u8], count: i64) -> Result<Headers<'_>, &'static str> {
    let count = usize::try_from(count).map_err(|_| "negative header count")?;
    let mut reader = Reader::new(bytes);
    for _ in 0..count {
        let header = read_header(&mut reader).ok_or("a header is cut off")?;
        if simdutf8::basic::from_utf8(header.name).is_err() {
            return Err("a header name is not UTF-8");
        }
    }
    if !reader.rest().is_empty() {
        return Err("bytes are left over after the headers");
    }
    Ok(Headers::encoded(bytes, count))
}
