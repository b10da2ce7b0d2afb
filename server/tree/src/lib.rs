//! Quorate's replicated state: the tree of znodes and the sessions, identical on every server at a zxid.
