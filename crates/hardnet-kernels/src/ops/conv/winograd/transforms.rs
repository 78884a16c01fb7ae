//! The transforms, their points, and their rounding error.
//!
//! F(m, 3) evaluates filter and inputs at `m + 2` points, one of them infinity, which stands for the highest
//! coefficient. The points decide the constants of the transforms and so their cost and error. With 0, 1, -1 and
//! infinity, F(2, 3) multiplies by 1 and 1/2 alone:
//!
//! ```text
//!         1  0 -1  0             1    0    0
//! B^T  =  0  1  1  0      G  =  1/2  1/2  1/2      A^T  =  1  1  1  0
//!         0 -1  1  0            1/2 -1/2  1/2              0  1 -1  1
//!         0 -1  0  1             0    0    1
//! ```
//!
//! Powers of the points grow with their number, and rounding errors with the powers: exponentially in the tile's size.
//! Points of fractions near 1 are better than larger integers (Barabasz, Anderson, Soodhalter and Gregg, "Error
//! analysis and improving the accuracy of Winograd convolution for deep neural networks"). F(4, 3) takes 0, 5/8, -5/8,
//! 3/2, -3/2 and infinity, with which every constant of the transforms of inputs and outputs is exact in f32, and the
//! error less than half of that with the usual 0, 1, -1, 2, -2 and infinity. Filters are transformed in f64 and rounded
//! once, unless they are on the fly.

use hardnet_simd::{LANES, Simd};

use crate::filter::rounded;

/// One-dimensional transforms with `A` points for `M` outputs of a filter of 3 taps.
pub(crate) trait WinogradTransform<const A: usize, const M: usize> {
    /// `B^T d`, of `A` inputs.
    fn input<S: Simd>(s: S, d: [S::V; A]) -> [S::V; A];

    /// `A^T m`, of `A` products.
    fn output<S: Simd>(s: S, m: [S::V; A]) -> [S::V; M];

    /// `G g`, of 3 taps.
    fn weights<S: Simd>(s: S, w: [S::V; 3]) -> [S::V; A];

    /// `G`, `[A, 3]`.
    const WEIGHTS: [[f64; 3]; A];
}

/// Two outputs; points 0, 1, -1 and infinity.
pub(crate) struct F2x2_3x3;

impl WinogradTransform<4, 2> for F2x2_3x3 {
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

/// Four outputs; points 0, 5/8, -5/8, 3/2, -3/2 and infinity.
pub(crate) struct F4x4_3x3;

const P: f32 = 0.625;
const Q: f32 = 1.5;

impl WinogradTransform<6, 4> for F4x4_3x3 {
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
        const ZERO: f32 = <F4x4_3x3 as WinogradTransform<6, 4>>::WEIGHTS[0][0] as f32;
        const EVEN_P: [f32; 2] = [
            <F4x4_3x3 as WinogradTransform<6, 4>>::WEIGHTS[1][0] as f32,
            <F4x4_3x3 as WinogradTransform<6, 4>>::WEIGHTS[1][2] as f32,
        ];
        const ODD_P: f32 = <F4x4_3x3 as WinogradTransform<6, 4>>::WEIGHTS[1][1] as f32;
        const EVEN_Q: [f32; 2] = [
            <F4x4_3x3 as WinogradTransform<6, 4>>::WEIGHTS[3][0] as f32,
            <F4x4_3x3 as WinogradTransform<6, 4>>::WEIGHTS[3][2] as f32,
        ];
        const ODD_Q: f32 = <F4x4_3x3 as WinogradTransform<6, 4>>::WEIGHTS[3][1] as f32;
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

/// Transforms the taps, `[3 * 3, lanes]`, in f64 and rounds once.
#[inline(always)]
pub(super) fn weights<P: WinogradTransform<A, M>, const A: usize, const M: usize>(
    taps: &[[f64; LANES]; 9],
) -> [[[f32; LANES]; A]; A] {
    let mut out = [[[0.0; LANES]; A]; A];
    // `[A, 3]`: the filter's columns transformed.
    let mut columns = [[[0.0; LANES]; 3]; A];
    for (column, row) in columns.iter_mut().zip(&P::WEIGHTS) {
        for x in 0..3 {
            for lane in 0..LANES {
                column[x][lane] = row[0] * taps[x][lane] + row[1] * taps[3 + x][lane] + row[2] * taps[6 + x][lane];
            }
        }
    }
    for (out, column) in out.iter_mut().zip(&columns) {
        for (out, row) in out.iter_mut().zip(&P::WEIGHTS) {
            for lane in 0..LANES {
                out[lane] = rounded(row[0] * column[0][lane] + row[1] * column[1][lane] + row[2] * column[2][lane]);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use hardnet_simd::Portable;

    /// The vectorized transform of weights is the product with the matrix.
    #[test]
    fn weights_are_transformed_by_the_matrix() {
        fn check<P: WinogradTransform<A, M>, const A: usize, const M: usize>() {
            let s = Portable;
            for tap in 0..3 {
                let weights = std::array::from_fn(|at| s.splat(f32::from(u8::from(at == tap))));
                for (point, found) in P::weights(s, weights).into_iter().enumerate() {
                    let mut lanes = [0.0; LANES];
                    // SAFETY: there is room for a vector.
                    unsafe { s.store(lanes.as_mut_ptr(), found) };
                    assert_eq!(lanes, [P::WEIGHTS[point][tap] as f32; LANES], "point {point}, tap {tap}");
                }
            }
        }
        check::<F2x2_3x3, 4, 2>();
        check::<F4x4_3x3, 6, 4>();
    }
}
