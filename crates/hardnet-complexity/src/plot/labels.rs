//! Places for labels next to points.

/// A rectangle: left, top, right, bottom.
pub(super) type Area = (f64, f64, f64, f64);

/// Half of a mark's side, with some air.
const MARK: f64 = 6.5;

/// Height of a letter above its baseline, and pixels of its width.
const LETTER: (f64, f64) = (10.0, 7.3);

/// The left end of every label's baseline: next to its point, within `bounds`, and clear of marks and other labels
/// where there is such a place.
pub(super) fn place(points: &[(f64, f64)], labels: &[String], bounds: Area) -> Vec<(f64, f64)> {
    let mut taken: Vec<Area> = points.iter().map(|&(x, y)| (x - MARK, y - MARK, x + MARK, y + MARK)).collect();
    let mut placed = Vec::with_capacity(points.len());
    for (&point, label) in points.iter().zip(labels) {
        let width = LETTER.1 * label.len() as f64;
        let cost = |at: &(f64, f64)| {
            let area = area(*at, width);
            let outside = area.0 < bounds.0 || area.1 < bounds.1 || area.2 > bounds.2 || area.3 > bounds.3;
            taken.iter().map(|other| overlap(area, *other)).sum::<f64>() + if outside { 1e6 } else { 0.0 }
        };
        let candidates = candidates(point, width);
        // The first of the best: candidates are in order of preference.
        let best = candidates.iter().map(|at| (cost(at), *at)).reduce(|a, b| if b.0 < a.0 { b } else { a });
        let best = best.map_or(point, |(_, at)| at);
        taken.push(area(best, width));
        placed.push(best);
    }
    placed
}

/// Places around a point for a label of `width` pixels, the clearest first.
fn candidates((x, y): (f64, f64), width: f64) -> Vec<(f64, f64)> {
    let mut places = Vec::new();
    for distance in [9.0, 13.0, 17.0] {
        let (right, left, center) = (x + distance, x - distance - width, x - width / 2.0);
        let (middle, above, below) = (y + LETTER.0 / 2.0, y - distance, y + distance + LETTER.0);
        places.extend([(right, middle), (left, middle), (center, above), (center, below)]);
        for near in [3.0, -3.0] {
            places.extend([(right - near - 3.0, above + near), (left + near + 3.0, above + near)]);
            places.extend([(right - near - 3.0, below - near), (left + near + 3.0, below - near)]);
        }
    }
    places
}

fn area(at: (f64, f64), width: f64) -> Area {
    (at.0, at.1 - LETTER.0, at.0 + width, at.1 + 1.0)
}

/// The area that both have.
fn overlap(a: Area, b: Area) -> f64 {
    let side = |a: (f64, f64), b: (f64, f64)| (a.1.min(b.1) - a.0.max(b.0)).max(0.0);
    side((a.0, a.2), (b.0, b.2)) * side((a.1, a.3), (b.1, b.3))
}

/// Labels that lie on a mark or on another label.
#[cfg(test)]
pub(super) fn collisions(points: &[(f64, f64)], labels: &[String], placed: &[(f64, f64)]) -> usize {
    let areas: Vec<Area> =
        placed.iter().zip(labels).map(|(&at, label)| area(at, LETTER.1 * label.len() as f64)).collect();
    let others = |at: usize| areas[..at].iter().chain(&areas[at + 1..]).copied();
    let marks = || points.iter().map(|&(x, y)| (x - MARK, y - MARK, x + MARK, y + MARK));
    (0..areas.len()).filter(|&at| others(at).chain(marks()).any(|other| overlap(areas[at], other) > 0.0)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_of_near_points_keep_apart() {
        let points = [(100.0, 100.0), (110.0, 104.0), (125.0, 98.0), (100.0, 120.0), (197.0, 103.0)];
        let labels = ["one", "two", "three", "four", "five"].map(String::from);
        let placed = place(&points, &labels, (0.0, 0.0, 205.0, 200.0));
        assert_eq!(collisions(&points, &labels, &placed), 0, "{placed:?}");
        assert!(placed[4].0 < 180.0, "within the bounds: {placed:?}");
        assert_eq!(collisions(&points, &labels, &[(100.0, 100.0); 5]), 5);
    }
}
