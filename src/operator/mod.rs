//! The operator: effects against the API server around the pure decisions of [`crate::plan`].
