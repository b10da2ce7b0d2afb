//! Tests of watches as a whole.
