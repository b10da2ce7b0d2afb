//! Quorate's command line: create, get, set, ls, watch, export and the rest of the client's commands.
