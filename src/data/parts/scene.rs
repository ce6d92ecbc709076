//! A picture: the belt, fragments, the part with its shadow, something in front of it, light, and a camera's faults.

use rand::RngCore;

use super::SIDE;
use super::outline::{Point, zigzag};
use super::part::{Kind, Part, Surface};
use crate::data::stream::{chance, uniform};

/// Samples along a pixel's side.
const SAMPLES: usize = 2;
/// Samples along the picture's side.
const GRID: usize = SIDE * SAMPLES;

type Colour = [f32; 3];

/// Paints and metals: steel, dark steel, brass, copper, zinc, black oxide, red, blue, green, cream.
const PAINTS: [Colour; 10] = [
    [0.62, 0.64, 0.67],
    [0.40, 0.42, 0.46],
    [0.72, 0.60, 0.30],
    [0.68, 0.42, 0.28],
    [0.60, 0.68, 0.76],
    [0.16, 0.16, 0.18],
    [0.66, 0.22, 0.20],
    [0.22, 0.34, 0.62],
    [0.26, 0.50, 0.34],
    [0.84, 0.80, 0.70],
];
/// Belts: rubber, dark green, blue, grey, brown, white.
const BELTS: [Colour; 6] = [
    [0.20, 0.20, 0.21],
    [0.16, 0.30, 0.24],
    [0.22, 0.30, 0.44],
    [0.46, 0.46, 0.45],
    [0.40, 0.33, 0.27],
    [0.72, 0.71, 0.68],
];
/// Least difference in brightness between a part and the belt.
const LEAST_CONTRAST: f32 = 0.16;
/// Brightness that is left in a shadow.
const SHADOW: f32 = 0.55;
/// Width of a part's bevelled rim, in pixels.
const BEVEL: f32 = 1.6;

/// Draws a part of `kind` into `out`, (3, 32, 32).
pub(super) fn draw(kind: Kind, rng: &mut impl RngCore, out: &mut [u8]) {
    let mut canvas = Canvas { colours: vec![[0.0; 3]; GRID * GRID] };
    let belt = varied(choice(rng, &BELTS), rng);
    canvas.lay_belt(belt, rng);
    let light = direction(rng);
    let middle = SIDE as f32 / 2.0;
    let centre = Point::new(middle + uniform(rng, -3.0, 3.0), middle + uniform(rng, -3.0, 3.0));
    let main = Placed::draw(kind, centre, uniform(rng, 9.5, 13.5), belt, rng);
    for _ in 0..rng.next_u32() % 4 {
        canvas.put(&fragment(&main, belt, rng), light);
    }
    canvas.put(&main, light);
    if chance(rng, 0.3) {
        canvas.lay_cable(&main, rng);
    }
    canvas.light_up(rng);
    expose(canvas.pixels(), rng, out);
}

/// A piece of another part, beside the main one.
fn fragment(main: &Placed, belt: Colour, rng: &mut impl RngCore) -> Placed {
    let kind = choice(rng, &Kind::ALL);
    let (away, radius) = (direction(rng), uniform(rng, 5.0, 10.0));
    let distance = main.radius + uniform(rng, 0.3, 0.9) * radius;
    let centre = Point::new(main.centre.x + away.x * distance, main.centre.y + away.y * distance);
    let cut = direction(rng);
    Placed { cut: Some((cut, uniform(rng, -0.3, 0.3))), ..Placed::draw(kind, centre, radius, belt, rng) }
}

/// A part at its place.
struct Placed {
    part: Part,
    /// In pixels.
    centre: Point,
    /// In pixels.
    radius: f32,
    /// Where the part's x axis points.
    axis: Point,
    /// -1 for a mirror image.
    mirror: f32,
    /// How much shorter it looks along its y axis, being seen from the side.
    squash: f32,
    paint: Colour,
    /// Brightness of its lit rim.
    gloss: f32,
    /// Direction and place of a straight break.
    cut: Option<(Point, f32)>,
}

