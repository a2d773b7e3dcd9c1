//! Linear least squares by Householder reflections, over rows that arrive in blocks.
//!
//! The matrix `[A | b]` is never held whole: each block of rows is reflected into the triangle `R` of all rows before it, so the
//! work stays in the cache and the memory does not grow with the rows. Forming `AᵀA` instead would be simpler but
//! square the condition number.
//!
//! Algorithm: Householder QR and its use for least squares as in G. H. Golub and C. F. Van Loan, "Matrix Computations", 4th
//! edition, 5.2.2 and 5.3.2; block after block (a flat-tree "TSQR") as in J. Demmel, L. Grigori, M. Hoemmen and
//! J. Langou, "Communication-optimal parallel and sequential QR and LU factorizations", SIAM J. Sci. Comput. 34 (2012).

/// Rows taken at a time: with ten columns a block is 44 KiB, about a first-level cache.
const BLOCK_ROWS: usize = 512;

/// A least-squares problem being collected.
#[derive(Debug)]
pub struct LeastSquares {
    /// Unknowns, and one column more for the right-hand side.
    width: usize,
    /// The upper triangle so far, row by row.
    triangle: Vec<f64>,
    /// Sum of squares of each column, to judge what counts as zero.
    squares: Vec<f64>,
    rows: usize,
}

/// What solving gave.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// The unknowns.
    pub coefficients: Vec<f64>,
    /// Sum of squares of what the fit leaves unexplained.
    pub residual: f64,
}

/// A problem without one best solution: this column depends on the ones before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dependent(pub usize);

impl LeastSquares {
    /// A problem with this many unknowns.
    pub fn new(unknowns: usize) -> Self {
        let width = unknowns + 1;
        Self { width, triangle: vec![0.0; width * width], squares: vec![0.0; width], rows: 0 }
    }

    /// Adds rows: one slice per unknown, and the right-hand side as the last; all of one length.
    pub fn add(&mut self, columns: &[&[f64]]) {
        let rows = columns.iter().map(|column| column.len()).min().unwrap_or(0);
        let mut block: Vec<Vec<f64>> = vec![Vec::with_capacity(BLOCK_ROWS); self.width];
        for start in (0..rows).step_by(BLOCK_ROWS) {
            let end = rows.min(start + BLOCK_ROWS);
            for (part, column) in block.iter_mut().zip(columns) {
                part.clear();
                part.extend_from_slice(&column[start..end]);
            }
            for (sum, part) in self.squares.iter_mut().zip(&block) {
                *sum += dot(part, part);
            }
            self.reflect(&mut block);
        }
        self.rows += rows;
    }

    /// Reflects a block into the triangle, column by column. Below the triangle's diagonal there is nothing, so the vector to
    /// be reflected is the diagonal element with the block's column under it.
    fn reflect(&mut self, block: &mut [Vec<f64>]) {
        let width = self.width;
        for pivot in 0..width {
            let (left, right) = block.split_at_mut(pivot + 1);
            let column = &left[pivot];
            let below = dot(column, column);
            if below == 0.0 {
                continue;
            }
            let diagonal = self.triangle[pivot * width + pivot];
            // The sign that avoids cancellation in `head`.
            let reflected = -(diagonal * diagonal + below).sqrt().copysign(diagonal);
            let head = diagonal - reflected;
            let scale = 2.0 / (head * head + below);
            self.triangle[pivot * width + pivot] = reflected;
            for (offset, other) in right.iter_mut().enumerate() {
                let cell = &mut self.triangle[pivot * width + pivot + 1 + offset];
                let factor = scale * (head * *cell + dot(column, other));
                *cell -= factor * head;
                for (value, direction) in other.iter_mut().zip(column) {
                    *value -= factor * direction;
                }
            }
        }
    }

    /// The unknowns for which the sum of squares is least.
    pub fn solve(&self) -> Result<Solution, Dependent> {
        let (width, unknowns) = (self.width, self.width - 1);
        let at = |row: usize, column: usize| self.triangle[row * width + column];
        let tolerance = f64::EPSILON * self.rows.max(width) as f64;
        for pivot in 0..unknowns {
            let diagonal = at(pivot, pivot).abs();
            if diagonal.is_nan() || diagonal <= tolerance * self.squares[pivot].sqrt() {
                return Err(Dependent(pivot));
            }
        }
        let mut coefficients = vec![0.0; unknowns];
        for row in (0..unknowns).rev() {
            let known: f64 = (row + 1..unknowns).map(|column| at(row, column) * coefficients[column]).sum();
            coefficients[row] = (at(row, unknowns) - known) / at(row, row);
        }
        Ok(Solution { coefficients, residual: at(unknowns, unknowns).powi(2) })
    }
}

