//! Metrics of a process, in Prometheus' text format. Label values come from closed sets, so that cardinality is fixed.

mod operator;
mod relay;

use prometheus::{Encoder, Registry, TextEncoder};

pub use operator::OperatorMetrics;
pub use relay::RelayMetrics;

/// `Content-Type` of the text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything of a registry, in the text format.
fn text(registry: &Registry) -> Result<Vec<u8>, prometheus::Error> {
    let mut text = Vec::new();
    TextEncoder::new().encode(&registry.gather(), &mut text)?;
    Ok(text)
}
