//! Any JSON value, checked and passed over without recursion.

use super::Scanner;
use crate::json::error::{Fallible, JsonError, JsonErrorKind};
use crate::json::limits::DEPTH_MAX;

impl Scanner<'_> {
    /// Any value, with the position at its first byte; afterwards just behind its last.
    ///
    /// # Errors
    /// If it breaks the grammar, or nests deeper than `depth_max` or 128.
    pub(in crate::json) fn value(&mut self, depth_max: usize) -> Fallible<()> {
        let depth_max = depth_max.min(DEPTH_MAX);
        // One bit per open container, the innermost lowest: set for an object.
        let mut open: u128 = 0;
        let mut depth = 0;
        'value: loop {
            match self.peek() {
                Some(b'"') => {
                    self.string()?;
                }
                Some(b'-' | b'0'..=b'9') => {
                    self.number()?;
                }
                Some(bracket @ (b'{' | b'[')) => {
                    if depth == depth_max {
                        return Err(self.too_deep(depth_max));
                    }
                    depth += 1;
                    self.advance();
                    self.white_space();
                    let object = bracket == b'{';
                    open = open << 1 | u128::from(object);
                    if object {
                        if self.peek() != Some(b'}') {
                            self.name()?;
                            continue 'value;
                        }
                    } else if self.peek() != Some(b']') {
                        continue 'value;
                    }
                }
                Some(b't') => self.literal("true")?,
                Some(b'f') => self.literal("false")?,
                Some(b'n') => self.literal("null")?,
                _ => return Err(self.syntax("a JSON value")),
            }
            // Behind a value, or just inside an empty container.
            while depth > 0 {
                self.white_space();
                let object = open & 1 == 1;
                match self.peek() {
                    Some(b',') => {
                        self.advance();
                        self.white_space();
                        if object {
                            self.name()?;
                        }
                        continue 'value;
                    }
                    Some(b'}') if object => {}
                    Some(b']') if !object => {}
                    _ if object => return Err(self.syntax("`,` or `}` after a field")),
                    _ => return Err(self.syntax("`,` or `]` after an element")),
                }
                self.advance();
                open >>= 1;
                depth -= 1;
            }
            return Ok(());
        }
    }

    #[inline(always)]
    fn name(&mut self) -> Fallible<()> {
        if self.peek() != Some(b'"') {
            return Err(self.syntax("a field name in quotes"));
        }
        self.string()?;
        self.colon()
    }

    #[cold]
    #[inline(never)]
    fn too_deep(&self, depth_max: usize) -> Box<JsonError> {
        JsonError::new(
            JsonErrorKind::TooDeep,
            self.at,
            format!(
                "A value nests at most {depth_max} levels deep. Flatten it, or send it as text."
            ),
        )
    }
}
