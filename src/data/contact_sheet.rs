//! A contact sheet: many small images side by side, for a person to look at.

use image::{Rgb, RgbImage};

use super::Images;
use super::images::places_by_class;

/// Pixels between images.
const GAP: usize = 2;

/// A row for each of `classes`, with the first `per_class` images of it.
pub fn contact_sheet(images: &Images, classes: &[String], per_class: usize) -> RgbImage {
    let shape = images.shape();
    let (across, down) = (shape.width + GAP, shape.height + GAP);
    let mut sheet = RgbImage::from_pixel((per_class * across) as u32, (classes.len() * down) as u32, Rgb([255; 3]));
    for (row, places) in places_by_class(images.labels()).iter().take(classes.len()).enumerate() {
        for (column, place) in places.iter().take(per_class).enumerate() {
            paste(&mut sheet, images, *place, column * across, row * down);
        }
    }
    sheet
}

fn paste(sheet: &mut RgbImage, images: &Images, place: usize, left: usize, top: usize) {
    let shape = images.shape();
    let pixels = images.pixels(place);
    for at in 0..shape.plane() {
        // One channel or two: the first stands for all three colours.
        let colour = [0, 1, 2].map(|c| pixels[if shape.channels < 3 { at } else { c * shape.plane() + at }]);
        sheet.put_pixel((left + at % shape.width) as u32, (top + at / shape.width) as u32, Rgb(colour));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Shape;

    #[test]
    fn a_sheet_has_a_row_for_each_class() {
        let images = Images::new(Shape::new(1, 1, 1), vec![10, 20, 30, 40], vec![1, 0, 1, 1]);
        let sheet = contact_sheet(&images, &["a".into(), "b".into()], 2);
        assert_eq!(sheet.dimensions(), (6, 6));
        assert_eq!([sheet[(0, 0)].0[0], sheet[(3, 0)].0[0]], [20, 255]);
        assert_eq!([sheet[(0, 3)].0[2], sheet[(3, 3)].0[2]], [10, 30]);
    }
}
