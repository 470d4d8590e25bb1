//! Passwords: hashed off the runtime's threads, a few at a time, unknown people like known ones.

use std::sync::{Arc, OnceLock, mpsc};

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use super::secrets::{hash_password, random_password};
use crate::{
    limits::{PASSWORD_LENGTH, PASSWORD_WAIT, PASSWORDS_AT_ONCE},
    problem::{Code, Problem},
};

/// Hashes and checks passwords. Each takes 19 MiB and a core for tens of milliseconds, so there are few
/// threads for it, which keep that memory to themselves: spread over a runtime's threads it would be
/// held by all of them.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    work: mpsc::Sender<Work>,
}

type Work = Box<dyn FnOnce() + Send>;

impl Default for Passwords {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (processors / 4).clamp(1, PASSWORDS_AT_ONCE);
        let (work, taken) = mpsc::channel::<Work>();
        let taken = Arc::new(Mutex::new(taken));
        for _ in 0..threads {
            let taken = taken.clone();
            std::thread::spawn(move || {
                loop {
                    let next = taken.lock().recv();
                    match next {
                        Ok(work) => work(),
                        // Nobody is left who could ask.
                        Err(_) => return,
                    }
                }
            });
        }
        Self {
            turns: Arc::new(Semaphore::new(threads)),
            work,
        }
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
        let turn = tokio::time::timeout(PASSWORD_WAIT, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Problem::new(
                Code::Overloaded,
                "too many people are signing in at once",
            ));
        };
        let (done, answer) = oneshot::channel();
        let sent = self.work.send(Box::new(move || {
            let worked = work();
            drop(turn);
            // Whoever asked may have gone.
            let _ = done.send(worked);
        }));
        sent.map_err(|error| Problem::internal("a password cannot be checked", error))?;
        answer
            .await
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
