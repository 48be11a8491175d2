//! A bounded memory of what was found true a moment ago.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Values that are believed for a fixed time.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    time: Duration,
    most: usize,
    values: Mutex<HashMap<K, (Instant, V)>>,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// Remembers at most `most` values, each for `time`.
    pub(super) fn new(time: Duration, most: usize) -> Self {
        Self {
            time,
            most,
            values: Mutex::default(),
        }
    }

    /// The value, if it was found within the time before `now`.
    pub(super) fn get(&self, key: &K, now: Instant) -> Option<V> {
        let values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        values
            .get(key)
            .filter(|(at, _)| now.saturating_duration_since(*at) < self.time)
            .map(|(_, value)| value.clone())
    }

    /// Remembers a value. Where there is no room, what is old goes, and where nothing is old, everything.
    pub(super) fn put(&self, key: K, value: V, now: Instant) {
        let mut values = self.values.lock().unwrap_or_else(PoisonError::into_inner);
        if values.len() >= self.most {
            values.retain(|_, (at, _)| now.saturating_duration_since(*at) < self.time);
        }
        if values.len() >= self.most {
            values.clear();
        }
        values.insert(key, (now, value));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_believed_for_its_time_only() {
        let recent = Recent::new(Duration::from_secs(60), 10);
        let now = Instant::now();
        recent.put("a", 1, now);
        assert_eq!(recent.get(&"a", now + Duration::from_secs(59)), Some(1));
        assert_eq!(recent.get(&"a", now + Duration::from_secs(60)), None);
        assert_eq!(recent.get(&"b", now), None);
    }

    #[test]
    fn the_memory_is_bounded_and_old_values_go_first() {
        let recent = Recent::new(Duration::from_secs(60), 3);
        let now = Instant::now();
        let later = now + Duration::from_secs(61);
        recent.put(0, (), now);
        for key in 1..4 {
            recent.put(key, (), later);
        }
        assert_eq!(recent.get(&1, later), Some(()));
        recent.put(4, (), later);
        assert!(recent.values.lock().unwrap().len() <= 3);
        assert_eq!(recent.get(&4, later), Some(()));
    }
}
