//! Transforms of inputs and of products.
#![allow(unsafe_code, clippy::needless_range_loop)]

use hardnet_simd::{BYTE_LANES, Words};

/// [`unrolled`] of at most six turns. Arrays of vectors are not made by functions of the standard library, whose
/// closures would be compiled without the set's instructions.
macro_rules! six {
    ($i:ident in $count:ident, $body:block) => {
        hardnet_simd::unrolled!($i in $count, $body, 0 1 2 3 4 5)
    };
}
pub(super) use six;

/// A row or a column of inputs by the matrix of inputs.
#[inline(always)]
fn input_line<D: Words, const SIDE: usize>(d: D, v: [D::W; SIDE]) -> [D::W; SIDE] {
    let mut out = v;
    if SIDE == 4 {
        out[0] = d.sub_words(v[0], v[2]);
        out[1] = d.add_words(v[1], v[2]);
        out[2] = d.sub_words(v[2], v[1]);
        out[3] = d.sub_words(v[1], v[3]);
    } else {
        // 4 (v0 - v2) + v4 - v2, and the same one further.
        out[0] = d.add_words(fourfold(d, d.sub_words(v[0], v[2])), d.sub_words(v[SIDE - 2], v[2]));
        out[SIDE - 1] = d.add_words(fourfold(d, d.sub_words(v[1], v[3])), d.sub_words(v[SIDE - 1], v[3]));
        let (even, odd) = (d.sub_words(v[SIDE - 2], fourfold(d, v[2])), d.sub_words(v[3], fourfold(d, v[1])));
        out[1] = d.add_words(even, odd);
        out[2] = d.sub_words(even, odd);
        let (even, half) = (d.sub_words(v[SIDE - 2], v[2]), d.sub_words(v[3], v[1]));
        let odd = d.add_words(half, half);
        out[3] = d.add_words(even, odd);
        out[SIDE - 2] = d.sub_words(even, odd);
    }
    out
}

/// Four times a vector.
#[inline(always)]
fn fourfold<D: Words>(d: D, value: D::W) -> D::W {
    let double = d.add_words(value, value);
    d.add_words(double, double)
}

/// Transforms sixteen channels of a tile, to `to` and `step` values further for each position.
///
/// # Safety
/// The window is valid for reading, all positions for writing.
#[inline(always)]
pub(super) unsafe fn transform_inputs<D: Words, const SIDE: usize>(
    d: D,
    from: *const u8,
    row: usize,
    to: *mut i16,
    step: usize,
) {
    // SAFETY: the caller's promise.
    let mut rows = [[unsafe { d.widen(from) }; SIDE]; SIDE];
    six!(y in SIDE, {
        six!(x in SIDE, {
            // SAFETY: the caller's promise.
            rows[y][x] = unsafe { d.widen(from.add(y * row + x * BYTE_LANES)) };
        });
        rows[y] = input_line(d, rows[y]);
    });
    six!(x in SIDE, {
        let mut column = rows[0];
        six!(y in SIDE, {
            column[y] = rows[y][x];
        });
        let column = input_line(d, column);
        six!(y in SIDE, {
            // SAFETY: the caller's promise.
            unsafe { d.store_words(to.add((y * SIDE + x) * step), column[y]) };
        });
    });
}

/// A row or a column of products by the matrix of outputs.
#[inline(always)]
fn output_line<D: Words, const M: usize, const SIDE: usize>(d: D, v: [D::Sums; SIDE]) -> [D::Sums; M] {
    let (sum, difference) = (d.add_sums(v[1], v[2]), d.sub_sums(v[1], v[2]));
    let mut out = [sum; M];
    if M == 2 {
        out[0] = d.add_sums(v[0], sum);
        out[1] = d.sub_sums(difference, v[3]);
    } else {
        let (far, half) = (d.add_sums(v[3], v[SIDE - 2]), d.sub_sums(v[3], v[SIDE - 2]));
        let apart = d.add_sums(half, half);
        out[0] = d.add_sums(v[0], d.add_sums(sum, far));
        out[1] = d.add_sums(difference, apart);
        let far = d.add_sums(far, far);
        out[M - 2] = d.add_sums(sum, d.add_sums(far, far));
        let last = d.add_sums(apart, v[SIDE - 1]);
        let last = d.add_sums(last, last);
        out[M - 1] = d.add_sums(difference, d.add_sums(last, last));
    }
    out
}

/// The outputs of a tile as multiples of their sums, column by column, from products `step` values apart.
///
/// # Safety
/// All positions are valid for reading.
#[inline(always)]
pub(super) unsafe fn transform_products<D: Words, const M: usize, const SIDE: usize>(
    d: D,
    from: *const i32,
    step: usize,
) -> [[D::Sums; M]; M] {
    let mut rows = [[d.no_sums(); M]; SIDE];
    six!(y in SIDE, {
        let mut line = [d.no_sums(); SIDE];
        six!(x in SIDE, {
            // SAFETY: the caller's promise.
            line[x] = unsafe { d.load_sums(from.add((y * SIDE + x) * step)) };
        });
        rows[y] = output_line(d, line);
    });
    let mut columns = [[d.no_sums(); M]; M];
    six!(x in M, {
        let mut line = [d.no_sums(); SIDE];
        six!(y in SIDE, {
            line[y] = rows[y][x];
        });
        columns[x] = output_line(d, line);
    });
    columns
}
