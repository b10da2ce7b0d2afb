//! Properties that hold of every history.
