//! Who writes the dead letters of groups.

use headwater_groups::GroupId;

/// Writes what groups give up to their dead-letter topics: it reads records and appends them elsewhere, as a
/// gateway does. Coordinators tell it where letters wait.
pub trait LetterWriter: Send + Sync + 'static {
    /// Letters of these groups wait. Returns at once; as long as they do it is told again, so nothing is
    /// lost with one that is not heard.
    fn letters_wait(&self, groups: Vec<GroupId>);
}
