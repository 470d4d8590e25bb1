//! Slows guessing down, without locking out those who know.
//!
//! Wrong tries are counted by where they come from, and where there is a name to guess at, by that
//! name too: whoever guesses at a name from elsewhere stops nobody but themselves.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
};

use parking_lot::Mutex;

use crate::{
    limits::{GUESSERS_MAX, Tries},
    problem::{Code, Problem},
};

/// A few tries in a window of time.
struct Window {
    began_ms: i64,
    wrong: u32,
}

/// Wrong tries lately, by who made them.
pub struct Guesses<K> {
    tries: Tries,
    windows: Mutex<HashMap<K, Window>>,
}

impl<K: std::hash::Hash + Eq + Clone> Guesses<K> {
    /// Lets everybody be wrong so often.
    pub fn new(tries: Tries) -> Self {
        Self {
            tries,
            windows: Mutex::default(),
        }
    }

    /// Whether another try is let in.
    ///
    /// # Errors
    /// 429 with the time after which it is.
    pub fn check(&self, who: &K, now_ms: i64) -> Result<(), Problem> {
        let windows = self.windows.lock();
        let Some(window) = windows.get(who) else {
            return Ok(());
        };
        let left_ms = self.ends_ms(window) - now_ms;
        if window.wrong < self.tries.wrong_max || left_ms <= 0 {
            return Ok(());
        }
        let mut problem = Problem::new(
            Code::TooManyAttempts,
            "too many wrong credentials came from this address; wait",
        );
        problem.retry_after_ms = Some(left_ms as u64);
        Err(problem)
    }

    /// Counts a wrong try.
    pub fn wrong(&self, who: &K, now_ms: i64) {
        let mut windows = self.windows.lock();
        if windows.len() >= GUESSERS_MAX && !windows.contains_key(who) {
            windows.retain(|_, window| self.ends_ms(window) > now_ms);
            if windows.len() >= GUESSERS_MAX {
                // So many guessers at once: the oldest gets away.
                let oldest = windows.iter().min_by_key(|(_, window)| window.began_ms);
                if let Some(oldest) = oldest.map(|(who, _)| who.clone()) {
                    windows.remove(&oldest);
                }
            }
        }
        let window = windows.entry(who.clone()).or_insert(Window {
            began_ms: now_ms,
            wrong: 0,
        });
        if self.ends_ms(window) <= now_ms {
            *window = Window {
                began_ms: now_ms,
                wrong: 0,
            };
        }
        window.wrong = window.wrong.saturating_add(1);
    }

    /// Counts a try as wrong until it turns out right.
    ///
    /// # Errors
    /// As [`Guesses::check`]; then it does not count.
    pub fn attempt(&self, who: &K, now_ms: i64) -> Result<(), Problem> {
        self.check(who, now_ms)?;
        self.wrong(who, now_ms);
        Ok(())
    }

    /// Takes back a try that was counted and was not wrong.
    pub fn take_back(&self, who: &K) {
        if let Some(window) = self.windows.lock().get_mut(who) {
            window.wrong = window.wrong.saturating_sub(1);
        }
    }

    /// Forgets the wrong tries of somebody who knew it after all.
    pub fn right(&self, who: &K) {
        self.windows.lock().remove(who);
    }

    fn ends_ms(&self, window: &Window) -> i64 {
        window.began_ms + self.tries.window.as_millis() as i64
    }
}

/// Where a caller comes from, as far as they can choose: of IPv6 everybody has a whole network.
pub fn place(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn guesses<K: std::hash::Hash + Eq + Clone>(wrong_max: u32) -> Guesses<K> {
        let window = Duration::from_secs(60);
        Guesses::new(Tries { wrong_max, window })
    }

    #[test]
    fn the_window_closes_and_opens_again() {
        let guesses = guesses(3);
        for _ in 0..3 {
            assert!(guesses.check(&1, 0).is_ok());
            guesses.wrong(&1, 0);
        }
        let problem = guesses.check(&1, 1_000).expect_err("closed");
        assert_eq!(problem.code, Code::TooManyAttempts);
        assert_eq!(problem.retry_after_ms, Some(59_000));
        assert!(guesses.check(&2, 0).is_ok(), "for nobody else");
        assert!(guesses.check(&1, 60_000).is_ok());
        guesses.wrong(&1, 60_000);
        assert!(guesses.check(&1, 60_000).is_ok(), "a new window");
    }

    #[test]
    fn guessers_are_bounded() {
        let guesses = guesses(1);
        for who in 0..GUESSERS_MAX + 10 {
            guesses.wrong(&who, who as i64);
        }
        assert_eq!(guesses.windows.lock().len(), GUESSERS_MAX);
        assert!(guesses.check(&0, 0).is_ok(), "the oldest got away");
        assert!(guesses.check(&(GUESSERS_MAX + 9), 0).is_err());
    }

    #[test]
    fn an_ipv6_network_is_one_place() {
        let parse = |text: &str| text.parse::<IpAddr>().expect("an address");
        assert_eq!(place(parse("2001:db8::1")), place(parse("2001:db8::2")));
        assert_ne!(place(parse("2001:db8::1")), place(parse("2001:db8:0:1::1")));
        assert_eq!(place(parse("::ffff:10.0.0.1")), parse("10.0.0.1"));
    }
}
