//! Metrics of one relay.

use std::time::Duration;

use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

use super::text;

/// Upper bounds of step durations in seconds: a no-op takes a fraction of a millisecond, training takes hours.
const STEP_SECONDS: &[f64] = &[
    0.0005, 0.002, 0.01, 0.05, 0.25, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0, 14_400.0,
];

/// Metrics of one relay.
#[derive(Clone, Debug)]
pub struct RelayMetrics {
    registry: Registry,
    steps: IntCounterVec,
    seconds: HistogramVec,
    /// 1 while an executor is connected, else 0.
    pub executor_connected: IntGauge,
    /// Size of the journal in bytes.
    pub journal_bytes: IntGauge,
}

impl RelayMetrics {
    /// Metrics at zero. Fails only where a name is taken twice, which a test would see.
    pub fn new() -> Result<Self, prometheus::Error> {
        let metrics = Self {
            registry: Registry::new(),
            steps: IntCounterVec::new(
                Opts::new("dojo_relay_steps_total", "Finished steps"),
                &["action", "status"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new("dojo_relay_step_duration_seconds", "Duration of a finished step")
                    .buckets(STEP_SECONDS.to_vec()),
                &["action"],
            )?,
            executor_connected: IntGauge::new(
                "dojo_relay_executor_connected",
                "1 while an executor is connected, else 0",
            )?,
            journal_bytes: IntGauge::new("dojo_relay_journal_bytes", "Size of the journal in bytes")?,
        };
        metrics.registry.register(Box::new(metrics.steps.clone()))?;
        metrics.registry.register(Box::new(metrics.seconds.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.executor_connected.clone()))?;
        metrics
            .registry
            .register(Box::new(metrics.journal_bytes.clone()))?;
        Ok(metrics)
    }

    /// Counts a finished step. `action` must come from a closed set.
    pub fn step(&self, action: &'static str, succeeded: bool, duration: Duration) {
        let status = if succeeded { "success" } else { "failed" };
        self.steps.with_label_values(&[action, status]).inc();
        self.seconds
            .with_label_values(&[action])
            .observe(duration.as_secs_f64());
    }

    /// Everything, in the text format.
    pub fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        text(&self.registry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_counted_by_action_and_status() {
        let metrics = RelayMetrics::new().unwrap();
        metrics.step("execute_code", false, Duration::from_millis(3));
        metrics.journal_bytes.set(77);
        let text = String::from_utf8(metrics.text().unwrap()).unwrap();
        assert!(
            text.contains("dojo_relay_steps_total{action=\"execute_code\",status=\"failed\"} 1"),
            "{text}"
        );
        assert!(
            text.contains("dojo_relay_step_duration_seconds_count{action=\"execute_code\"} 1"),
            "{text}"
        );
        assert!(text.contains("dojo_relay_journal_bytes 77"), "{text}");
    }
}
