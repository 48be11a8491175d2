//! The table that `kubectl get` would print, from the printer columns of the CRD.

use jiff::Timestamp;
use kube::CustomResourceExt;
use serde::Serialize;

/// A table of text.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Table {
    /// Headings in capitals, `NAME` first.
    pub columns: Vec<String>,
    /// One row for each resource, one cell for each column.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    /// Lined-up text as `kubectl` prints it: columns three spaces apart, each line ended by a newline.
    #[allow(clippy::unimplemented)]
    pub fn render(&self) -> String {
        unimplemented!()
    }
}

/// The table of these resources at `now`; `wide` as with `kubectl get -o wide`.
#[allow(clippy::unimplemented)]
pub fn table<K: CustomResourceExt + Serialize>(_resources: &[K], _now: Timestamp, _wide: bool) -> Table {
    unimplemented!()
}
