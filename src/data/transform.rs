//! Other data sets from one: every image changed in the same way. Augmentation varies images anew in each epoch; this
//! makes another set.

use rand::Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Images;
use crate::graph::Shape;
use crate::seed;

/// A change of every image of a set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Transform {
    /// Colours become their luminance (ITU-R BT.601); the number of channels stays.
    Grey,
    /// Bright becomes dark.
    Invert,
    /// Turned clockwise by 90, 180 or 270 degrees.
    Rotate(u16),
    /// Blurred by a Gaussian with this standard deviation in pixels, above 0 and at most 8.
    Blur(f64),
    /// Channels scaled and shifted at random, image by image: a strength above 0 and at most 1.
    ColourJitter(f64),
}

/// Largest standard deviation of a blur, in pixels.
const LARGEST_BLUR: f64 = 8.0;
/// Weights of red, green and blue in the luminance.
const LUMINANCE: [f32; 3] = [0.299, 0.587, 0.114];

impl Transform {
    /// What is wrong with its number, if something is.
    pub fn fault(self) -> Option<String> {
        match self {
            Transform::Grey | Transform::Invert => None,
            Transform::Rotate(degrees) => {
                let is_right = [90, 180, 270].contains(&degrees);
                (!is_right).then(|| format!("`rotate: {degrees}` is not 90, 180 or 270 degrees"))
            }
            Transform::Blur(sigma) => {
                let is_right = sigma > 0.0 && sigma <= LARGEST_BLUR;
                (!is_right).then(|| format!("`blur: {sigma}` is not above 0 and at most {LARGEST_BLUR} pixels"))
            }
            Transform::ColourJitter(strength) => {
                let is_right = strength > 0.0 && strength <= 1.0;
                (!is_right).then(|| format!("`colour-jitter: {strength}` is not above 0 and at most 1"))
            }
        }
    }

    /// The changed images. Draws follow from the seed and the place of an image.
    pub fn apply(self, images: &Images, seed: u64) -> Images {
        let shape = images.shape();
        let (size, changed) = (shape.elements(), self.shape_of(shape));
        let mut pixels = vec![0; images.len() * size];
        pixels
            .par_chunks_mut(size)
            .enumerate()
            .for_each(|(i, out)| self.write(shape, images.pixels(i), (seed, i), out));
        Images::new(changed, pixels, images.labels().to_vec())
    }

    fn shape_of(self, shape: Shape) -> Shape {
        match self {
            Transform::Rotate(90 | 270) => Shape::new(shape.channels, shape.width, shape.height),
            Transform::Grey
            | Transform::Invert
            | Transform::Rotate(_)
            | Transform::Blur(_)
            | Transform::ColourJitter(_) => shape,
        }
    }

    fn write(self, shape: Shape, image: &[u8], (seed, place): (u64, usize), out: &mut [u8]) {
        let plane = shape.plane();
        match self {
            Transform::Grey => grey(plane, image, out),
            Transform::Invert => out.iter_mut().zip(image).for_each(|(o, p)| *o = 255 - p),
            Transform::Rotate(degrees) => {
                let planes = image.chunks_exact(plane).zip(out.chunks_exact_mut(plane));
                planes.for_each(|(from, to)| rotate(degrees, shape, from, to));
            }
            Transform::Blur(sigma) => {
                let weights = gaussian(sigma);
                let planes = image.chunks_exact(plane).zip(out.chunks_exact_mut(plane));
                planes.for_each(|(from, to)| blur(&weights, shape, from, to));
            }
            Transform::ColourJitter(strength) => {
                let mut rng = seed::stream(seed, "colour jitter", place as u64);
                for (from, to) in image.chunks_exact(plane).zip(out.chunks_exact_mut(plane)) {
                    let scale = 1.0 + strength * rng.random_range(-0.5..0.5);
                    let shift = 128.0 * strength * rng.random_range(-0.5..0.5);
                    to.iter_mut().zip(from).for_each(|(o, p)| *o = byte(f64::from(*p) * scale + shift));
                }
            }
        }
    }
}

fn byte(value: f64) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

/// Images with other than three channels have no colours.
fn grey(plane: usize, image: &[u8], out: &mut [u8]) {
    if image.len() != 3 * plane {
        out.copy_from_slice(image);
        return;
    }
    for i in 0..plane {
        let luminance: f32 = LUMINANCE.iter().enumerate().map(|(c, w)| w * f32::from(image[c * plane + i])).sum();
        (0..3).for_each(|c| out[c * plane + i] = byte(f64::from(luminance)));
    }
}

fn rotate(degrees: u16, shape: Shape, from: &[u8], to: &mut [u8]) {
    let (height, width) = (shape.height, shape.width);
    for (at, pixel) in from.iter().enumerate() {
        let (row, column) = (at / width, at % width);
        let place = match degrees {
            90 => column * height + height - 1 - row,
            180 => (height - 1 - row) * width + width - 1 - column,
            _ => (width - 1 - column) * height + row,
        };
        to[place] = *pixel;
    }
}

