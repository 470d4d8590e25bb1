use std::borrow::Cow;
use std::fmt;

/// What is wrong with a request's JSON and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JsonError {
    /// RFC 6901: the field at fault, such as `/records/3/value`; empty for the whole body.
    pub pointer: String,
    /// What kind of fault it is.
    pub kind: JsonErrorKind,
    /// Plain English for the sender; says what to do. Holds nothing internal.
    pub message: String,
    /// Byte position in the body or line, from 0.
    pub at: usize,
}

/// The kinds of fault, as many as a program may want to tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JsonErrorKind {
    /// Not JSON, or a string with half a surrogate pair where text is needed.
    Syntax,
    /// Not UTF-8.
    InvalidUtf8,
    /// A field that the API does not know.
    UnknownField,
    /// A field, or a header name, that is there twice.
    DuplicateField,
    /// JSON, but not of the type that the field takes.
    WrongType,
    /// The right type, but a value that the field does not take.
    OutOfRange,
    /// A field that must be there is not.
    MissingField,
    /// Two fields that exclude each other.
    Conflict,
    /// Not base64 of the standard alphabet with padding.
    InvalidBase64,
    /// A value is nested too deep.
    TooDeep,
    /// A record has too many bytes.
    RecordTooLarge,
    /// A key has too many bytes.
    KeyTooLarge,
    /// A request has too many records.
    TooManyRecords,
    /// A record has too many headers.
    TooManyHeaders,
}

impl JsonErrorKind {
    /// The stable name that clients see, in snake case.
    pub fn code(self) -> &'static str {
        match self {
            Self::Syntax => "syntax",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::UnknownField => "unknown_field",
            Self::DuplicateField => "duplicate_field",
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::MissingField => "missing_field",
            Self::Conflict => "conflict",
            Self::InvalidBase64 => "invalid_base64",
            Self::TooDeep => "too_deep",
            Self::RecordTooLarge => "record_too_large",
            Self::KeyTooLarge => "key_too_large",
            Self::TooManyRecords => "too_many_records",
            Self::TooManyHeaders => "too_many_headers",
        }
    }
}

/// Boxed, so that the hot path hands around one pointer.
pub(super) type Fallible<T> = Result<T, Box<JsonError>>;

impl JsonError {
    #[cold]
    #[inline(never)]
    pub(super) fn new(
        kind: JsonErrorKind,
        at: usize,
        message: impl Into<Cow<'static, str>>,
    ) -> Box<Self> {
        Box::new(Self {
            pointer: String::new(),
            kind,
            message: message.into().into_owned(),
            at,
        })
    }

    /// The same error seen from the object or list around it.
    #[cold]
    #[inline(never)]
    pub(super) fn inside(mut self: Box<Self>, name: &str) -> Box<Self> {
        let mut pointer = String::with_capacity(1 + name.len() + self.pointer.len());
        pointer.push('/');
        for c in name.chars() {
            match c {
                '~' => pointer.push_str("~0"),
                '/' => pointer.push_str("~1"),
                c => pointer.push(c),
            }
        }
        pointer.push_str(&self.pointer);
        self.pointer = pointer;
        self
    }

    /// The same for a name that the client chose: a long one is left out, since errors are logged
    /// and sent back.
    #[cold]
    pub(super) fn inside_foreign(self: Box<Self>, name: &[u8]) -> Box<Self> {
        const NAME_BYTES_MAX: usize = 256;
        match str::from_utf8(name) {
            Ok(name) if name.len() <= NAME_BYTES_MAX => self.inside(name),
            _ => self,
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            pointer,
            kind,
            message,
            at,
        } = self;
        write!(f, "{} at {pointer:?} (byte {at}): {message}", kind.code())
    }
}

impl std::error::Error for JsonError {}

/// Why parsing ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseError<E> {
    /// The text is at fault.
    Json(JsonError),
    /// Whoever takes the records refused one.
    Sink(E),
}

impl<E> From<Box<JsonError>> for ParseError<E> {
    #[cold]
    fn from(error: Box<JsonError>) -> Self {
        Self::Json(*error)
    }
}

impl<E: fmt::Display> fmt::Display for ParseError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Sink(error) => error.fmt(f),
        }
    }
}

impl<E: fmt::Debug + fmt::Display> std::error::Error for ParseError<E> {}
