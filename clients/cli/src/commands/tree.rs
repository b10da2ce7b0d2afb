//! `tree`.

use clap::Args;
use futures_util::StreamExt as _;
use quorate_client::{Client, TreeNode};

use crate::document::{DataDocument, StatDocument, StatOfPath, ZnodeDocument};
use crate::exit::Failure;
use crate::printer::Printer;
use crate::text;

pub(crate) const EXAMPLES: &str = "\
Examples:
  quorate tree
  quorate tree /app --depth 2
  quorate tree /app --data";

/// Characters of data that are drawn beside a name.
const DATA_CHARS_MAX: usize = 60;

/// The arguments of `tree`.
#[derive(Args, Debug)]
pub struct Tree {
    /// The top
    #[arg(default_value = "/")]
    path: String,

    /// Not deeper than so many levels below the top
    #[arg(short, long, value_name = "LEVELS")]
    depth: Option<usize>,

    /// With data, as far as it is text
    #[arg(long)]
    data: bool,
}

impl Tree {
    pub(crate) async fn run(self, client: &Client, printer: &mut Printer) -> Result<(), Failure> {
        let request = client.stream_tree(&self.path);
        let mut tree = if self.data { request.with_data() } else { request }.await?;
        let top = text::depth_of(&self.path);
        let mut rows = Vec::new();
        let mut znodes = 0_u64;
        while let Some(node) = tree.next().await {
            let node = node?;
            znodes += 1;
            let level = text::depth_of(&node.path).saturating_sub(top);
            if self.depth.is_some_and(|deepest| level > deepest) {
                continue;
            }
            if printer.is_json() {
                self.print_json(&node, printer)?;
                continue;
            }
            let name = if level == 0 { &*node.path } else { text::name_of(&node.path) };
            rows.push(Row { level, label: self.label(name, &node) });
        }
        if printer.is_json() {
            return Ok(());
        }
        draw(&rows).try_for_each(|line| printer.line(&line))?;
        printer.flush()?;
        if printer.is_terminal() {
            eprintln!("\n{znodes} znode{}", if znodes == 1 { "" } else { "s" });
        }
        Ok(())
    }

    fn print_json(&self, node: &TreeNode, printer: &mut Printer) -> Result<(), Failure> {
        let stat = StatDocument::from(&node.stat);
        if self.data {
            return printer.json(&ZnodeDocument {
                path: &node.path,
                data: DataDocument::new(node.data.as_ref()),
                stat,
            });
        }
        printer.json(&StatOfPath { path: &node.path, created: None, stat })
    }

    fn label(&self, name: &str, node: &TreeNode) -> String {
        let mut label = name.to_owned();
        if node.stat.is_ephemeral() {
            label.push_str(" (ephemeral)");
        }
        let Some(data) = node.data.as_ref().filter(|_| self.data) else { return label };
        let text = match std::str::from_utf8(data) {
            Ok(text) if text.chars().count() > DATA_CHARS_MAX => {
                format!("{:?}..", text.chars().take(DATA_CHARS_MAX).collect::<String>())
            }
            Ok(text) => format!("{text:?}"),
            Err(_) => format!("({} bytes)", data.len()),
        };
        label.push_str(" = ");
        label.push_str(&text);
        label
    }
}

/// One znode of a drawing: a parent comes before its children.
struct Row {
    level: usize,
    label: String,
}

/// The lines of a drawing.
fn draw(rows: &[Row]) -> impl Iterator<Item = String> {
    // Seen from its end, a row is the last of its level unless one of that level came before one above it.
    let mut is_last = vec![true; rows.len()];
    let mut open = Vec::new();
    for (at, row) in rows.iter().enumerate().rev() {
        open.resize(row.level + 1, false);
        is_last[at] = !std::mem::replace(&mut open[row.level], true);
    }
    let mut ancestors: Vec<bool> = Vec::new();
    rows.iter().zip(is_last).map(move |(row, is_last)| {
        ancestors.truncate(row.level);
        ancestors.resize(row.level, true);
        let mut line = String::new();
        for is_last in ancestors.iter().skip(1) {
            line.push_str(if *is_last { "    " } else { "│   " });
        }
        if row.level > 0 {
            line.push_str(if is_last { "└── " } else { "├── " });
        }
        ancestors.push(is_last);
        line.push_str(&row.label);
        line
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_drawn_with_its_branches() {
        let row = |(level, label): &(usize, &str)| Row { level: *level, label: (*label).to_owned() };
        let rows: Vec<Row> =
            [(0, "/"), (1, "a"), (2, "b"), (3, "c"), (2, "d"), (1, "e"), (2, "f")].iter().map(row).collect();
        let drawing: Vec<String> = draw(&rows).collect();
        let expected = ["/", "├── a", "│   ├── b", "│   │   └── c", "│   └── d", "└── e", "    └── f"];
        assert_eq!(drawing, expected);
    }
}
