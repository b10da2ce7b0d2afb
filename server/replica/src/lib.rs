//! Quorate's deterministic core: one server's agreement, state, sessions, watches and request pipeline, without I/O.
