//! What may come next in a line: a word of the shell, a flag, or the path of a znode.

use clap::Command;

/// More are not shown: whoever wants all types `ls`.
pub(crate) const CANDIDATES_MAX: usize = 200;

/// Where what is completed begins in the line, and what may stand there.
///
/// `children` tells the names of a znode's children that begin with a prefix; it may know none.
pub(crate) fn complete(
    shell: &Command,
    line: &str,
    children: impl Fn(&str, &str) -> Vec<String>,
) -> (usize, Vec<String>) {
    let start = line.rfind(char::is_whitespace).map_or(0, |at| at + 1);
    let (before, word) = line.split_at(start);
    let Some(first) = before.split_whitespace().next() else {
        return (start, beginning_with(word, shell.get_subcommands().flat_map(Command::get_name_and_visible_aliases)));
    };
    if word.starts_with('-') {
        let command = shell.find_subcommand(first);
        let flags = command.into_iter().flat_map(Command::get_arguments).filter_map(|flag| flag.get_long());
        return (start, beginning_with(word, flags.map(|flag| format!("--{flag}"))));
    }
    if first == "help" {
        return (start, beginning_with(word, shell.get_subcommands().map(Command::get_name)));
    }
    let Some(slash) = word.rfind('/').filter(|_| word.starts_with('/')) else { return (start, Vec::new()) };
    let parent = if slash == 0 { "/" } else { &word[..slash] };
    let prefix = &word[slash + 1..];
    // A name that has to be quoted is not offered: what is typed so far is not.
    let is_plain = |name: &String| shell_words::quote(name) == name.as_str();
    let mut names: Vec<String> = children(parent, prefix).into_iter().filter(is_plain).collect();
    names.truncate(CANDIDATES_MAX);
    (start + slash + 1, beginning_with(prefix, names))
}

fn beginning_with<N: AsRef<str>>(prefix: &str, names: impl IntoIterator<Item = N>) -> Vec<String> {
    let mut fitting: Vec<String> =
        names.into_iter().map(|name| name.as_ref().to_owned()).filter(|name| name.starts_with(prefix)).collect();
    fitting.sort_unstable();
    fitting
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::shell::line::Line;

    fn children(parent: &str, prefix: &str) -> Vec<String> {
        let all: &[&str] = match parent {
            "/" => &["app", "apple", "two words", "zoo"],
            "/app" => &["config", "locks"],
            _ => &[],
        };
        all.iter().filter(|name| name.starts_with(prefix)).map(ToString::to_string).collect()
    }

    fn completed(line: &str) -> (usize, Vec<String>) {
        complete(&Line::command(), line, children)
    }

    #[test]
    fn words_flags_and_paths_are_completed() {
        assert_eq!(completed("cre"), (0, vec!["create".to_owned()]));
        assert_eq!(completed("get /a"), (5, vec!["app".to_owned(), "apple".to_owned()]));
        assert_eq!(completed("get /app/"), (9, vec!["config".to_owned(), "locks".to_owned()]));
        assert_eq!(completed("get -s /app/c"), (12, vec!["config".to_owned()]));
        assert_eq!(completed("create /a --eph"), (10, vec!["--ephemeral".to_owned()]));
        assert_eq!(completed("help setA"), (5, vec!["setAcl".to_owned()]));
        assert_eq!(completed("get relative"), (4, Vec::new()));
        assert_eq!(completed("get /two"), (5, Vec::new()));
        assert_eq!(completed("frobnicate --"), (11, Vec::new()));
        assert!(completed("").1.contains(&"quit".to_owned()) && completed("ex").1 == ["exit", "export"]);
    }
}
