//! A whole step as commands: gather a batch, forward, loss, backward, optimiser; or gather, forward, keep the logits.

use super::command::{Buffer, Call, Life, THREADS, Tape, args};
use super::form::Form;
use super::forward::Mode;
use super::lowering::{Lowering, ParamBuffers};
use crate::graph::{Graph, NodeId, Op, Role};
use crate::nn::optimiser::{EPSILON, Method};

/// Most blocks over which the length of the gradient is summed.
const NORM_BLOCKS: usize = 64;
/// Threads of the one block that computes the loss.
const LOSS_THREADS: u32 = 1024;

/// Settings of training that do not change from step to step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepSettings {
    /// Images in a step.
    pub batch: usize,
    /// Most steps of an epoch.
    pub steps: usize,
    /// Probability mass that the target spreads over all classes.
    pub label_smoothing: f32,
    /// How parameters move along their gradient.
    pub method: Method,
    /// Weight decay of convolutions and linear layers.
    pub weight_decay: f32,
    /// Longest gradient of a step.
    pub clip_norm: f32,
}

/// Buffers that the host writes before an epoch.
#[derive(Debug, Clone, Copy)]
pub struct EpochBuffers {
    /// Which image stands where in the epoch, u32.
    pub order: Buffer,
    /// How each is varied, four i16.
    pub variations: Buffer,
    /// The step that runs next, u32; each step moves it on.
    pub step: Buffer,
}

/// A training step.
pub struct TrainingStep {
    /// Its commands.
    pub tape: Tape,
    /// Numbers that must be on the device before the first step.
    pub constants: Vec<(Buffer, Vec<f32>)>,
    /// Parameters.
    pub params: ParamBuffers,
    /// What the optimiser remembers, floats.
    pub optimiser: Buffer,
    /// Where weight decay acts, a byte for each parameter.
    pub decays: Buffer,
    /// What an epoch goes through.
    pub epoch: EpochBuffers,
    /// Learning rate of each step of an epoch, floats.
    pub rates: Buffer,
    /// Mean loss of each step, floats.
    pub losses: Buffer,
    /// Right answers of each step, u32.
    pub rights: Buffer,
}

/// An evaluation step.
pub struct EvaluationStep {
    /// Its commands.
    pub tape: Tape,
    /// Numbers that must be on the device before the first step.
    pub constants: Vec<(Buffer, Vec<f32>)>,
    /// Parameters; nothing writes the gradient.
    pub params: ParamBuffers,
    /// What is evaluated.
    pub epoch: EpochBuffers,
    /// Logits of all steps, floats.
    pub logits: Buffer,
}

impl TrainingStep {
    /// The step of a graph; `stored` is the size of a stored value. The pixels of the data set are outside buffer 0, its
    /// labels 1.
    pub fn of(graph: &Graph, settings: &StepSettings, stored: usize) -> Self {
        let mut l = Lowering::new(graph, settings.batch, stored);
        let epoch = epoch_buffers(&mut l, settings.steps);
        let (image, labels) = gather(&mut l, &epoch);
        l.forward(image, Mode::Training);
        let [rates, losses, rights] = [(); 3].map(|()| l.tape.buffer(settings.steps * 4, Life::Kept));
        let classes = graph.output_shape().elements();
        let (logits, gradient) = (l.value(graph.output()), l.map(settings.batch * classes));
        let mut all = args![logits, labels, settings.batch, classes, settings.label_smoothing, gradient];
        all.extend(args![losses, rights, epoch.step]);
        l.tape.call(Call { block: LOSS_THREADS, ..Call::blocks("cross_entropy", 1, 1) }, all);
        l.backward(gradient);
        let trained = l.layout.trained();
        let optimiser = l.tape.buffer(settings.method.state_len(trained) * 4, Life::Kept);
        let decays = l.tape.buffer(trained, Life::Kept);
        let (params, tickets, scale) = (l.params, l.tickets(2), l.floats(1));
        let blocks = trained.div_ceil(THREADS as usize).clamp(1, NORM_BLOCKS);
        let partials = l.floats(blocks);
        let all = args![params.gradient, trained, settings.clip_norm, partials, tickets, scale];
        l.tape.call(Call::blocks("gradient_scale", blocks, 1), all);
        let rounded = (params.rounded != params.params).then(|| params.rounded.at(0, 1));
        let mut all = args![params.params, params.gradient, optimiser, decays, rounded, trained, scale, rates];
        all.extend(args![epoch.step, tickets.at(1, 4)]);
        let kernel = match settings.method {
            Method::Sgd { momentum } => {
                all.extend(args![momentum as f32]);
                "sgd"
            }
            Method::AdamW { beta1, beta2 } => {
                all.extend(args![beta1 as f32, beta2 as f32, EPSILON]);
                "adamw"
            }
        };
        all.extend(args![settings.weight_decay]);
        l.tape.call(Call::each(kernel, trained), all);
        let Lowering { tape, constants, .. } = l;
        TrainingStep { tape, constants, params, optimiser, decays, epoch, rates, losses, rights }
    }

