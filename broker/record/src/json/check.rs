use super::error::JsonError;
use super::scan::Scanner;

/// Checks that `value` is one whole JSON value: grammar, UTF-8, and nesting of at most `depth_max`
/// (at most 128). White space around it is fine.
///
/// # Errors
/// What is wrong and where, with an empty pointer.
pub fn check_json(value: &[u8], depth_max: usize) -> Result<(), JsonError> {
    let check = || {
        let mut scanner = Scanner::new(value)?;
        scanner.white_space();
        scanner.value(depth_max)?;
        scanner.end()
    };
    check().map_err(|error| *error)
}