impl Placed {
    fn draw(kind: Kind, centre: Point, radius: f32, belt: Colour, rng: &mut impl RngCore) -> Self {
        let mut paint = varied(choice(rng, &PAINTS), rng);
        while (brightness(paint) - brightness(belt)).abs() < LEAST_CONTRAST {
            paint = varied(choice(rng, &PAINTS), rng);
        }
        Placed {
            part: Part::draw(kind, rng),
            centre,
            radius,
            axis: direction(rng),
            mirror: if chance(rng, 0.5) { -1.0 } else { 1.0 },
            squash: uniform(rng, 0.8, 1.0),
            paint,
            gloss: uniform(rng, 0.1, 0.4),
            cut: None,
        }
    }

    /// Distances in pixels.
    fn surface(&self, at: Point) -> Surface {
        let p = at.minus(self.centre);
        let p = Point::new(p.x * self.axis.x + p.y * self.axis.y, p.y * self.axis.x - p.x * self.axis.y);
        let p = Point::new(p.x / self.radius, p.y * self.mirror / (self.radius * self.squash));
        let mut surface = self.part.surface(p);
        if let Some((direction, place)) = self.cut {
            surface.body = surface.body.max(p.x * direction.x + p.y * direction.y - place);
        }
        Surface { body: surface.body * self.radius, engraving: surface.engraving * self.radius }
    }
}

/// Samples of the picture, row by row.
struct Canvas {
    colours: Vec<Colour>,
}

impl Canvas {
    fn each(&mut self, mut paint: impl FnMut(Point, &mut Colour)) {
        for (i, colour) in self.colours.iter_mut().enumerate() {
            paint(sample_point(i % GRID, i / GRID), colour);
        }
    }

    /// The belt with its ribs and stains.
    fn lay_belt(&mut self, belt: Colour, rng: &mut impl RngCore) {
        let across = direction(rng);
        let (period, depth) = (uniform(rng, 2.5, 9.0), uniform(rng, 0.0, 0.16));
        let stains = Stains::draw(rng);
        let strength = uniform(rng, 0.05, 0.3);
        self.each(|at, colour| {
            let rib = zigzag((at.x * across.x + at.y * across.y) / period) * depth;
            *colour = scaled(belt, 1.0 + rib + strength * stains.at(at));
        });
    }

    /// A part and its shadow.
    fn put(&mut self, placed: &Placed, light: Point) {
        let field = Field::of(placed);
        let length = 0.16 * placed.radius * SAMPLES as f32;
        let (dx, dy) = ((light.x * length) as isize, (light.y * length) as isize);
        for (x, y) in field.window.places() {
            let colour = &mut self.colours[y * GRID + x];
            let shade = coverage(field.body(x as isize - dx, y as isize - dy));
            *colour = scaled(*colour, 1.0 - (1.0 - SHADOW) * shade);
            let surface = field.at(x, y);
            *colour = blend(*colour, field.paint(placed, x, y, light), coverage(surface.body));
        }
    }

    /// A cable across the part, off its middle.
    fn lay_cable(&mut self, main: &Placed, rng: &mut impl RngCore) {
        let across = direction(rng);
        let (offset, half) = (uniform(rng, 0.2, 0.8) * main.radius, uniform(rng, 0.7, 1.8));
        let paint = varied(choice(rng, &PAINTS), rng);
        let centre = main.centre;
        self.each(|at, colour| {
            let p = at.minus(centre);
            let distance = (p.x * across.x + p.y * across.y - offset).abs() - half;
            let round = 0.75 - 0.35 * (distance / half);
            *colour = blend(*colour, scaled(paint, round.min(1.15)), coverage(distance));
        });
    }

    /// Brightness, its gradient over the picture, and the colour of the light.
    fn light_up(&mut self, rng: &mut impl RngCore) {
        let (towards, slope) = (direction(rng), uniform(rng, 0.0, 0.4));
        let (exposure, warmth) = (uniform(rng, 0.65, 1.25), uniform(rng, -0.16, 0.16));
        let tint = [1.0 + warmth, 1.0, 1.0 - warmth];
        let middle = SIDE as f32 / 2.0;
        self.each(|at, colour| {
            let along = ((at.x - middle) * towards.x + (at.y - middle) * towards.y) / middle;
            let light = exposure * (1.0 + slope * along);
            colour.iter_mut().zip(tint).for_each(|(c, t)| *c *= light * t);
        });
    }

