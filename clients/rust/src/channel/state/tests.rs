//! The calls of a Channel, step by step.
