//! netwright makes neural networks to measure for a device: from *this device, this data* to a trained network that
//! provably fits.
//!
//! # What flows
//!
//! ```text
//! targets/*.yaml ─ Target ──────────────────────┐ limits            verdict(Cost, Latency)
//!                                               ▼                            │
//!  space ── sample / mutate / cross ──▶ Genotype ── lower ──▶ Graph ── Cost ─┤   (Genotype ── Dag ──▶ predictor)
//!                                                  │ │                       ▼
//!                                                  │ └ train ──▶ Weights     Proposal ── trial ──▶ journal
//!                                                  └── deployable ──▶ (Graph, Weights) ─ onnx::encode ─▶ bytes
//!                                                                      agreement (tract ≙ trained) ─ bench ─▶ card
//! ```
//!
//! # Floors
//!
//! A room may use only rooms of lower floors, never a neighbour on its own floor; a test reads the sources and enforces it.
//!
//! | floor | rooms |
//! |--:|---|
//! | 0 | [`units`], [`stats`], [`seed`] |
//! | 1 | [`graph`], [`regress`] |
//! | 2 | [`target`], [`space`], `data`, [`onnx`], `nn` |
//! | 3 | `tabular`, `predictor`, `proxy`, `train`, [`measure`] |
//! | 4 | `search`, `generate` |
//! | 5 | `run` |
//! | 6 | `experiment`, [`report`] |
//! | 7 | [`cli`] |
//!
//! The rooms without a link need the `train` feature (on by default); without it the crate is the small program that runs
//! on a device: `inspect`, `bench`, `calibrate`, `targets`, `doctor`.
//!
//! # Invariants
//!
//! - **One graph.** Cost, memory plan, trainer and exporter read the same [`graph::Graph`]; each matches every
//!   [`graph::Op`] by name.
//! - **Two pictures.** A `Graph` is what runs; a [`space::Dag`] is what a predictor sees. [`space`] makes both, nothing else
//!   does.
//! - **Measured, not promised.** A prediction only filters. What is called deployable has been exported, run through tract
//!   and keeps every limit of its profile by measurement; the latency of a device that is not here is an estimate and is
//!   called so.
//! - **Limits are hard.** A [`target::Verdict`] lists every broken limit with what was needed and what was found.
//! - **Counts decide, not clocks.** A time budget becomes counts once; from then on the seed decides. Every random stream is
//!   derived from seed, purpose and index ([`seed`]). On the CPU the bits of a result depend on seed and instruction set,
//!   never on threads.
//! - **Nothing observed is lost.** A trial is in the journal before the search goes on; a strategy's next question depends
//!   only on its seed and on what it was told, so a resumed run ends as an unbroken one.
//! - Rooms on floors 0 and 1 do no input or output. Time enters only through [`measure`]. Only [`cli`] prints. Only
//!   `data::fetch` uses the network, and only when it is asked to.

#![warn(missing_docs)]

pub mod seed;
pub mod stats;
pub mod units;

pub mod graph;
pub mod regress;

#[cfg(feature = "train")]
pub mod data;
#[cfg(feature = "train")]
pub mod nn;
pub mod onnx;
pub mod space;
pub mod target;

pub mod measure;
#[cfg(feature = "train")]
pub mod predictor;
#[cfg(feature = "train")]
pub mod proxy;
#[cfg(feature = "train")]
pub mod tabular;
#[cfg(feature = "train")]
pub mod train;

#[cfg(feature = "train")]
pub mod generate;
#[cfg(feature = "train")]
pub mod search;

#[cfg(feature = "train")]
pub mod run;

#[cfg(feature = "train")]
pub mod experiment;
pub mod report;

pub mod cli;
