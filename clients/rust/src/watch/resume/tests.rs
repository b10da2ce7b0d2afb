//! The state machine of a watch, step by step.