/// The scalar product. Four sums, since additions of floats may not be reordered by the compiler and would wait for each other.
fn dot(left: &[f64], right: &[f64]) -> f64 {
    let (left, right) = (left.chunks_exact(4), right.chunks_exact(4));
    let rest: f64 = left.remainder().iter().zip(right.remainder()).map(|(a, b)| a * b).sum();
    let mut sums = [0.0; 4];
    for (left, right) in left.zip(right) {
        for (sum, (a, b)) in sums.iter_mut().zip(left.iter().zip(right)) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f64>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) {
        assert!((left - right).abs() <= 1e-9 * right.abs().max(1.0), "{left} is not {right}");
    }

    /// A repeatable pretence of randomness, between -1 and 1 (a linear congruential generator).
    fn noise(count: usize, mut state: u64) -> Vec<f64> {
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        })
        .take(count)
        .collect()
    }

    #[test]
    fn finds_a_line_through_points() {
        let mut problem = LeastSquares::new(2);
        problem.add(&[&[1.0; 4], &[0.0, 1.0, 2.0, 3.0], &[1.0, 3.0, 5.0, 7.0]]);
        let solution = problem.solve().expect("a solution");
        close(solution.coefficients[0], 1.0);
        close(solution.coefficients[1], 2.0);
        close(solution.residual, 0.0);
    }

    #[test]
    fn gives_the_same_however_the_rows_arrive() {
        let (x, y, e) = (noise(3000, 1), noise(3000, 2), noise(3000, 3));
        let target: Vec<f64> = (0..3000).map(|row| 4.0 - 3.0 * x[row] + 0.5 * y[row] + 0.1 * e[row]).collect();
        let ones = vec![1.0; 3000];
        let columns = [&ones[..], &x, &y, &target];
        let mut whole = LeastSquares::new(3);
        whole.add(&columns);
        let whole = whole.solve().expect("a solution");
        for size in [1, 7, 511, 513, 3000] {
            let mut problem = LeastSquares::new(3);
            for start in (0..3000).step_by(size) {
                let end = 3000.min(start + size);
                problem.add(&columns.map(|column| &column[start..end]));
            }
            let solution = problem.solve().expect("a solution");
            solution.coefficients.iter().zip(&whole.coefficients).for_each(|(a, b)| close(*a, *b));
            close(solution.residual, whole.residual);
        }
        // The residual of the fit is orthogonal to every column: that is what makes it the best one.
        let left = |row: usize| {
            let fit: f64 = (0..3).map(|column| columns[column][row] * whole.coefficients[column]).sum();
            target[row] - fit
        };
        for column in &columns[..3] {
            let product: f64 = (0..3000).map(|row| column[row] * left(row)).sum();
            assert!(product.abs() < 1e-9, "{product}");
        }
        close((0..3000).map(|row| left(row).powi(2)).sum(), whole.residual);
    }

    #[test]
    fn stays_exact_where_normal_equations_would_not() {
        // Läuchli's matrix: with e*e below the precision of 1 the normal equations are singular.
        let e = 1e-9;
        let mut problem = LeastSquares::new(2);
        problem.add(&[&[1.0, e, 0.0], &[1.0, 0.0, e], &[2.0, e, e]]);
        let solution = problem.solve().expect("a solution");
        assert!(solution.coefficients.iter().all(|value| (value - 1.0).abs() < 1e-6), "{solution:?}");
    }

    #[test]
    fn names_the_column_that_depends_on_others() {
        let x = noise(100, 1);
        let twice: Vec<f64> = x.iter().map(|value| 2.0 * value + 1.0).collect();
        let ones = vec![1.0; 100];
        let mut problem = LeastSquares::new(3);
        problem.add(&[&ones, &x, &twice, &x]);
        assert_eq!(problem.solve(), Err(Dependent(2)));
        assert_eq!(LeastSquares::new(2).solve(), Err(Dependent(0)));
        let mut problem = LeastSquares::new(1);
        problem.add(&[&[f64::NAN], &[1.0]]);
        assert_eq!(problem.solve(), Err(Dependent(0)));
    }
}
