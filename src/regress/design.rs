//! Which rows to measure when few can be: those after which a linear model is least uncertain of all others (I-optimal
//! design: Box and Draper, A Basis for the Selection of a Response Surface Design, 1959), chosen one by one.

/// Places of `count` rows to measure, the most telling first. `copies` says how many there are of each row: none is chosen
/// more often, and common ones count for more in what is to be predicted. No measurement is looked at.
///
/// The model is linear with a penalty on its squared coefficients, as in ridge regression; columns are centred and keep
/// their scale.
///
/// # Panics
/// If there is no row, rows differ in length, there are not as many copies as rows, or the penalty is not positive.
pub fn least_uncertain(rows: &[Vec<f64>], copies: &[usize], count: usize, penalty: f64) -> Vec<usize> {
    assert!(!rows.is_empty() && rows.len() == copies.len() && penalty > 0.0, "copies of each row, a positive penalty");
    let width = rows[0].len();
    assert!(rows.iter().all(|row| row.len() == width), "rows are equally long");
    let total = copies.iter().sum::<usize>() as f64;
    let weighted = |column: usize| rows.iter().zip(copies).map(|(row, n)| row[column] * *n as f64).sum::<f64>() / total;
    let means: Vec<f64> = (0..width).map(weighted).collect();
    let centred: Vec<Vec<f64>> = rows.iter().map(|row| row.iter().zip(&means).map(|(v, m)| v - m).collect()).collect();
    let spread = second_moments(&centred, copies, total);
    // Covariance of the coefficients, in units of the noise: (penalty · I + XᵀX)⁻¹ of the rows chosen so far.
    let mut covariance: Vec<Vec<f64>> =
        (0..width).map(|i| (0..width).map(|j| if i == j { 1.0 / penalty } else { 0.0 }).collect()).collect();
    let (mut left, mut chosen) = (copies.to_vec(), Vec::with_capacity(count));
    for _ in 0..count {
        let gain = |row: &Vec<f64>| {
            let direction = times(&covariance, row);
            dot(&direction, &times(&spread, &direction)) / (1.0 + dot(row, &direction))
        };
        let open = (0..rows.len()).filter(|place| left[*place] > 0).map(|place| (place, gain(&centred[place])));
        let Some((best, _)) = open.reduce(|best, other| if other.1 > best.1 { other } else { best }) else { break };
        // Sherman and Morrison (1950): one more row.
        let direction = times(&covariance, &centred[best]);
        let scale = 1.0 + dot(&centred[best], &direction);
        for (line, a) in covariance.iter_mut().zip(&direction) {
            line.iter_mut().zip(&direction).for_each(|(cell, b)| *cell -= a * b / scale);
        }
        left[best] -= 1;
        chosen.push(best);
    }
    chosen
}

fn second_moments(rows: &[Vec<f64>], copies: &[usize], total: f64) -> Vec<Vec<f64>> {
    let width = rows[0].len();
    let moment =
        |i: usize, j: usize| rows.iter().zip(copies).map(|(row, n)| row[i] * row[j] * *n as f64).sum::<f64>() / total;
    (0..width).map(|i| (0..width).map(|j| moment(i, j)).collect()).collect()
}

fn times(matrix: &[Vec<f64>], vector: &[f64]) -> Vec<f64> {
    matrix.iter().map(|line| dot(line, vector)).collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of points on a line its ends tell most of the slope: the oldest result of the theory of design.
    #[test]
    fn the_ends_of_a_line_are_measured_first() {
        let rows: Vec<Vec<f64>> = (0..11).map(|x| vec![f64::from(x)]).collect();
        let mut chosen = least_uncertain(&rows, &[1; 11], 2, 0.1);
        chosen.sort_unstable();
        assert_eq!(chosen, [0, 10]);
    }

    #[test]
    fn every_direction_is_measured_and_no_row_more_often_than_there_are_copies() {
        let rows = [vec![9.0, 0.0], vec![-9.0, 0.0], vec![0.0, 1.0], vec![0.0, -1.0], vec![0.0, 0.0]];
        let chosen = least_uncertain(&rows, &[1, 1, 1, 1, 50], 4, 0.1);
        assert!((0..4).all(|place| chosen.contains(&place)), "{chosen:?}");
        assert_eq!(least_uncertain(&rows[..2], &[1, 1], 5, 0.1).len(), 2, "there are no more");
    }
}