    /// For each parameter, whether it decays: convolutions and linear layers do, scales, shifts and biases do not.
    pub fn decays_of(graph: &Graph) -> Vec<u8> {
        let layout = crate::graph::Layout::of(graph);
        let mut decays = vec![0; layout.trained()];
        for spec in layout.specs().filter(|s| s.role == Role::Weight) {
            decays[spec.offset..spec.offset + spec.elements()].fill(1);
        }
        decays
    }
}

impl EvaluationStep {
    /// The evaluation of `steps` batches.
    pub fn of(graph: &Graph, batch: usize, steps: usize, stored: usize) -> Self {
        let mut l = Lowering::new(graph, batch, stored);
        let epoch = epoch_buffers(&mut l, steps);
        let (image, _) = gather(&mut l, &epoch);
        l.forward(image, Mode::Evaluation);
        let len = batch * graph.output_shape().elements();
        let logits = l.tape.buffer(steps * len * 4, Life::Kept);
        l.tape.call(Call::blocks("keep_logits", 1, 1), args![l.value(graph.output()), logits, len, epoch.step]);
        let Lowering { tape, constants, params, .. } = l;
        EvaluationStep { tape, constants, params, epoch, logits }
    }
}

fn epoch_buffers(l: &mut Lowering, steps: usize) -> EpochBuffers {
    let images = steps * l.batch;
    let mut kept = |bytes| l.tape.buffer(bytes, Life::Kept);
    EpochBuffers { order: kept(images * 4), variations: kept(images * 8), step: kept(4) }
}

/// Gathers the batch: (images, labels). Where all that reads the input is a normalisation, it is applied here.
fn gather(l: &mut Lowering, epoch: &EpochBuffers) -> (Buffer, Buffer) {
    let [pixels, all_labels] = [0, 1].map(|which| l.tape.buffer(1, Life::Outside(which)));
    let shape = l.graph.input_shape();
    let (image, labels) = (l.map(l.batch * shape.elements()), l.tape.buffer(l.batch * 4, Life::Step));
    let constants = first_normalisation(l).map(|constants| l.normalisation(constants).map(|buffer| buffer.at(0, 4)));
    let [scale, shift] = constants.map_or([None, None], |places| places.map(Some));
    let mut all = args![pixels, all_labels, epoch.order, epoch.variations, epoch.step, l.batch];
    all.extend(args![shape.channels, shape.height, shape.width, scale, shift, image, labels]);
    l.tape.call(Call::each("gather_batch", l.batch * shape.elements()), all);
    (image, labels)
}

fn first_normalisation<'g>(l: &Lowering<'g>) -> Option<&'g crate::graph::Normalize> {
    const INPUT: NodeId = 0;
    if l.forms[INPUT] != Form::Deferred {
        return None;
    }
    l.graph.nodes().iter().find_map(|node| match &node.op {
        Op::Normalize(constants) if node.inputs.contains(&INPUT) => Some(constants),
        _ => None,
    })
}
