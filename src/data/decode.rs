//! Decoding one PNG or JPEG file into bytes of a wanted size, with limits against files that unpack to too much.

use std::io::Cursor;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::metadata::Orientation;
use image::{DynamicImage, ImageBuffer, ImageDecoder, ImageFormat, ImageReader, Limits, Pixel, RgbImage};

use super::DataError;
use super::source::read;

/// Longest side of an image that is decoded.
const LONGEST_SIDE: u32 = 16_384;
/// Memory that one image may take, packed or decoded.
const MOST_BYTES: u64 = 256 << 20;
/// Pixels of an image that is decoded: on the way to the wanted size each takes four bytes.
const MOST_PIXELS: u64 = MOST_BYTES / 4;

/// Height and width of an image as it is to be looked at, from its header alone.
pub(super) fn read_size(path: &Path) -> Result<(usize, usize), DataError> {
    let bytes = read(path, MOST_BYTES)?;
    let mut decoder = decoder(path, &bytes)?;
    let (width, height) = decoder.dimensions();
    let turned = matches!(
        decoder.orientation().unwrap_or(Orientation::NoTransforms),
        Orientation::Rotate90 | Orientation::Rotate270 | Orientation::Rotate90FlipH | Orientation::Rotate270FlipH
    );
    let (height, width) = if turned { (width, height) } else { (height, width) };
    Ok((height as usize, width as usize))
}

/// An image as RGB bytes, (3, `height`, `width`): turned as its EXIF orientation says, transparent parts over white, the
/// middle of it cropped to the wanted proportions and resampled by a Lanczos filter.
pub(super) fn read_image(path: &Path, height: usize, width: usize) -> Result<Vec<u8>, DataError> {
    let bytes = read(path, MOST_BYTES)?;
    if is_cut_short(&bytes) {
        return Err(fault(path, "the file is cut short"));
    }
    let mut decoder = decoder(path, &bytes)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder).map_err(|e| fault(path, e))?;
    image.apply_orientation(orientation);
    let image = fit(&over_white(image), width as u32, height as u32);
    let plane = height * width;
    let mut planes = vec![0; 3 * plane];
    for (at, pixel) in image.pixels().enumerate() {
        pixel.0.iter().enumerate().for_each(|(c, value)| planes[c * plane + at] = *value);
    }
    Ok(planes)
}

fn fault(path: &Path, reason: impl ToString) -> DataError {
    DataError::Image { path: path.to_path_buf(), reason: reason.to_string() }
}

/// A decoder whose image is known to keep the limits. The content decides about the format, not the file's name.
fn decoder<'a>(path: &Path, bytes: &'a [u8]) -> Result<impl ImageDecoder + 'a, DataError> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| fault(path, e))?;
    if !matches!(reader.format(), Some(ImageFormat::Png | ImageFormat::Jpeg)) {
        return Err(match bytes.is_empty() {
            true => fault(path, "the file is empty"),
            false => DataError::NotAnImage { path: path.to_path_buf() },
        });
    }
    let mut decoder = reader.into_decoder().map_err(|e| fault(path, e))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(fault(path, "the image is empty"));
    }
    let pixels = u64::from(width) * u64::from(height);
    if width.max(height) > LONGEST_SIDE || pixels > MOST_PIXELS || decoder.total_bytes() > MOST_BYTES {
        return Err(fault(
            path,
            format!("it has {width}×{height} pixels, the limits are {LONGEST_SIDE} on a side and {MOST_PIXELS} in all"),
        ));
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MOST_BYTES);
    decoder.set_limits(limits).map_err(|e| fault(path, e))?;
    Ok(decoder)
}

/// Whether a JPEG file lacks its end-of-image marker after the last start of scan (the decoder would fill the rest with
/// grey without a word). Within a scan a byte `FF` is never followed by `D9`, so a marker found is a marker.
fn is_cut_short(bytes: &[u8]) -> bool {
    let last = |marker: u8| bytes.windows(2).rposition(|pair| pair == [0xff, marker]);
    bytes.starts_with(&[0xff, 0xd8]) && last(0xd9) < last(0xda)
}

fn over_white(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let source = image.into_rgba8();
    RgbImage::from_fn(source.width(), source.height(), |x, y| {
        let [colour @ .., alpha] = source.get_pixel(x, y).0;
        let blend = |c: u8| ((u32::from(c) * u32::from(alpha) + 255 * (255 - u32::from(alpha)) + 127) / 255) as u8;
        image::Rgb(colour.map(blend))
    })
}

