//! `--class-weights`.

use std::collections::HashMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use hardnet_base::{TextLines, excerpt};
use hardnet_train::ClassWeights;

use crate::failure::{Failure, Hinted, Result};

/// The longest file of weights; a line for each class of ImageNet-21k is below 1 MB.
const MAX_BYTES: u64 = 16 << 20;

/// The value of `--class-weights`.
#[derive(Clone, Debug)]
pub(super) enum ClassWeightsArg {
    Balanced,
    File(PathBuf),
}

impl FromStr for ClassWeightsArg {
    type Err = Infallible;

    fn from_str(text: &str) -> std::result::Result<Self, Infallible> {
        Ok(if text == "balanced" { Self::Balanced } else { Self::File(text.into()) })
    }
}

impl ClassWeightsArg {
    /// The weights of `classes` classes with these names.
    pub(super) fn resolve(&self, classes: usize, names: Option<&[String]>) -> Result<ClassWeights> {
        match self {
            Self::Balanced => Ok(ClassWeights::Balanced),
            Self::File(path) => {
                let lines =
                    read(path).hint(|| "pass balanced, or a file with a line `name,weight` for each class".into())?;
                Ok(ClassWeights::Values(parse(path, lines.iter().map(String::as_str), classes, names)?))
            }
        }
    }
}

/// The lines of a text in UTF-8, or in UTF-16 with a byte order mark.
fn read(path: &Path) -> Result<Vec<String>> {
    let fail = |error| anyhow::Error::from(error).context(format!("cannot read `{}`", path.display()));
    let mut text = TextLines::open(path, MAX_BYTES).map_err(fail)?;
    let mut lines = Vec::new();
    while let Some((_, line)) = text.next_line().map_err(fail)? {
        lines.push(line.to_owned());
    }
    Ok(lines)
}

/// The weights of the lines of `path`, in class order.
fn parse<'a>(
    path: &Path,
    lines: impl IntoIterator<Item = &'a str>,
    classes: usize,
    names: Option<&[String]>,
) -> Result<Vec<f64>> {
    let lines = lines.into_iter().map(str::trim).zip(1usize..).filter(|(line, _)| !line.is_empty());
    let mut lines: Vec<(&str, usize)> = lines.collect();
    let fail = |line: usize, what: String| Failure::message(format!("`{}`, line {line}: {what}", path.display()));
    let number = |text: &str, line: usize| {
        let weight = text.trim().parse().ok().filter(|&weight: &f64| weight.is_finite() && weight > 0.0);
        weight.ok_or_else(|| fail(line, format!("`{}` is not a weight, expected a number above 0", excerpt(text))))
    };
    if !lines.iter().any(|(line, _)| line.contains(',')) {
        let weights = lines.iter().map(|&(text, line)| number(text, line)).collect::<Result<Vec<_>>>()?;
        let found = weights.len();
        if found != classes {
            let path = path.display();
            return Err(Failure::message(format!(
                "`{path}` has {found} weights, expected one for each of {classes} classes"
            )));
        }
        return Ok(weights);
    }
    let Some(names) = names else {
        return Err(Failure::message(format!("`{}` names classes, but the classes have no names", path.display()))
            .hint("write one weight per line in class order, or pass the names with --labels"));
    };
    if let Some(&(first, _)) = lines.first()
        && first
            .rsplit_once(',')
            .is_some_and(|(name, weight)| weight.trim() == "weight" && index(names, name).is_none())
    {
        lines.remove(0);
    }
    let mut weights: HashMap<usize, (f64, usize)> = HashMap::new();
    for (text, line) in lines {
        let (name, weight) = text
            .rsplit_once(',')
            .ok_or_else(|| fail(line, format!("`{}` has no comma, expected `name,weight`", excerpt(text))))?;
        let class = index(names, name.trim()).ok_or_else(|| {
            fail(line, format!("`{}` is not a class, expected one of {}", excerpt(name), some(names)))
        })?;
        if let Some((_, first)) = weights.insert(class, (number(weight, line)?, line)) {
            return Err(fail(line, format!("`{}` has a weight in line {first} already", excerpt(name))));
        }
    }
    let weight = |(class, name): (usize, &String)| match weights.get(&class) {
        Some(&(weight, _)) => Ok(weight),
        None => {
            let path = path.display();
            Err(Failure::message(format!("`{path}` has no weight for the class `{}`", excerpt(name))))
        }
    };
    names.iter().enumerate().map(weight).collect()
}

/// The class of that name; a folder cannot have the `/` of a name, so `-` and `_` stand for it.
fn index(names: &[String], name: &str) -> Option<usize> {
    let exact = names.iter().position(|other| other == name);
    exact.or_else(|| names.iter().position(|other| other.replace('/', "-") == name || other.replace('/', "_") == name))
}

/// The first names, for a message.
fn some(names: &[String]) -> String {
    const QUOTED: usize = 5;
    let mut text: Vec<_> = names.iter().take(QUOTED).map(|name| format!("`{}`", excerpt(name))).collect();
    if names.len() > QUOTED {
        text.push("...".into());
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weights(text: &str) -> std::result::Result<Vec<f64>, String> {
        let names = ["T-shirt/top", "Trouser, long", "Coat"].map(String::from);
        parse(Path::new("weights.txt"), text.lines(), 3, Some(&names)).map_err(|failure| failure.error.to_string())
    }

    #[test]
    fn weights_are_named_or_in_class_order() {
        assert_eq!(weights("1\n2.5\n\n0.5\n"), Ok(vec![1.0, 2.5, 0.5]));
        let named = "class,weight\r\nCoat, 0.5\r\nT-shirt-top,1\r\nTrouser, long,2.5\r\n";
        assert_eq!(weights(named), Ok(vec![1.0, 2.5, 0.5]));
    }

    #[test]
    fn wrong_weights_are_named_with_their_line() {
        for (text, message) in [
            ("1\n2", "`weights.txt` has 2 weights, expected one for each of 3 classes"),
            ("1\nx\n2", "`weights.txt`, line 2: `x` is not a weight, expected a number above 0"),
            ("1\n0\n2", "`weights.txt`, line 2: `0` is not a weight, expected a number above 0"),
            ("1\ninf\n2", "`weights.txt`, line 2: `inf` is not a weight, expected a number above 0"),
            (
                "Hat,1",
                "`weights.txt`, line 1: `Hat` is not a class, expected one of `T-shirt/top`, `Trouser, long`, `Coat`",
            ),
            ("Coat,1\nCoat,2", "`weights.txt`, line 2: `Coat` has a weight in line 1 already"),
            ("Coat,1\nCoat", "`weights.txt`, line 2: `Coat` has no comma, expected `name,weight`"),
            ("Coat,1\nT-shirt/top,1", "`weights.txt` has no weight for the class `Trouser, long`"),
        ] {
            assert_eq!(weights(text), Err(message.into()), "{text:?}");
        }
        let unnamed = parse(Path::new("w"), ["a,1"], 1, None).unwrap_err();
        assert_eq!(unnamed.error.to_string(), "`w` names classes, but the classes have no names");
    }
}
