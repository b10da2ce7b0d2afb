//! Which known name somebody may have meant.

/// The known name that is most like `name`, and in how many letters they differ.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<(&'a str, usize)> {
    known.map(|known| (known, distance(name, known))).min_by_key(|(_, distance)| *distance)
}

/// Letters to insert, remove, replace, or swap with their neighbour to get from one name to the other.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<char>, Vec<char>) = (from.chars().collect(), to.chars().collect());
    // Three rows of the usual table: row i holds the distances of from[..i] to every to[..j].
    let mut before = Vec::new();
    let mut last: Vec<usize> = (0..=to.len()).collect();
    for i in 1..=from.len() {
        let mut row = vec![i];
        for j in 1..=to.len() {
            let replaced = last[j - 1] + usize::from(from[i - 1] != to[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && from[i - 1] == to[j - 2] && from[i - 2] == to[j - 1] {
                let swapped: &Vec<usize> = &before;
                least = least.min(swapped[j - 2] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_counts_slips_of_the_pen() {
        let check = |from, to, expected| assert_eq!(distance(from, to), expected, "{from} {to}");
        check("http", "http", 0);
        check("htp", "http", 1);
        check("htttp", "http", 1);
        check("hptt", "http", 2);
        check("htpt", "http", 1);
        check("", "grpc", 4);
        check("data_dri", "data_dir", 1);
        assert_eq!(nearest("grcp", ["http", "grpc"].into_iter()), Some(("grpc", 1)));
        assert_eq!(nearest("x", [].into_iter()), None);
    }
}
