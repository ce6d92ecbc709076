//! A whole network as one candle operator: (images, flat parameters) → logits, with its own backward pass. The loss, the
//! optimiser's call and everything else stay candle's.

use std::sync::{Arc, Mutex, MutexGuard};

use candle_core::{CpuStorage, CustomOp2, Layout, Result, Shape, Tensor};

use super::net::{Net, Workspace};

/// The operator. Clones share buffers and running statistics.
#[derive(Clone)]
pub struct NetworkOp {
    net: Arc<Net>,
    state: Arc<Mutex<State>>,
}

struct State {
    workspace: Workspace,
    buffers: Vec<f32>,
}

impl NetworkOp {
    /// An operator that moves the running statistics `buffers` with each forward pass.
    pub fn new(net: Net, buffers: Vec<f32>) -> Self {
        let state = State { workspace: Workspace::default(), buffers };
        NetworkOp { net: Arc::new(net), state: Arc::new(Mutex::new(state)) }
    }

    /// The running statistics as they are now.
    pub fn buffers(&self) -> Vec<f32> {
        self.state().buffers.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the state")
    }
}

impl CustomOp2 for NetworkOp {
    fn name(&self) -> &'static str {
        "network"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, p: &CpuStorage, lp: &Layout) -> Result<(CpuStorage, Shape)> {
        let (images, params) = (contiguous(x, lx)?, contiguous(p, lp)?);
        let (batch, _, _, _) = lx.shape().dims4()?;
        let State { workspace, buffers } = &mut *self.state();
        let logits = self.net.forward(params, buffers, images, workspace);
        let shape = Shape::from((batch, logits.len() / batch));
        Ok((CpuStorage::F32(logits), shape))
    }

    fn bwd(&self, x: &Tensor, p: &Tensor, _: &Tensor, g: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let g = g.flatten_all()?.to_vec1::<f32>()?;
        let ((images, lx), (params, lp)) = (x.storage_and_layout(), p.storage_and_layout());
        let (candle_core::Storage::Cpu(images), candle_core::Storage::Cpu(params)) = (&*images, &*params) else {
            candle_core::bail!("the network runs on the CPU")
        };
        let (images, params) = (contiguous(images, lx)?, contiguous(params, lp)?);
        let gradient = self.net.backward(params, images, &g, &mut self.state().workspace);
        Ok((None, Some(Tensor::from_vec(gradient, p.shape(), p.device())?)))
    }
}

/// The values of a contiguous f32 tensor.
pub(super) fn contiguous<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((from, to)) => Ok(&storage.as_slice::<f32>()?[from..to]),
        None => candle_core::bail!("the operator takes contiguous tensors, got {layout:?}"),
    }
}

/// Cross entropy of logits (batch, classes) against labels, with label smoothing (Szegedy et al., 2016): the target keeps
/// `1 - smoothing` for the label and spreads the rest evenly over all classes. Mean over the batch.
pub fn cross_entropy(logits: &Tensor, labels: &[u32], smoothing: f32) -> Result<Tensor> {
    let (batch, classes) = logits.dims2()?;
    let mut target = vec![smoothing / classes as f32; batch * classes];
    for (row, label) in target.chunks_mut(classes).zip(labels) {
        row[*label as usize] += 1.0 - smoothing;
    }
    soft_cross_entropy(logits, target)
}

/// Cross entropy of logits (batch, classes) against a `target` of weights (batch, classes). Mean over the batch.
pub fn soft_cross_entropy(logits: &Tensor, target: Vec<f32>) -> Result<Tensor> {
    let (batch, classes) = logits.dims2()?;
    let target = Tensor::from_vec(target, (batch, classes), logits.device())?;
    let log_probabilities = candle_nn::ops::log_softmax(logits, 1)?;
    (log_probabilities * target)?.sum_all()?.affine(-1.0 / batch as f64, 0.0)
}
