//! The points at which filters are evaluated, which decide cost and rounding error.

use hardnet_simd::Simd;

/// One-dimensional transforms with `A` points for `M` outputs of a filter of 3 taps.
pub(crate) trait Points<const A: usize, const M: usize> {
    /// What an input's `A` values become.
    fn input<S: Simd>(s: S, d: [S::V; A]) -> [S::V; A];

    /// The `M` outputs of `A` products.
    fn output<S: Simd>(s: S, m: [S::V; A]) -> [S::V; M];

    /// What a filter's 3 taps become.
    fn weights<S: Simd>(s: S, w: [S::V; 3]) -> [S::V; A];

    /// The matrix, `[A, 3]`, that the filter's taps are multiplied by.
    const WEIGHTS: [[f64; 3]; A];
}

/// Two outputs; points 0, 1, -1 and infinity.
pub(crate) struct Two;

impl Points<4, 2> for Two {
    #[inline(always)]
    fn input<S: Simd>(s: S, d: [S::V; 4]) -> [S::V; 4] {
        [s.sub(d[0], d[2]), s.add(d[1], d[2]), s.sub(d[2], d[1]), s.sub(d[3], d[1])]
    }

    #[inline(always)]
    fn output<S: Simd>(s: S, m: [S::V; 4]) -> [S::V; 2] {
        let (sum, difference) = (s.add(m[1], m[2]), s.sub(m[1], m[2]));
        [s.add(m[0], sum), s.add(difference, m[3])]
    }

    #[inline(always)]
    fn weights<S: Simd>(s: S, w: [S::V; 3]) -> [S::V; 4] {
        let half = s.splat(0.5);
        let even = s.mul(half, s.add(w[0], w[2]));
        [w[0], s.fma(half, w[1], even), s.fnma(half, w[1], even), w[2]]
    }

    const WEIGHTS: [[f64; 3]; 4] = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]];
}

/// Four outputs; points 0, 5/8, -5/8, 3/2, -3/2 and infinity. Every constant of the transforms is exact in f32, and the error
/// is less than half of that of the usual points 0, 1, -1, 2, -2 and infinity.
pub(crate) struct Four;

const P: f32 = 0.625;
const Q: f32 = 1.5;

impl Points<6, 4> for Four {
    #[inline(always)]
    fn input<S: Simd>(s: S, d: [S::V; 6]) -> [S::V; 6] {
        let (p, q) = (s.splat(P), s.splat(Q));
        let (p2, q2) = (s.splat(P * P), s.splat(Q * Q));
        let (product, sum) = (s.splat(P * P * Q * Q), s.splat(P * P + Q * Q));
        let even_p = s.fnma(q2, d[2], d[4]);
        let odd_p = s.mul(p, s.fnma(q2, d[1], d[3]));
        let even_q = s.fnma(p2, d[2], d[4]);
        let odd_q = s.mul(q, s.fnma(p2, d[1], d[3]));
        [
            s.fma(product, d[0], s.fnma(sum, d[2], d[4])),
            s.add(even_p, odd_p),
            s.sub(even_p, odd_p),
            s.add(even_q, odd_q),
            s.sub(even_q, odd_q),
            s.fma(product, d[1], s.fnma(sum, d[3], d[5])),
        ]
    }

    #[inline(always)]
    fn output<S: Simd>(s: S, m: [S::V; 6]) -> [S::V; 4] {
        let (p, q) = (s.splat(P), s.splat(Q));
        let (p2, q2) = (s.splat(P * P), s.splat(Q * Q));
        let (p3, q3) = (s.splat(P * P * P), s.splat(Q * Q * Q));
        let (sum_p, difference_p) = (s.add(m[1], m[2]), s.sub(m[1], m[2]));
        let (sum_q, difference_q) = (s.add(m[3], m[4]), s.sub(m[3], m[4]));
        [
            s.add(m[0], s.add(sum_p, sum_q)),
            s.fma(p, difference_p, s.mul(q, difference_q)),
            s.fma(p2, sum_p, s.mul(q2, sum_q)),
            s.add(s.fma(p3, difference_p, s.mul(q3, difference_q)), m[5]),
        ]
    }

    #[inline(always)]
    fn weights<S: Simd>(s: S, w: [S::V; 3]) -> [S::V; 6] {
        const ZERO: f32 = <Four as Points<6, 4>>::WEIGHTS[0][0] as f32;
        const EVEN_P: [f32; 2] =
            [<Four as Points<6, 4>>::WEIGHTS[1][0] as f32, <Four as Points<6, 4>>::WEIGHTS[1][2] as f32];
        const ODD_P: f32 = <Four as Points<6, 4>>::WEIGHTS[1][1] as f32;
        const EVEN_Q: [f32; 2] =
            [<Four as Points<6, 4>>::WEIGHTS[3][0] as f32, <Four as Points<6, 4>>::WEIGHTS[3][2] as f32];
        const ODD_Q: f32 = <Four as Points<6, 4>>::WEIGHTS[3][1] as f32;
        let even_p = s.fma(s.splat(EVEN_P[0]), w[0], s.mul(s.splat(EVEN_P[1]), w[2]));
        let even_q = s.fma(s.splat(EVEN_Q[0]), w[0], s.mul(s.splat(EVEN_Q[1]), w[2]));
        let odd_p = s.mul(s.splat(ODD_P), w[1]);
        let odd_q = s.mul(s.splat(ODD_Q), w[1]);
        [
            s.mul(s.splat(ZERO), w[0]),
            s.add(even_p, odd_p),
            s.sub(even_p, odd_p),
            s.add(even_q, odd_q),
            s.sub(even_q, odd_q),
            w[2],
        ]
    }

    const WEIGHTS: [[f64; 3]; 6] = {
        const P: f64 = 0.625;
        const Q: f64 = 1.5;
        // The products of the differences of each point and the others.
        let zero = P * P * Q * Q;
        let p = 2.0 * P * P * (P * P - Q * Q);
        let q = 2.0 * Q * Q * (Q * Q - P * P);
        [
            [1.0 / zero, 0.0, 0.0],
            [1.0 / p, P / p, P * P / p],
            [1.0 / p, -P / p, P * P / p],
            [1.0 / q, Q / q, Q * Q / q],
            [1.0 / q, -Q / q, Q * Q / q],
            [0.0, 0.0, 1.0],
        ]
    };
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardnet_simd::Portable;

    /// The vectorised transform of weights is the product with the matrix.
    #[test]
    fn weights_are_transformed_by_the_matrix() {
        fn check<P: Points<A, M>, const A: usize, const M: usize>() {
            let s = Portable;
            for tap in 0..3 {
                let weights = std::array::from_fn(|at| s.splat(f32::from(u8::from(at == tap))));
                for (point, found) in P::weights(s, weights).into_iter().enumerate() {
                    let mut lanes = [0.0; hardnet_simd::LANES];
                    // SAFETY: there is room for a vector.
                    unsafe { s.store(lanes.as_mut_ptr(), found) };
                    assert_eq!(lanes, [P::WEIGHTS[point][tap] as f32; hardnet_simd::LANES], "point {point}, tap {tap}");
                }
            }
        }
        check::<Two, 4, 2>();
        check::<Four, 6, 4>();
    }
}
