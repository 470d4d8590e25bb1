//! Organizations, their people, projects and keys.

mod invitations;
mod issuers;
mod keys;
mod members;
mod oidc;
mod organizations;
mod projects;
mod quotas;
mod sessions;

pub use issuers::IssuerSpec;
pub use keys::{KeyQuotas, KeySpec};
pub use members::{Member, MemberState, PutMember};
pub use organizations::{Named, check_slug, check_title};
pub use quotas::Quotas;
pub use sessions::SignedSession;

use crate::{
    auth::Caller,
    problem::{Code, Problem},
};

/// A limit on how many there may be of something.
fn too_many(what: &str, most: i64) -> Problem {
    Problem::new(
        Code::QuotaExceeded,
        format!("there may be at most {most} {what}"),
    )
}

fn not_found(what: &str) -> Problem {
    Problem::new(Code::NotFound, format!("no such {what}"))
}

/// The address of a person who signed in here.
///
/// # Errors
/// 403 for keys and tokens of other issuers: they are no users.
pub fn user_of(caller: &Caller) -> Result<&str, Problem> {
    match caller {
        Caller::User(user) => Ok(&user.email),
        Caller::Key(_) | Caller::External(_) => Err(Problem::new(
            Code::Forbidden,
            "this is for users who signed in here",
        )),
    }
}

/// The address as it is stored: there is one user of each, however it is written.
///
/// # Errors
/// 400 if it is no address.
pub fn check_email(pointer: &str, text: &str) -> Result<String, Problem> {
    let visible = text.len() <= 254 && text.bytes().all(|b| b.is_ascii_graphic());
    match text.split_once('@') {
        Some((name, host))
            if visible && !name.is_empty() && !host.is_empty() && !host.contains('@') =>
        {
            Ok(text.to_ascii_lowercase())
        }
        _ => Err(Problem::invalid(
            pointer,
            "invalid_email",
            "must be an address such as ada@example.com",
        )),
    }
}
