//! A network laid bare for its proxies: without the normalisation of its image, which batches have behind them already.

use crate::graph::{Conv2d, Graph, GraphBuilder, Layout, NodeId, Op, ParamSpec, Role, Weights};

/// A graph with a 1×1 convolution behind its image. Its weights pass the image on unchanged; it is there because gradients
/// end where nothing is trained, and the gradient by the image is wanted.
pub(super) struct Bare {
    pub graph: Graph,
    /// The convolution that passes the image on.
    pub image: NodeId,
}

impl Bare {
    pub fn of(graph: &Graph) -> Bare {
        let shape = graph.input_shape();
        let mut b = GraphBuilder::new(shape).expect("a graph has an image");
        let pass_on = Op::Conv2d(Conv2d::pointwise(shape.channels));
        let image = b.push("passed on", pass_on, &[0]).expect("an image has channels");
        let mut places = vec![image];
        for node in &graph.nodes()[1..] {
            let inputs: Vec<NodeId> = node.inputs.iter().map(|input| places[*input]).collect();
            places.push(match &node.op {
                Op::Normalize(_) => inputs[0],
                op => b.push(node.name.clone(), op.clone(), &inputs).expect("shapes are as they were"),
            });
        }
        Bare { graph: b.finish().expect("every value is used as before"), image }
    }

    /// Sets the weights of the convolution that passes the image on.
    pub fn pass_the_image_on(&self, weights: &mut Weights) {
        let channels = self.graph.input_shape().channels;
        let identity: Vec<f32> = (0..channels * channels).map(|at| f32::from(at % (channels + 1) == 0)).collect();
        weights.set(self.image, Role::Weight, &identity);
    }

    /// The weights of convolutions and linear layers.
    pub fn layers<'a>(&self, layout: &'a Layout) -> impl Iterator<Item = &'a ParamSpec> {
        let image = self.image;
        layout.specs().filter(move |spec| spec.role == Role::Weight && spec.node != image)
    }

    /// The features before the mean over each channel: the graph without what comes after them, nor what passes the image
    /// on. The output itself where no mean is taken.
    pub fn features(&self) -> Graph {
        let nodes = self.graph.nodes();
        let mean = nodes.iter().rposition(|node| node.op == Op::GlobalMean);
        let end = mean.map_or(self.graph.output(), |mean| nodes[mean].inputs[0]);
        let mut leads_there = vec![false; nodes.len()];
        leads_there[end] = true;
        for id in (0..=end).rev() {
            if leads_there[id] {
                nodes[id].inputs.iter().for_each(|input| leads_there[*input] = true);
            }
        }
        let mut b = GraphBuilder::new(self.graph.input_shape()).expect("a graph has an image");
        let mut places = vec![0; nodes.len()];
        for id in (0..=end).filter(|id| *id > self.image && leads_there[*id]) {
            let inputs: Vec<NodeId> = nodes[id].inputs.iter().map(|input| places[*input]).collect();
            places[id] =
                b.push(nodes[id].name.clone(), nodes[id].op.clone(), &inputs).expect("shapes are as they were");
        }
        b.finish().expect("everything leads to the features")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::{Shape, run_reference};
    use crate::seed;
    use crate::space::Space;

    #[test]
    fn what_is_bare_answers_to_a_normalised_image_as_before_to_the_image() {
        let space = Space::named("nats-tss").unwrap();
        let graph = space
            .lower(&space.parse("|nor_conv_1x1~0|+|none~0|none~1|+|skip_connect~0|nor_conv_1x1~1|none~2|").unwrap());
        let bare = Bare::of(&graph);
        let weights = super::super::weights::published(&bare, 1);
        let mut before = Weights::neutral(&graph);
        // The same arrays in the same order, but for the one that passes the image on.
        let ours: Vec<&ParamSpec> = weights.layout.specs().filter(|spec| spec.node != bare.image).collect();
        let theirs: Vec<ParamSpec> = before.layout.specs().cloned().collect();
        assert_eq!(ours.len(), theirs.len());
        ours.iter().zip(&theirs).for_each(|(from, to)| before.values_mut(to).copy_from_slice(weights.values(from)));
        let Op::Normalize(constants) = &graph.node(1).op else { panic!("{:?}", graph.node(1)) };
        let image: Vec<f32> = (0..3 * 1024).map(|i| (i % 97) as f32 / 97.0).collect();
        let normalised: Vec<f32> = image
            .iter()
            .enumerate()
            .map(|(at, x)| (x - constants.mean[at / 1024]) / constants.std[at / 1024])
            .collect();
        let found = run_reference(&bare.graph, &weights, &normalised);
        for (a, b) in found.iter().zip(run_reference(&graph, &before, &image)) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    }

    #[test]
    fn features_end_before_the_mean() {
        let space = Space::named("nats-tss").unwrap();
        let graph = space.lower(&space.sample(&mut seed::stream(1, "test", 0)));
        let features = Bare::of(&graph).features();
        assert_eq!(features.output_shape(), Shape::new(64, 8, 8));
        assert!(!features.nodes().iter().any(|node| matches!(node.op, Op::GlobalMean | Op::Linear(_))));
    }
}
