//! One line of comma-separated values, as RFC 4180 and spreadsheets write them. Fields do not hold line ends.

use std::borrow::Cow;

/// The fields of a line without blanks around them; `None` if a quote is not closed or stands inside a field.
pub(super) fn fields(line: &str) -> Option<Vec<Cow<'_, str>>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, behind) = match rest.trim_start().strip_prefix('"') {
            Some(quoted) => {
                let (field, behind) = quoted_field(quoted)?;
                let behind = behind.trim_start();
                match behind.strip_prefix(',') {
                    Some(behind) => (field, Some(behind)),
                    None if behind.is_empty() => (field, None),
                    None => return None,
                }
            }
            None => {
                let (field, behind) = match rest.split_once(',') {
                    Some((field, behind)) => (field, Some(behind)),
                    None => (rest, None),
                };
                if field.contains('"') {
                    return None;
                }
                (field.trim().into(), behind)
            }
        };
        fields.push(field);
        match behind {
            Some(behind) => rest = behind,
            None => return Some(fields),
        }
    }
}

/// A field after its opening quote, where two quotes stand for one, and what is after its closing quote.
fn quoted_field(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut end = text.find('"')?;
    if !text[end + 1..].starts_with('"') {
        return Some((text[..end].trim().into(), &text[end + 1..]));
    }
    let (mut field, mut start) = (String::new(), 0);
    loop {
        field.push_str(&text[start..end]);
        if !text[end + 1..].starts_with('"') {
            return Some((field.trim().to_owned().into(), &text[end + 1..]));
        }
        field.push('"');
        start = end + 2;
        end = start + text[start..].find('"')?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_hold_commas_and_quotes() {
        let table: &[(&str, Option<&[&str]>)] = &[
            ("", Some(&[""])),
            ("a", Some(&["a"])),
            (" a , b ", Some(&["a", "b"])),
            ("a,b,", Some(&["a", "b", ""])),
            ("\"tench, Tinca tinca\",0", Some(&["tench, Tinca tinca", "0"])),
            (" \"a\" , \" b \" ", Some(&["a", "b"])),
            ("\"\"", Some(&[""])),
            ("\"say \"\"ah\"\"\",1", Some(&["say \"ah\"", "1"])),
            ("\"\"\"\"", Some(&["\""])),
            ("\"a\"\"", None),
            ("\"a", None),
            ("\"a\"b", None),
            ("a\"b", None),
            ("12\" disc,3", None),
        ];
        for (line, expected) in table {
            let found = fields(line);
            assert_eq!(
                found.as_deref(),
                expected.map(|fields| fields.iter().map(|&f| f.into()).collect::<Vec<Cow<str>>>()).as_deref(),
                "{line:?}"
            );
        }
    }
}
