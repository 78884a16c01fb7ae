//! Patterns with braces, as a shell expands them.

use hardnet_base::excerpt;

/// The most tar files of a pattern.
pub const MAX_TARS: usize = 1 << 20;

/// Error of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// A brace without its other one.
    #[error("`{pattern}` has a brace that is not closed")]
    Open {
        /// The pattern, shortened to 80 characters.
        pattern: String,
    },
    /// Braces hold neither a range nor alternatives.
    #[error("`{{{group}}}` in a pattern is neither a range, such as `{{000..099}}`, nor a choice, such as `{{a,b}}`")]
    Group {
        /// The text between the braces, shortened to 80 characters.
        group: String,
    },
    /// A range ends before it begins.
    #[error("`{{{group}}}` in a pattern ends before it begins")]
    Backwards {
        /// The text between the braces.
        group: String,
    },
    /// A pattern of too many names.
    #[error("`{pattern}` stands for more than {limit} names")]
    TooMany {
        /// The pattern, shortened to 80 characters.
        pattern: String,
        /// The most accepted, [`MAX_TARS`].
        limit: usize,
    },
}

/// Returns the names that `pattern` stands for: `{08..11}` for the numbers 08, 09, 10 and 11, `{a,b}` for a and b. With
/// several pairs of braces the last one runs fastest.
///
/// ```
/// let names = hardnet_data::expand_braces("{train,val}-{9..10}.tar")?;
/// assert_eq!(names, ["train-9.tar", "train-10.tar", "val-9.tar", "val-10.tar"]);
/// # Ok::<(), hardnet_data::PatternError>(())
/// ```
///
/// # Errors
///
/// A [`PatternError`] if braces are not closed, hold something else, or if there are more than [`MAX_TARS`] names.
pub fn expand_braces(pattern: &str) -> Result<Vec<String>, PatternError> {
    let mut names = vec![String::new()];
    let mut rest = pattern;
    let open = || PatternError::Open { pattern: excerpt(pattern) };
    while let Some(brace) = rest.find(['{', '}']) {
        let (before, after) = rest.split_at(brace);
        let (group, behind) = after.strip_prefix('{').and_then(|after| after.split_once('}')).ok_or_else(open)?;
        if group.contains('{') {
            return Err(open());
        }
        let too_many = || PatternError::TooMany { pattern: excerpt(pattern), limit: MAX_TARS };
        let choices = choices(group, MAX_TARS / names.len())?.ok_or_else(too_many)?;
        names =
            names.iter().flat_map(|name| choices.iter().map(move |choice| format!("{name}{before}{choice}"))).collect();
        rest = behind;
    }
    names.iter_mut().for_each(|name| name.push_str(rest));
    Ok(names)
}

/// The alternatives of a pair of braces, `None` if there are more than `most`.
fn choices(group: &str, most: usize) -> Result<Option<Vec<String>>, PatternError> {
    let wrong = || PatternError::Group { group: excerpt(group) };
    let choices = if group.contains(',') {
        group.split(',').map(Into::into).collect()
    } else {
        let (first, last) = group.split_once("..").ok_or_else(wrong)?;
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(first) || !digits(last) {
            return Err(wrong());
        }
        let number = |text: &str| text.parse::<u64>().map_err(|_| wrong());
        let (low, high) = (number(first)?, number(last)?);
        if high < low {
            return Err(PatternError::Backwards { group: excerpt(group) });
        }
        if high - low >= most as u64 {
            return Ok(None);
        }
        // As a shell: zeros in front of either number give all of them the same width.
        let is_padded = [first, last].into_iter().any(|text| text.len() > 1 && text.starts_with('0'));
        let width = if is_padded { first.len().max(last.len()) } else { 0 };
        (low..=high).map(|number| format!("{number:0width$}")).collect::<Vec<String>>()
    };
    Ok(Some(choices).filter(|choices| choices.len() <= most))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `bash -c 'echo PATTERN'`.
    #[test]
    fn patterns_are_expanded_as_bash_does() {
        let cases: [(&str, &[&str]); 7] = [
            ("a.tar", &["a.tar"]),
            ("a-{0..2}.tar", &["a-0.tar", "a-1.tar", "a-2.tar"]),
            ("{08..11}", &["08", "09", "10", "11"]),
            ("{8..011}", &["008", "009", "010", "011"]),
            ("{00..0}x", &["00x"]),
            ("{a,b,}-{1..2}", &["a-1", "a-2", "b-1", "b-2", "-1", "-2"]),
            ("{7..7}{9..10}", &["79", "710"]),
        ];
        for (pattern, expected) in cases {
            assert_eq!(expand_braces(pattern).unwrap(), expected, "{pattern}");
        }
        assert_eq!(expand_braces("t-{000000..000099}.tar").unwrap()[99], "t-000099.tar");
    }

    #[test]
    fn wrong_and_huge_patterns_are_errors() {
        for pattern in ["{", "}", "a{0..1", "a}0{", "{0..{1..2}}"] {
            assert!(matches!(expand_braces(pattern), Err(PatternError::Open { .. })), "{pattern}");
        }
        for pattern in ["{}", "{a}", "{1}", "{1..}", "{..1}", "{a..b}", "{-1..1}", "{1..99999999999999999999999}"] {
            assert!(matches!(expand_braces(pattern), Err(PatternError::Group { .. })), "{pattern}");
        }
        assert!(matches!(expand_braces("{2..1}"), Err(PatternError::Backwards { .. })));
        for pattern in ["{0..18446744073709551615}", "{0..1048576}", "{0..1023}{0..1024}", "{0..1048575}{a,b}"] {
            assert!(matches!(expand_braces(pattern), Err(PatternError::TooMany { .. })), "{pattern}");
        }
        assert_eq!(expand_braces("{0..1048575}").unwrap().len(), MAX_TARS);
    }
}
