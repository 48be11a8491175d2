//! Metrics of one operator.

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, Opts, Registry};

use super::text;

/// Upper bounds of the duration of a look in seconds: one that changes nothing takes microseconds, one that waits for the
/// API server takes up to its time limits.
const RECONCILE_SECONDS: &[f64] = &[
    0.0001, 0.0005, 0.002, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// Upper bounds of the time from Episode to pod in seconds.
const CREATION_SECONDS: &[f64] = &[
    0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 120.0, 600.0, 3600.0,
];

/// Metrics of one operator.
#[derive(Clone, Debug)]
pub struct OperatorMetrics {
    registry: Registry,
    reconciles: IntCounterVec,
    seconds: HistogramVec,
    status_writes: IntCounterVec,
    events: IntCounterVec,
    pod_creation: Histogram,
    /// 1 while this replica leads, else 0.
    pub leader: IntGauge,
}

impl OperatorMetrics {
    /// Metrics at zero. Fails only where a name is taken twice, which a test would see.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        Ok(Self {
            reconciles: registered(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "dojo_operator_reconciles_total",
                        "Looks at an object, by kind and result: `ok` or the category of the failure",
                    ),
                    &["kind", "result"],
                )?,
            )?,
            seconds: registered(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new(
                        "dojo_operator_reconcile_duration_seconds",
                        "Duration of a look at an object, by kind",
                    )
                    .buckets(RECONCILE_SECONDS.to_vec()),
                    &["kind"],
                )?,
            )?,
            status_writes: registered(
                &registry,
                IntCounterVec::new(
                    Opts::new(
                        "dojo_operator_status_writes_total",
                        "Writes of a status, by field manager",
                    ),
                    &["writer"],
                )?,
            )?,
            events: registered(
                &registry,
                IntCounterVec::new(
                    Opts::new("dojo_operator_events_total", "Events, by type and whether they were taken"),
                    &["type", "result"],
                )?,
            )?,
            pod_creation: registered(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new(
                        "dojo_operator_pod_creation_seconds",
                        "Time from an Episode's creation (which the API server gives in whole seconds, cut off) to its first \
                         pod",
                    )
                    .buckets(CREATION_SECONDS.to_vec()),
                )?,
            )?,
            leader: registered(
                &registry,
                IntGauge::new("dojo_operator_leader", "1 while this replica leads, else 0")?,
            )?,
            registry,
        })
    }

    /// Counts a look at an object. `kind` and `result` must come from closed sets.
    pub fn reconciled(&self, kind: &'static str, result: &'static str, duration: Duration) {
        self.reconciles.with_label_values(&[kind, result]).inc();
        self.seconds
            .with_label_values(&[kind])
            .observe(duration.as_secs_f64());
    }

    /// Counts a write of a status. `writer` is the field manager.
    pub fn status_written(&self, writer: &'static str) {
        self.status_writes.with_label_values(&[writer]).inc();
    }

    /// Counts an Event.
    pub fn event(&self, warning: bool, taken: bool) {
        let type_ = if warning { "Warning" } else { "Normal" };
        let result = if taken { "taken" } else { "refused" };
        self.events.with_label_values(&[type_, result]).inc();
    }

    /// Takes the time from an Episode's creation to its first pod.
    pub fn pod_created(&self, seconds: f64) {
        self.pod_creation.observe(seconds);
    }

    /// Everything, in the text format.
    pub fn text(&self) -> Result<Vec<u8>, prometheus::Error> {
        text(&self.registry)
    }
}

fn registered<C: Collector + Clone + 'static>(
    registry: &Registry,
    collector: C,
) -> Result<C, prometheus::Error> {
    registry.register(Box::new(collector.clone()))?;
    Ok(collector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_writes_and_events_are_counted_by_their_kinds() {
        let metrics = OperatorMetrics::new().unwrap();
        metrics.reconciled("Episode", "ok", Duration::from_millis(3));
        metrics.status_written("episode-controller");
        metrics.event(true, false);
        metrics.pod_created(0.4);
        metrics.leader.set(1);
        let text = String::from_utf8(metrics.text().unwrap()).unwrap();
        for line in [
            "dojo_operator_reconciles_total{kind=\"Episode\",result=\"ok\"} 1",
            "dojo_operator_reconcile_duration_seconds_count{kind=\"Episode\"} 1",
            "dojo_operator_status_writes_total{writer=\"episode-controller\"} 1",
            "dojo_operator_events_total{result=\"refused\",type=\"Warning\"} 1",
            "dojo_operator_pod_creation_seconds_bucket{le=\"0.5\"} 1",
            "dojo_operator_leader 1",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
