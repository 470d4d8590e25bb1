//! The validating scanner: a position in a text and what can be read there.

use super::error::{Fallible, JsonError, JsonErrorKind};
use super::special::find_special;

mod value;

/// The inside of a string, without its quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) raw: &'a [u8],
    /// Where it starts in the whole text.
    pub(super) at: usize,
    /// There are escapes in it, all of them well formed but for half surrogate pairs.
    pub(super) escaped: bool,
}

#[derive(Debug)]
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Scanner<'a> {
    /// # Errors
    /// If `text` is not UTF-8; from here on nothing has to look at that again.
    pub(super) fn new(text: &'a [u8]) -> Fallible<Self> {
        if simdutf8::basic::from_utf8(text).is_err() {
            // The fast check does not say where, and only a refusal needs to know.
            let at = str::from_utf8(text).map_or_else(|error| error.valid_up_to(), str::len);
            return Err(JsonError::new(
                JsonErrorKind::InvalidUtf8,
                at,
                "This is not UTF-8. Send JSON as UTF-8, and binary content as base64.",
            ));
        }
        Ok(Self { text, at: 0 })
    }

    #[inline(always)]
    pub(super) fn at(&self) -> usize {
        self.at
    }

    #[inline(always)]
    pub(super) fn since(&self, start: usize) -> &'a [u8] {
        &self.text[start..self.at]
    }

    #[inline(always)]
    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    #[inline(always)]
    fn advance(&mut self) {
        self.at += 1;
    }

    #[inline(always)]
    pub(super) fn white_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.advance();
        }
    }

    /// Takes `byte` if it is next.
    #[inline(always)]
    pub(super) fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.advance();
        }
        found
    }

    #[cold]
    #[inline(never)]
    pub(super) fn syntax(&self, expected: &'static str) -> Box<JsonError> {
        let found = match self.text.get(self.at) {
            None => "the text ends here".to_owned(),
            Some(byte @ 0x21..=0x7e) => format!("this is `{}`", char::from(*byte)),
            Some(byte @ 0x00..=0x20) => format!("this is the control character {byte:#04x}"),
            Some(_) => "this is another character".to_owned(),
        };
        JsonError::new(
            JsonErrorKind::Syntax,
            self.at,
            format!("Expected {expected}, but {found}. Check the JSON."),
        )
    }

    /// For a place where JSON must begin but none of the wanted type does.
    #[cold]
    #[inline(never)]
    pub(super) fn not_a(&self, expected: &'static str) -> Box<JsonError> {
        match self.peek() {
            Some(b'"' | b'{' | b'[' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => JsonError::new(
                JsonErrorKind::WrongType,
                self.at,
                format!("Expected {expected}. Send that type here."),
            ),
            _ => self.syntax(expected),
        }
    }

    /// # Errors
    /// If anything but white space is left.
    pub(super) fn end(&mut self) -> Fallible<()> {
        self.white_space();
        if self.at == self.text.len() {
            Ok(())
        } else {
            Err(self.syntax("nothing more"))
        }
    }

    /// After a `{` or a field of an object: the next name, with the position at its value; none
    /// at the closing brace.
    #[inline(always)]
    pub(super) fn next_name(&mut self, first: &mut bool) -> Fallible<Option<Text<'a>>> {
        self.white_space();
        if self.take(b'}') {
            return Ok(None);
        }
        if *first {
            *first = false;
        } else {
            if !self.take(b',') {
                return Err(self.syntax("`,` or `}` after a field"));
            }
            self.white_space();
        }
        if self.peek() != Some(b'"') {
            return Err(self.syntax("a field name in quotes"));
        }
        let name = self.string()?;
        self.colon()?;
        Ok(Some(name))
    }

    /// After a `[` or an element of a list: whether another follows, with the position at it.
    #[inline(always)]
    pub(super) fn next_element(&mut self, first: &mut bool) -> Fallible<bool> {
        self.white_space();
        if self.take(b']') {
            return Ok(false);
        }
        if *first {
            *first = false;
        } else {
            if !self.take(b',') {
                return Err(self.syntax("`,` or `]` after an element"));
            }
            self.white_space();
        }
        Ok(true)
    }

    #[inline(always)]
    fn colon(&mut self) -> Fallible<()> {
        self.white_space();
        if !self.take(b':') {
            return Err(self.syntax("`:` after a field name"));
        }
        self.white_space();
        Ok(())
    }

    /// A string, with the position at its opening quote.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Fallible<Text<'a>> {
        let start = self.at + 1;
        self.at = find_special(self.text, start);
        let mut escaped = false;
        if self.peek() != Some(b'"') {
            self.string_with_escapes()?;
            escaped = true;
        }
        let raw = &self.text[start..self.at];
        self.advance();
        Ok(Text {
            raw,
            at: start,
            escaped,
        })
    }

    /// From the first special byte that is no quote to the closing quote.
    #[inline(never)]
    fn string_with_escapes(&mut self) -> Fallible<()> {
        loop {
            match self.peek() {
                Some(b'"') => return Ok(()),
                Some(b'\\') => self.escape()?,
                _ => return Err(self.syntax("the rest of a string, control characters escaped")),
            }
            self.at = find_special(self.text, self.at);
        }
    }

    #[inline(always)]
    fn escape(&mut self) -> Fallible<()> {
        let rest = &self.text[self.at + 1..];
        match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') => {
                let digits = rest[1..]
                    .iter()
                    .take(4)
                    .take_while(|d| d.is_ascii_hexdigit())
                    .count();
                self.at += 2 + digits;
                if digits < 4 {
                    return Err(self.syntax("four hexadecimal digits after `\\u`"));
                }
            }
            _ => {
                self.advance();
                return Err(self.syntax("one of \" \\ / b f n r t u after a backslash"));
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn digits(&mut self) -> bool {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.advance();
        }
        self.at > start
    }

    /// A number, with the position at its minus sign or first digit. Whether it is written as an
    /// integer.
    #[inline(always)]
    pub(super) fn number(&mut self) -> Fallible<bool> {
        self.take(b'-');
        if !self.take(b'0') && !self.digits() {
            return Err(self.syntax("a digit"));
        }
        let mut integer = true;
        if self.take(b'.') {
            integer = false;
            if !self.digits() {
                return Err(self.syntax("a digit after the decimal point"));
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            integer = false;
            self.advance();
            if let Some(b'+' | b'-') = self.peek() {
                self.advance();
            }
            if !self.digits() {
                return Err(self.syntax("a digit in the exponent"));
            }
        }
        Ok(integer)
    }

    #[inline(always)]
    pub(super) fn literal(&mut self, literal: &'static str) -> Fallible<()> {
        if !self.text[self.at..].starts_with(literal.as_bytes()) {
            return Err(self.syntax("a JSON value"));
        }
        self.at += literal.len();
        Ok(())
    }

    /// `null`, if it is next.
    #[inline(always)]
    pub(super) fn null(&mut self) -> Fallible<bool> {
        if self.peek() == Some(b'n') {
            self.literal("null").map(|()| true)
        } else {
            Ok(false)
        }
    }
}