    /// Means of the samples of each pixel, (row, column).
    fn pixels(&self) -> Vec<Colour> {
        let mut pixels = vec![[0.0; 3]; SIDE * SIDE];
        for (i, colour) in self.colours.iter().enumerate() {
            let pixel = &mut pixels[i / GRID / SAMPLES * SIDE + i % GRID / SAMPLES];
            pixel.iter_mut().zip(colour).for_each(|(p, c)| *p += c / (SAMPLES * SAMPLES) as f32);
        }
        pixels
    }
}

/// Soft noise: random numbers on a coarse grid, blended in between.
struct Stains {
    values: [f32; Stains::SIDE * Stains::SIDE],
}

impl Stains {
    /// Knots of the grid along a side.
    const SIDE: usize = 8;

    fn draw(rng: &mut impl RngCore) -> Self {
        Stains { values: std::array::from_fn(|_| uniform(rng, -1.0, 1.0)) }
    }

    fn at(&self, p: Point) -> f32 {
        let scale = (Stains::SIDE - 1) as f32 / SIDE as f32;
        let (x, y) = (p.x * scale, p.y * scale);
        let (column, row) = ((x as usize).min(Stains::SIDE - 2), (y as usize).min(Stains::SIDE - 2));
        let (x, y) = (x - column as f32, y - row as f32);
        let value = |r: usize, c: usize| self.values[(row + r) * Stains::SIDE + column + c];
        let upper = value(0, 0) + (value(0, 1) - value(0, 0)) * x;
        let lower = value(1, 0) + (value(1, 1) - value(1, 0)) * x;
        upper + (lower - upper) * y
    }
}

/// A rectangle of samples.
#[derive(Clone, Copy)]
struct Window {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

impl Window {
    /// The samples that a part or its shadow may touch.
    fn around(placed: &Placed) -> Self {
        let reach = 1.5 * placed.radius;
        let clip = |v: f32| (v * SAMPLES as f32).clamp(0.0, GRID as f32) as usize;
        Window {
            left: clip(placed.centre.x - reach),
            top: clip(placed.centre.y - reach),
            right: clip(placed.centre.x + reach),
            bottom: clip(placed.centre.y + reach),
        }
    }

    fn width(&self) -> usize {
        self.right - self.left
    }

    fn places(self) -> impl Iterator<Item = (usize, usize)> {
        (self.top..self.bottom).flat_map(move |y| (self.left..self.right).map(move |x| (x, y)))
    }
}

/// A part's distances at every sample of its window.
struct Field {
    window: Window,
    surfaces: Vec<Surface>,
}

impl Field {
    fn of(placed: &Placed) -> Self {
        let window = Window::around(placed);
        Field { window, surfaces: window.places().map(|(x, y)| placed.surface(sample_point(x, y))).collect() }
    }

    fn at(&self, x: usize, y: usize) -> Surface {
        self.surfaces[(y - self.window.top) * self.window.width() + x - self.window.left]
    }

    /// Distance to the outline; far away outside of the window.
    fn body(&self, x: isize, y: isize) -> f32 {
        let w = &self.window;
        let inside = x >= w.left as isize && x < w.right as isize && y >= w.top as isize && y < w.bottom as isize;
        if inside { self.at(x as usize, y as usize).body } else { 9.0 }
    }

