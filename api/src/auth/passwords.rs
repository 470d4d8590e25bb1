//! Passwords: hashed off the runtime's threads, a few at a time, unknown people like known ones.

use std::sync::{Arc, OnceLock, mpsc};

use argon2::{
    Algorithm, Argon2, Block, Params, PasswordHash, Version,
    password_hash::phc::{Output, ParamsString, Salt},
};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use super::secrets::{random_password, random_secret};
use crate::{
    limits::{PASSWORD_LENGTH, PASSWORD_WAIT, PASSWORDS_AT_ONCE},
    problem::{Code, Problem},
};

/// Hashes and checks passwords. Each takes 19 MiB and a core for tens of milliseconds, so there are few
/// threads for it, each with that memory for all of them: allocated anew at each it is never given back.
#[derive(Clone)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    work: mpsc::Sender<Work>,
}

type Work = Box<dyn FnOnce(&mut Memory) + Send>;

impl Default for Passwords {
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = (processors / 4).clamp(1, PASSWORDS_AT_ONCE);
        let (work, taken) = mpsc::channel::<Work>();
        let taken = Arc::new(Mutex::new(taken));
        for _ in 0..threads {
            let taken = taken.clone();
            std::thread::spawn(move || {
                let mut memory = Memory::default();
                loop {
                    let next = taken.lock().recv();
                    match next {
                        Ok(work) => work(&mut memory),
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
        self.run(move |memory| memory.hash(&password)).await
    }

    /// Whether the password is the one of this hash; without one, or with an empty one, it takes as
    /// long and is not.
    ///
    /// # Errors
    /// 503 when too many are waiting.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, Problem> {
        self.run(move |memory| {
            static NOBODYS: OnceLock<String> = OnceLock::new();
            let hash = hash.filter(|hash| !hash.is_empty());
            let is_somebodys = hash.is_some();
            let hash = hash.unwrap_or_else(|| {
                NOBODYS
                    .get_or_init(|| memory.hash(&random_password()))
                    .clone()
            });
            let matches = memory.verify(&password, &hash).unwrap_or(false);
            matches && is_somebodys
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let turn = tokio::time::timeout(PASSWORD_WAIT, self.turns.clone().acquire_owned()).await;
        let Ok(Ok(turn)) = turn else {
            return Err(Problem::new(
                Code::Overloaded,
                "too many people are signing in at once",
            ));
        };
        let (done, answer) = oneshot::channel();
        let sent = self.work.send(Box::new(move |memory| {
            let worked = work(memory);
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

/// What argon2 works in, over and over.
#[derive(Default)]
struct Memory(Vec<Block>);

impl Memory {
    /// argon2id with the recommended parameters and a new salt, as a PHC string.
    fn hash(&mut self, password: &str) -> String {
        let (argon2, salt) = (Argon2::default(), &random_secret()[..16]);
        let mut output = [0; Params::DEFAULT_OUTPUT_LEN];
        let hashed = self.hash_into(&argon2, password, salt, &mut output);
        let hash = hashed.and_then(|()| {
            Some(PasswordHash {
                algorithm: Algorithm::default().ident(),
                version: Some(Version::default().into()),
                params: ParamsString::try_from(argon2.params()).ok()?,
                salt: Some(Salt::new(salt).ok()?),
                hash: Some(Output::new(&output).ok()?),
            })
        });
        hash.expect("the default parameters are valid").to_string()
    }

    /// Whether a password is that of a PHC string; nothing if that is none.
    fn verify(&mut self, password: &str, hash: &str) -> Option<bool> {
        let hash = PasswordHash::new(hash).ok()?;
        let (salt, expected) = (hash.salt.as_ref()?, hash.hash.as_ref()?);
        let algorithm = Algorithm::try_from(hash.algorithm.as_str()).ok()?;
        let version = hash.version.map(Version::try_from).transpose().ok()?;
        let params = Params::try_from(&hash).ok()?;
        let argon2 = Argon2::new(algorithm, version.unwrap_or_default(), params);
        let mut output = vec![0; expected.as_bytes().len()];
        self.hash_into(&argon2, password, salt, &mut output)?;
        // In constant time: it is how outputs are compared.
        Some(Output::new(&output).ok()? == *expected)
    }

    fn hash_into(
        &mut self,
        argon2: &Argon2<'_>,
        password: &str,
        salt: &[u8],
        output: &mut [u8],
    ) -> Option<()> {
        let blocks = argon2.params().block_count();
        if self.0.len() < blocks {
            self.0.resize(blocks, Block::new());
        }
        let memory = &mut self.0[..blocks];
        let hashed =
            argon2.hash_password_into_with_memory(password.as_bytes(), salt, output, memory);
        hashed.ok()
    }
}

/// The hash of a password for who hashes one in a while, as a PHC string.
pub fn hash_password(password: &str) -> String {
    Memory::default().hash(password)
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
