//! Images of one shape from images of another.

use image::GrayImage;
use rayon::prelude::*;

use super::Images;
use super::decode::fit;
use super::shrink::grey;
use crate::graph::Shape;

impl Images {
    /// The largest middle parts with the wanted proportions, resampled; channels independently of each other.
    pub(super) fn resized(&self, height: usize, width: usize) -> Images {
        let from = self.shape();
        if (height, width) == (from.height, from.width) {
            return self.clone();
        }
        let (w, h) = (from.width as u32, from.height as u32);
        let resized = self.all_pixels().par_chunks_exact(from.plane()).flat_map_iter(|plane| {
            let plane = GrayImage::from_raw(w, h, plane.to_vec()).expect("the shape gives the number of pixels");
            fit(&plane, width as u32, height as u32).into_raw()
        });
        Images::new(Shape::new(from.channels, height, width), resized.collect(), self.labels().to_vec())
    }

    /// The same images in another shape: resampled, grey ones repeated in every channel, coloured ones made grey where one
    /// channel is wanted.
    ///
    /// # Panics
    /// If neither shape has one channel and they have different numbers of channels.
    pub fn in_shape(&self, shape: Shape) -> Images {
        let sized = self.resized(shape.height, shape.width);
        let from = sized.shape();
        if from.channels == shape.channels {
            return sized;
        }
        assert!(from.channels == 1 || shape.channels == 1, "{from} cannot have {} channels", shape.channels);
        let image = |pixels: &[u8]| match shape.channels {
            1 => grey(pixels, from),
            channels => pixels.repeat(channels),
        };
        let pixels = sized.all_pixels().chunks_exact(from.elements()).flat_map(image).collect();
        Images::new(shape, pixels, sized.labels().to_vec())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_take_any_size_and_colour() {
        let grey = Images::new(Shape::new(1, 2, 4), vec![10, 20, 30, 40, 50, 60, 70, 80], vec![1]);
        let coloured = grey.in_shape(Shape::new(3, 2, 4));
        assert_eq!(coloured.pixels(0)[8..16], *grey.pixels(0));
        assert_eq!(coloured.in_shape(grey.shape()), grey);
        // The middle square, twice as large.
        let large = grey.in_shape(Shape::new(1, 4, 4));
        assert_eq!((large.shape().to_string(), large.labels()), ("1×4×4".to_string(), [1].as_slice()));
        assert!(large.pixels(0).iter().all(|pixel| (5..=85).contains(pixel)), "{:?}", large.pixels(0));
    }
}
