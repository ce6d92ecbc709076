//! The network as it is deployed: folded, operators in the order of the memory plan, sums as a chain of two-operand
//! additions in the order in which the plan adds them. A runtime that follows the file needs the planned memory.

use super::memory::Step;
use super::op::{Op, Role};
use super::{Folded, Graph, GraphBuilder, MemoryPlan, NodeId, Weights};

/// A graph ready for export, and how to make its weights from those that were trained.
#[derive(Debug, Clone)]
pub struct Deployable {
    /// The graph in plan order.
    pub graph: Graph,
    folded: Folded,
    /// For each node, the node of the folded graph whose weights it takes.
    origin: Vec<Option<NodeId>>,
}

/// Folds and orders a trained graph for export.
pub fn deployable(graph: &Graph) -> Deployable {
    let folded = Folded::of(graph);
    let plan = MemoryPlan::of(&folded.graph);
    let source = &folded.graph;
    let mut builder = GraphBuilder::default();
    let mut place: Vec<Option<NodeId>> = vec![None; source.nodes().len()];
    let mut added = vec![0; source.nodes().len()];
    let mut origin = Vec::new();
    let push = |builder: &mut GraphBuilder, name: String, op: &Op, inputs: &[NodeId]| {
        builder.push(name, op.clone(), inputs).expect("ordering keeps every shape of a valid graph")
    };
    place[0] = Some(push(&mut builder, source.node(0).name.clone(), &source.node(0).op, &[]));
    origin.push(Some(0));
    for step in plan.steps {
        match step {
            Step::Compute(id) => {
                let node = source.node(id);
                let inputs: Vec<NodeId> =
                    node.inputs.iter().map(|i| place[*i].expect("the plan computes inputs first")).collect();
                place[id] = Some(push(&mut builder, node.name.clone(), &node.op, &inputs));
                origin.push(Some(id));
            }
            Step::Merge { sum, operand, first } => {
                added[sum] += 1;
                let operand = place[operand].expect("the plan computes operands first");
                place[sum] = Some(match (first, place[sum]) {
                    (false, Some(so_far)) => {
                        let node = source.node(sum);
                        let name = match added[sum] == node.inputs.len() {
                            true => node.name.clone(),
                            false => format!("{}.{}", node.name, added[sum] - 1),
                        };
                        origin.push(None);
                        push(&mut builder, name, &Op::Add, &[so_far, operand])
                    }
                    _ => operand,
                });
            }
        }
    }
    let graph = builder.finish().expect("ordering keeps a valid graph valid");
    Deployable { graph, folded, origin }
}

impl Deployable {
    /// The weights as deployed, from those that were trained.
    pub fn weights(&self, trained: &Weights) -> Weights {
        let folded = self.folded.weights(trained);
        let mut weights = Weights::neutral(&self.graph);
        for (id, origin) in self.origin.iter().enumerate() {
            for role in [Role::Weight, Role::Bias] {
                if let Some(values) = origin.and_then(|old| folded.get(old, role)) {
                    weights.set(id, role, values);
                }
            }
        }
        weights
    }
}
