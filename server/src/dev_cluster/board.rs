//! `Board`: the state of all servers, on a terminal as a table that is drawn anew, elsewhere as lines about what changed.

use std::io::{self, Write};

use quorate_client::{Role, Status};

/// One server as it was found.
pub(crate) struct Row {
    pub(crate) server: u8,
    pub(crate) condition: Condition,
}

/// How a server is.
pub(crate) enum Condition {
    Alive(Box<Status>),
    /// There is a process, and it does not answer.
    Silent,
    /// There is none, for this reason.
    Dead(String),
}

impl Row {
    pub(super) fn is_dead(&self) -> bool {
        matches!(self.condition, Condition::Dead(_))
    }

    pub(super) fn is_leading(&self) -> bool {
        self.status().is_some_and(|status| status.header.role == Role::Leading)
    }

    pub(super) fn is_serving(&self) -> bool {
        self.status().is_some_and(|status| status.serving)
    }

    /// In a few words.
    pub(super) fn condition(&self) -> String {
        match &self.condition {
            Condition::Dead(how) => how.clone(),
            Condition::Silent => "does not answer".to_owned(),
            Condition::Alive(status) if status.serving => status.header.role.as_str().to_owned(),
            Condition::Alive(status) => format!("{}, not serving", status.header.role.as_str()),
        }
    }

    fn status(&self) -> Option<&Status> {
        match &self.condition {
            Condition::Alive(status) => Some(status),
            Condition::Silent | Condition::Dead(_) => None,
        }
    }
}

/// What was shown last.
pub(super) struct Board {
    is_terminal: bool,
    /// Lines of the table that is on the terminal.
    lines: usize,
    /// What was last said of each server.
    said: Vec<String>,
}

impl Board {
    pub(super) fn new(is_terminal: bool) -> Board {
        Board { is_terminal, lines: 0, said: Vec::new() }
    }

    /// Shows how the servers are.
    pub(super) fn show(&mut self, rows: &[Row], out: &mut impl Write) -> io::Result<()> {
        if self.is_terminal { self.draw(rows, out) } else { self.tell(rows, out) }
    }

    /// Draws the table over the one before.
    fn draw(&mut self, rows: &[Row], out: &mut impl Write) -> io::Result<()> {
        if self.lines > 0 {
            write!(out, "\x1b[{}A", self.lines)?;
        }
        writeln!(
            out,
            "\x1b[2K  server  {:<28} {:>5}  {:<14} {:>8} {:>9} {:>8}",
            "", "epoch", "zxid", "behind", "znodes", "sessions"
        )?;
        let newest = rows.iter().filter_map(Row::status).map(|status| status.header.zxid).max().unwrap_or(0);
        for row in rows {
            write!(out, "\x1b[2K  {:>6}  {:<28}", row.server, row.condition())?;
            if let Some(Status { header, znodes, sessions, .. }) = row.status() {
                let (zxid, behind) = (format!("{:#x}", header.zxid), behind(newest, header.zxid));
                write!(out, " {:>5}  {zxid:<14} {behind:>8} {znodes:>9} {sessions:>8}", header.epoch)?;
            }
            writeln!(out)?;
        }
        self.lines = rows.len() + 1;
        out.flush()
    }

    /// Says what is new.
    fn tell(&mut self, rows: &[Row], out: &mut impl Write) -> io::Result<()> {
        self.said.resize(rows.len(), String::new());
        for (row, said) in rows.iter().zip(&mut self.said) {
            let epoch = row.status().map(|status| format!(" in epoch {}", status.header.epoch)).unwrap_or_default();
            let now = format!("{}{epoch}", row.condition());
            if *said != now {
                writeln!(out, "server {}: {now}", row.server)?;
                *said = now;
            }
        }
        out.flush()
    }
}

/// Txns between two states; in different epochs nobody can tell from the zxids.
fn behind(newest: u64, zxid: u64) -> String {
    match newest >> 32 == zxid >> 32 {
        true => (newest - zxid).to_string(),
        false => "epochs".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_client::Header;

    fn alive(server: u8, role: Role, epoch: u32, zxid: u64) -> Row {
        let header = Header { role, epoch, zxid, ..Header::default() };
        Row { server, condition: Condition::Alive(Box::new(Status { header, serving: true, ..Status::default() })) }
    }

    fn shown(board: &mut Board, rows: &[Row]) -> String {
        let mut out = Vec::new();
        board.show(rows, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn away_from_a_terminal_only_changes_are_told() {
        let mut board = Board::new(false);
        let mut rows = [alive(1, Role::Leading, 1, 7), alive(2, Role::Following, 1, 7)];
        assert_eq!(shown(&mut board, &rows), "server 1: leading in epoch 1\nserver 2: following in epoch 1\n");
        assert_eq!(shown(&mut board, &rows), "");
        rows[0].condition = Condition::Dead("was killed by signal 9".to_owned());
        assert_eq!(shown(&mut board, &rows), "server 1: was killed by signal 9\n");
    }

    #[test]
    fn on_a_terminal_the_table_is_drawn_over_itself() {
        let mut board = Board::new(true);
        let rows = [alive(1, Role::Leading, 2, 0x2_0000_0009), alive(2, Role::Following, 2, 0x2_0000_0007)];
        let first = shown(&mut board, &rows);
        assert!(!first.contains("\x1b[3A") && first.contains("0x200000007") && first.contains(" 2 "), "{first}");
        assert!(shown(&mut board, &rows).starts_with("\x1b[3A"));
    }
}
