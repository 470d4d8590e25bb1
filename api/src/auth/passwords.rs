//! Passwords: hashed off the runtime's threads, a few at a time, unknown people like known ones.

use std::sync::{Arc, OnceLock};

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use tokio::sync::Semaphore;

use super::secrets::{hash_password, random_password};
use crate::{
    limits::{PASSWORD_LENGTH, PASSWORD_WAIT, PASSWORDS_AT_ONCE},
    problem::{Code, Problem},
};

/// Hashes and checks passwords. Each takes 19 MiB and a core for tens of milliseconds, so the
/// number of those under way is bounded.
#[derive(Clone)]
pub struct Passwords(Arc<Semaphore>);

impl Default for Passwords {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(PASSWORDS_AT_ONCE)))
    }
}

impl Passwords {
    /// The hash of a new password, as a PHC string.
    ///
    /// # Errors
    /// 503 when too many are waiting.
    pub async fn hash(&self, password: String) -> Result<String, Problem> {
        self.run(move || hash_password(&password)).await
    }

    /// Whether the password is the one of this hash; without one, or with an empty one, it takes as
    /// long and is not.
    ///
    /// # Errors
    /// 503 when too many are waiting.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Problem> {
        self.run(move || {
            static NOBODYS: OnceLock<String> = OnceLock::new();
            let hash = hash.filter(|hash| !hash.is_empty());
            let is_somebodys = hash.is_some();
            let hash = hash.unwrap_or_else(|| {
                NOBODYS
                    .get_or_init(|| hash_password(&random_password()))
                    .clone()
            });
            let parsed = PasswordHash::new(&hash);
            let matches = parsed.is_ok_and(|parsed| {
                let argon2 = Argon2::default();
                argon2.verify_password(password.as_bytes(), &parsed).is_ok()
            });
            matches && is_somebodys
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let permit = tokio::time::timeout(PASSWORD_WAIT, self.0.clone().acquire_owned()).await;
        let Ok(Ok(permit)) = permit else {
            return Err(Problem::new(
                Code::Overloaded,
                "too many people are signing in at once",
            ));
        };
        let work = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        work.await
            .map_err(|error| Problem::internal("a password cannot be checked", error))
    }
}

/// Whether a password may be chosen.
///
/// # Errors
/// 422 if it is too short or too long.
pub fn check_new_password(pointer: &str, password: &str) -> Result<(), Problem> {
    let (least, most) = PASSWORD_LENGTH;
    if (least..=most).contains(&password.chars().count()) {
        return Ok(());
    }
    Err(Problem::new(Code::InvalidSetting, "").at(
        pointer,
        "invalid_length",
        format!("must be {least} to {most} characters"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_has_the_password_of_an_account_without_one() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        for (password, hash, expected) in [
            ("correct horse", Some(hash.as_str()), true),
            ("wrong horse", Some(hash.as_str()), false),
            ("", Some(""), false),
            ("correct horse", Some(""), false),
            ("", None, false),
            ("", Some("no hash"), false),
        ] {
            let checked = passwords.verify(password.to_owned(), hash.map(str::to_owned));
            assert_eq!(checked.await.unwrap(), expected, "{password:?} {hash:?}");
        }
    }
}
