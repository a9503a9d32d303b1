//! Words of messages: counts, names that were meant, values of any length, and characters that a terminal would obey.

use std::borrow::Cow;

/// A count with its noun, which has an s unless it is one.
///
/// ```
/// use qgd::words::counted;
/// assert_eq!([counted(1, "trial"), counted(0, "trial"), counted(2, "trial")], ["1 trial", "0 trials", "2 trials"]);
/// ```
pub fn counted(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

/// What to add to an error about a name that is not known: the known name that was probably meant, or nothing.
///
/// ```
/// use qgd::words::meant;
/// assert_eq!(meant("lwo", ["low", "high"]), " (did you mean `low`?)");
/// assert_eq!(meant("colour", ["low", "high"]), "");
/// ```
pub fn meant<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let far = name.chars().count().clamp(3, MAX_LETTERS) / 3;
    let near = known.into_iter().map(|known| (distance(name, known), known)).filter(|(n, _)| *n <= far);
    near.min_by_key(|(n, _)| *n).map_or(String::new(), |(_, known)| format!(" (did you mean `{}`?)", plain(known)))
}

/// Number of letters at the beginning of a name that are compared.
const MAX_LETTERS: usize = 64;

/// Number of characters to insert, remove, replace or exchange with their neighbor to make one word of the other; capital
/// letters are as good as small ones. The optimal string alignment distance (Damerau 1964, 10.1145/363958.363994). Of
/// long words only the beginning is looked at.
fn distance(a: &str, b: &str) -> usize {
    let letters = |text: &str| text.chars().take(MAX_LETTERS).flat_map(char::to_lowercase).collect::<Vec<_>>();
    let (a, b) = (letters(a), letters(b));
    let mut rows = vec![(0..=b.len()).collect::<Vec<_>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(row[j - 1] + 1).min(rows[i - 1][j] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

/// Text in which characters that a terminal would obey are spelled as JSON spells them, `\u001b`; so JSON stays the same
/// JSON. Line ends stay.
///
/// ```
/// assert_eq!(qgd::words::visible("a\x1b[31m\nb"), "a\\u001b[31m\nb");
/// ```
pub fn visible(text: &str) -> Cow<'_, str> {
    spelled(text, |c| c != '\n' && is_obeyed(c))
}

/// The same on one line: line ends and tabs are spelled, too.
///
/// ```
/// assert_eq!(qgd::words::plain("a\nb"), "a\\nb");
/// ```
pub fn plain(text: &str) -> Cow<'_, str> {
    spelled(text, is_obeyed)
}

/// Whether a terminal does something else than to show a character: control characters, and those that turn the
/// direction of writing.
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn spelled(text: &str, is_spelled: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_spelled) {
        return text.into();
    }
    let spell = |c: char| match c {
        c if !is_spelled(c) => c.to_string(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        c => format!("\\u{:04x}", u32::from(c)),
    };
    text.chars().map(spell).collect::<String>().into()
}

/// Number of digits in a row beyond which a message shows only the first ones.
const MAX_DIGITS: usize = 40;

/// Number of characters without a space beyond which a message leaves out the middle: more than a name of a file has.
const MAX_WORD: usize = 300;

/// Number of characters beyond which the rest of a message is left out.
const MAX_MESSAGE: usize = 4000;

/// A message whose values are not longer than a person reads: of very many digits the first are shown, of a very long
/// word both ends.
///
/// ```
/// let text = format!("`x` is {}, but must be 1", "7".repeat(300));
/// assert_eq!(qgd::words::shortened(&text), "`x` is 77777777777777777777... (300 digits), but must be 1");
/// ```
pub fn shortened(message: &str) -> String {
    let digits = runs(
        message,
        |c| c.is_ascii_digit(),
        |run, n| match n > MAX_DIGITS {
            true => format!("{}... ({n} digits)", &run[..20]),
            false => run.to_owned(),
        },
    );
    let words = runs(
        &digits,
        |c| !c.is_whitespace(),
        |run, n| match n > MAX_WORD {
            true => format!("{}...{}", first(run, MAX_WORD / 2), last(run, MAX_WORD / 3)),
            false => run.to_owned(),
        },
    );
    let n = words.chars().count();
    if n <= MAX_MESSAGE { words } else { format!("{}... ({n} characters)", first(&words, MAX_MESSAGE)) }
}

/// The text with each run of characters that `belong` replaced by what `change` makes of it and of its length.
fn runs(text: &str, belongs: impl Fn(char) -> bool, change: impl Fn(&str, usize) -> String) -> String {
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while !rest.is_empty() {
        let (other, begin) = rest.split_at(rest.find(&belongs).unwrap_or(rest.len()));
        let (run, behind) = begin.split_at(begin.find(|c| !belongs(c)).unwrap_or(begin.len()));
        out += other;
        if !run.is_empty() {
            out += &change(run, run.chars().count());
        }
        rest = behind;
    }
    out
}

fn first(text: &str, n: usize) -> String {
    text.chars().take(n).collect()
}

fn last(text: &str, n: usize) -> String {
    text.chars().skip(text.chars().count().saturating_sub(n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_meant_unless_it_is_far() {
        let keys = ["type", "low", "high", "log", "step", "choices", "when"];
        for (name, key) in [("lo", "low"), ("LOW", "low"), ("hihg", "high"), ("choises", "choices"), ("stepp", "step")]
        {
            assert_eq!(meant(name, keys), format!(" (did you mean `{key}`?)"), "{name}");
        }
        for name in ["", "minimum", "xyz", &"low".repeat(1000)] {
            assert_eq!(meant(name, keys), "", "{name}");
        }
        assert_eq!((distance("abcd", "abcd"), distance("", "abc"), distance("kitten", "sitting")), (0, 3, 3));
    }

    #[test]
    fn what_a_terminal_obeys_is_spelled_and_json_stays_the_same() {
        let text = "\u{9b}2J\u{7f}\u{202e}caf\u{e9} \u{1f600}";
        let json = serde_json::to_string(text).unwrap_or_default();
        assert!(!visible(&json).contains(is_obeyed));
        assert_eq!(serde_json::from_str::<String>(&visible(&json)).ok().as_deref(), Some(text));
        assert_eq!(plain("caf\u{e9} \u{1f600}"), "caf\u{e9} \u{1f600}");
        assert_eq!(plain("a\tb\r\n"), "a\\tb\\r\\n");
    }

    #[test]
    fn a_message_is_short_whatever_it_quotes_and_names_of_files_stay() {
        let name = format!("/home/{}/{}", "n".repeat(200), "m".repeat(80));
        assert_eq!(shortened(&name), name);
        assert!(shortened(&"\u{e9}".repeat(100_000)).chars().count() <= MAX_WORD);
        assert!(shortened(&"word ".repeat(100_000)).chars().count() < MAX_MESSAGE + 40);
        assert_eq!(shortened(&format!("a {} b", 1.0e39)), "a 1000000000000000000000000000000000000000 b");
    }
}