    /// Colour of the part at a sample: its rim is bevelled and catches the light, what is engraved is dark.
    fn paint(&self, placed: &Placed, x: usize, y: usize, light: Point) -> Colour {
        let surface = self.at(x, y);
        let rim = (1.0 + surface.body / BEVEL).clamp(0.0, 1.0);
        let step = |dx: isize, dy: isize| self.body(x as isize + dx, y as isize + dy).min(2.0 * BEVEL);
        let slope =
            if rim > 0.0 { (step(1, 0) - step(-1, 0)) * light.x + (step(0, 1) - step(0, -1)) * light.y } else { 0.0 };
        // The light comes from where the shadow does not fall.
        let lit = 1.0 - placed.gloss * rim * slope * SAMPLES as f32 / 2.0;
        blend(scaled(placed.paint, lit), scaled(placed.paint, 0.3), coverage(surface.engraving))
    }
}

/// Blur, noise and rounding, from (row, column) to bytes in (channel, row, column).
fn expose(pixels: Vec<Colour>, rng: &mut impl RngCore, out: &mut [u8]) {
    let (blur_x, blur_y) = (uniform(rng, 0.0, 0.22), uniform(rng, 0.0, 0.22));
    let pixels = blurred(&blurred(&pixels, blur_x, 1), blur_y, SIDE);
    let noise = uniform(rng, 0.005, 0.045);
    let mut bytes = [0; 4];
    for (i, pixel) in pixels.iter().enumerate() {
        for (c, value) in pixel.iter().enumerate() {
            rng.fill_bytes(&mut bytes);
            // The sum of four even draws is close to a normal one; its deviation is 2 · 256 / √12.
            let sum: i32 = bytes.iter().map(|b| i32::from(*b)).sum();
            let value = value + noise * (sum - 510) as f32 / 147.8;
            out[c * SIDE * SIDE + i] = (value * 255.0 + 0.5).clamp(0.0, 255.0) as u8;
        }
    }
}

/// Each pixel with a share of its neighbours `step` before and after; the border counts as its own neighbour.
fn blurred(pixels: &[Colour], share: f32, step: usize) -> Vec<Colour> {
    let place = |i: usize| if step == 1 { i % SIDE } else { i / SIDE };
    let neighbours = |i: usize| {
        let before = if place(i) == 0 { i } else { i - step };
        let after = if place(i) == SIDE - 1 { i } else { i + step };
        [pixels[before], pixels[after]]
    };
    (0..pixels.len())
        .map(|i| {
            let [a, b] = neighbours(i);
            std::array::from_fn(|c| pixels[i][c] * (1.0 - 2.0 * share) + (a[c] + b[c]) * share)
        })
        .collect()
}

/// Middle of a sample, in pixels.
fn sample_point(x: usize, y: usize) -> Point {
    Point::new((x as f32 + 0.5) / SAMPLES as f32, (y as f32 + 0.5) / SAMPLES as f32)
}

/// How much of a sample lies inside, from the distance of its middle in pixels.
fn coverage(distance: f32) -> f32 {
    (0.5 - distance * SAMPLES as f32).clamp(0.0, 1.0)
}

/// A direction, even on the circle: a point in the square until it lies in the disc.
fn direction(rng: &mut impl RngCore) -> Point {
    loop {
        let p = Point::new(uniform(rng, -1.0, 1.0), uniform(rng, -1.0, 1.0));
        let length = p.length();
        if (0.1..=1.0).contains(&length) {
            return Point::new(p.x / length, p.y / length);
        }
    }
}

fn choice<T: Copy>(rng: &mut impl RngCore, from: &[T]) -> T {
    from[rng.next_u32() as usize % from.len()]
}

/// A colour a little lighter or darker, and a little off.
fn varied(colour: Colour, rng: &mut impl RngCore) -> Colour {
    let all = uniform(rng, 0.85, 1.15);
    colour.map(|c| c * all + uniform(rng, -0.05, 0.05))
}

fn brightness([red, green, blue]: Colour) -> f32 {
    0.3 * red + 0.6 * green + 0.1 * blue
}

fn scaled(colour: Colour, by: f32) -> Colour {
    colour.map(|c| c * by)
}

fn blend(below: Colour, above: Colour, share: f32) -> Colour {
    std::array::from_fn(|c| below[c] + (above[c] - below[c]) * share)
}