/// The largest middle part with the wanted proportions, resampled to the wanted size.
pub(super) fn fit<P>(image: &ImageBuffer<P, Vec<u8>>, width: u32, height: u32) -> ImageBuffer<P, Vec<u8>>
where
    P: Pixel<Subpixel = u8> + 'static,
{
    let (w, h) = image.dimensions();
    if (w, h) == (width, height) {
        return image.clone();
    }
    let scaled = |of: u32, by: u32, per: u32| (u64::from(of) * u64::from(by) / u64::from(per)).max(1) as u32;
    let (crop_w, crop_h) = (w.min(scaled(h, width, height)), h.min(scaled(w, height, width)));
    let crop = imageops::crop_imm(image, (w - crop_w) / 2, (h - crop_h) / 2, crop_w, crop_h);
    imageops::resize(&*crop, width, height, FilterType::Lanczos3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Luma, LumaA, Rgb, Rgba};

    fn saved(folder: &tempfile::TempDir, name: &str, image: impl Into<DynamicImage>) -> std::path::PathBuf {
        let path = folder.path().join(name);
        image.into().save(&path).unwrap();
        path
    }

    #[test]
    fn grey_alpha_and_sixteen_bits_become_rgb_over_white() {
        let folder = tempfile::tempdir().unwrap();
        let grey = saved(&folder, "grey.png", image::ImageBuffer::from_pixel(2, 2, Luma([77u8])));
        assert_eq!(read_image(&grey, 2, 2).unwrap(), [77; 12]);
        let deep = saved(&folder, "deep.png", image::ImageBuffer::from_pixel(2, 2, Luma([0x8080u16])));
        assert_eq!(read_image(&deep, 2, 2).unwrap(), [0x80; 12]);
        let half = saved(&folder, "half.png", image::ImageBuffer::from_pixel(1, 1, Rgba([100u8, 0, 255, 51])));
        assert_eq!(read_image(&half, 1, 1).unwrap(), [224, 204, 255]);
        let clear = saved(&folder, "clear.png", image::ImageBuffer::from_pixel(1, 1, LumaA([9u8, 0])));
        assert_eq!(read_image(&clear, 1, 1).unwrap(), [255; 3]);
    }

    #[test]
    fn a_palette_with_a_transparent_colour_becomes_rgb_over_white() {
        // A 2×1 image of 1 bit a pixel: palette red and blue, blue transparent.
        let chunk = |name: &[u8; 4], data: &[u8]| {
            let mut crc = flate2::Crc::new();
            crc.update(name);
            crc.update(data);
            [&(data.len() as u32).to_be_bytes(), name.as_slice(), data, &crc.sum().to_be_bytes()].concat()
        };
        let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, &[0, 0b0100_0000]).unwrap();
        let file = [
            b"\x89PNG\r\n\x1a\n".to_vec(),
            chunk(b"IHDR", &[0, 0, 0, 2, 0, 0, 0, 1, 1, 3, 0, 0, 0]),
            chunk(b"PLTE", &[255, 0, 0, 0, 0, 255]),
            chunk(b"tRNS", &[255, 0]),
            chunk(b"IDAT", &packed.finish().unwrap()),
            chunk(b"IEND", &[]),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("palette.png");
        std::fs::write(&path, file.concat()).unwrap();
        assert_eq!(read_image(&path, 1, 2).unwrap(), [255, 255, 0, 255, 0, 255]);
    }

    #[test]
    fn the_middle_is_cropped_before_the_size_changes() {
        let image = RgbImage::from_fn(12, 4, |x, _| Rgb(if (4..8).contains(&x) { [0, 200, 0] } else { [255, 0, 0] }));
        let folder = tempfile::tempdir().unwrap();
        let path = saved(&folder, "wide.png", image);
        assert_eq!(read_size(&path).unwrap(), (4, 12));
        assert_eq!(read_image(&path, 2, 2).unwrap(), [0, 0, 0, 0, 200, 200, 200, 200, 0, 0, 0, 0]);
    }

    #[test]
    fn exif_orientation_is_applied() {
        let mut bytes = Vec::new();
        let image = RgbImage::from_fn(16, 8, |x, _| Rgb([if x < 8 { 250 } else { 5 }; 3]));
        DynamicImage::from(image).write_to(&mut Cursor::new(&mut bytes), ImageFormat::Jpeg).unwrap();
        // APP1 with one entry of an EXIF directory: orientation (0x0112, a short) is 6, turn by 90° clockwise.
        let exif = b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        bytes.splice(2..2, exif.iter().copied());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turned.jpg");
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read_size(&path).unwrap(), (16, 8));
        let pixels = read_image(&path, 16, 8).unwrap();
        assert!(pixels[0] > 200 && pixels[7] > 200 && pixels[15 * 8] < 50, "the light half is at the top: {pixels:?}");
    }

    #[test]
    fn a_file_cut_short_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let image = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * y) as u8, (x * 7) as u8, (y * 5) as u8]));
        for name in ["a.png", "a.jpg"] {
            let path = saved(&folder, name, image.clone());
            let bytes = std::fs::read(&path).unwrap();
            std::fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
            let error = read_image(&path, 8, 8).unwrap_err().to_string();
            assert!(error.starts_with("cannot decode `") && error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_file_that_claims_too_many_pixels_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = saved(&folder, "bomb.png", RgbImage::new(4, 4));
        for side in [16_000u32, 60_000] {
            let mut bytes = std::fs::read(&path).unwrap();
            bytes[16..20].copy_from_slice(&side.to_be_bytes());
            bytes[20..24].copy_from_slice(&side.to_be_bytes());
            let mut crc = flate2::Crc::new();
            crc.update(&bytes[12..29]);
            bytes[29..33].copy_from_slice(&crc.sum().to_be_bytes());
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(read_image(&path, 8, 8), Err(DataError::Image { .. })));
        }
    }

    #[test]
    fn a_damaged_file_is_an_image_or_an_error_but_no_panic() {
        use rand::{Rng, SeedableRng};
        let folder = tempfile::tempdir().unwrap();
        let image = RgbImage::from_fn(24, 18, |x, y| Rgb([(x * y) as u8, (x * 7) as u8, (y * 5) as u8]));
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(3);
        for name in ["a.png", "a.jpg"] {
            let path = saved(&folder, name, image.clone());
            let whole = std::fs::read(&path).unwrap();
            for _ in 0..500 {
                let mut bytes = whole.clone();
                (0..rng.random_range(1..4)).for_each(|_| bytes[rng.random_range(0..whole.len())] = rng.random());
                std::fs::write(&path, bytes).unwrap();
                if let (Ok(_), Ok(pixels)) = (read_size(&path), read_image(&path, 8, 8)) {
                    assert_eq!(pixels.len(), 192);
                }
            }
        }
    }
}