/// Weights from the middle outwards, out to three standard deviations; all of them, to both sides, add up to 1.
fn gaussian(sigma: f64) -> Vec<f64> {
    let reach = (3.0 * sigma).ceil() as usize;
    let weights: Vec<f64> = (0..=reach).map(|d| (-0.5 * (d as f64 / sigma).powi(2)).exp()).collect();
    let sum = 2.0 * weights.iter().sum::<f64>() - weights[0];
    weights.into_iter().map(|w| w / sum).collect()
}

/// Along the rows, then along the columns; what lies outside is like the border.
fn blur(weights: &[f64], shape: Shape, from: &[u8], to: &mut [u8]) {
    let (height, width) = (shape.height as isize, shape.width as isize);
    let along =
        |value: &dyn Fn(isize, isize) -> f64, row: isize, column: isize, (down, right): (isize, isize)| -> f64 {
            let at = |d: isize| {
                let row = (row + d * down).clamp(0, height - 1);
                value(row, (column + d * right).clamp(0, width - 1))
            };
            let sides = weights.iter().enumerate().skip(1).map(|(d, w)| w * (at(d as isize) + at(-(d as isize))));
            weights[0] * at(0) + sides.sum::<f64>()
        };
    let places = || (0..height).flat_map(|row| (0..width).map(move |column| (row, column)));
    let pixel = |row: isize, column: isize| f64::from(from[(row * width + column) as usize]);
    let rows: Vec<f64> = places().map(|(row, column)| along(&pixel, row, column, (0, 1))).collect();
    let blurred = |row: isize, column: isize| rows[(row * width + column) as usize];
    for ((row, column), out) in places().zip(to) {
        *out = byte(along(&blurred, row, column, (1, 0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(shape: Shape) -> Images {
        let pixels = (0..2 * shape.elements()).map(|i| (i * 37 % 256) as u8).collect();
        Images::new(shape, pixels, vec![1, 0])
    }

    #[test]
    fn turns_add_up_to_none() {
        let original = images(Shape::new(3, 4, 5));
        let turn = |images: &Images, degrees| Transform::Rotate(degrees).apply(images, 0);
        assert_eq!(turn(&original, 90).shape(), Shape::new(3, 5, 4));
        assert_eq!(turn(&turn(&original, 90), 90), turn(&original, 180));
        assert_eq!(turn(&turn(&original, 90), 270), original);
        let corner = turn(&original, 90).pixels(0)[3];
        assert_eq!(corner, original.pixels(0)[0], "clockwise: the first pixel comes to the right");
    }

    #[test]
    fn inverting_twice_changes_nothing_and_grey_stays_grey() {
        let original = images(Shape::new(3, 4, 5));
        assert_eq!(Transform::Invert.apply(&Transform::Invert.apply(&original, 0), 0), original);
        let grey = Transform::Grey.apply(&original, 0);
        let pixels = grey.pixels(0);
        assert!(pixels[..20] == pixels[20..40] && pixels[20..40] == pixels[40..]);
        assert_eq!(Transform::Grey.apply(&grey, 0), grey);
        let single = images(Shape::new(1, 4, 5));
        assert_eq!(Transform::Grey.apply(&single, 0), single);
    }

    #[test]
    fn a_blur_keeps_what_is_even_and_spreads_a_point() {
        let even = Images::new(Shape::new(1, 7, 7), vec![90; 49], vec![0]);
        assert_eq!(Transform::Blur(1.5).apply(&even, 0), even);
        let mut point = vec![0; 49];
        point[24] = 255;
        let spread = Transform::Blur(0.8).apply(&Images::new(Shape::new(1, 7, 7), point, vec![0]), 0);
        let pixels = spread.pixels(0);
        let sum: u32 = pixels.iter().map(|p| u32::from(*p)).sum();
        assert!(pixels[24] > pixels[23] && pixels[23] == pixels[31] && (sum as i32 - 255).abs() < 12, "{pixels:?}");
    }

    #[test]
    fn jitter_depends_on_seed_and_place_alone() {
        let original = images(Shape::new(3, 4, 5));
        let jitter = |seed| Transform::ColourJitter(0.5).apply(&original, seed);
        assert_eq!(jitter(1), jitter(1));
        assert_ne!(jitter(1), jitter(2));
        let alone = Transform::ColourJitter(0.5).apply(&original.select(&[0]), 1);
        assert_eq!(alone.pixels(0), jitter(1).pixels(0));
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        for (transform, told) in [
            (Transform::Rotate(45), "`rotate: 45` is not 90, 180 or 270 degrees"),
            (Transform::Blur(f64::NAN), "`blur: NaN` is not above 0 and at most 8 pixels"),
            (Transform::ColourJitter(2.0), "`colour-jitter: 2` is not above 0 and at most 1"),
        ] {
            assert_eq!(transform.fault().as_deref(), Some(told));
        }
        assert_eq!(Transform::Blur(8.0).fault(), None);
    }
}
