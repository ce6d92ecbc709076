//! A network's cost and memory plan, as text and as JSON.

use serde_json::{Value, json};

use super::plain_table;
use crate::graph::{Cost, Folded, Graph, MemoryPlan, NumberFormat};
use crate::units::{Bytes, Macs};

/// Cost and operators for programs.
pub fn inspection_json(graph: &Graph, numbers: NumberFormat) -> Value {
    let cost = Cost::of(graph);
    let folded = Folded::of(graph).graph;
    let plan = MemoryPlan::of(&folded);
    let bytes = numbers.activation_bytes();
    let nodes: Vec<Value> = graph
        .nodes()
        .iter()
        .enumerate()
        .map(|(id, node)| {
            let inputs: Vec<&str> = node.inputs.iter().map(|i| graph.node(*i).name.as_str()).collect();
            json!({
                "name": node.name,
                "op": node.op.name(),
                "inputs": inputs,
                "shape": [node.shape.channels, node.shape.height, node.shape.width],
                "macs": node.op.macs(&graph.input_shapes(id), node.shape),
                "params": params(graph, id),
            })
        })
        .collect();
    let buffers: Vec<Value> = plan
        .buffers
        .iter()
        .map(|b| {
            json!({
                "nodes": b.nodes.iter().map(|id| folded.node(*id).name.as_str()).collect::<Vec<_>>(),
                "offset_bytes": b.offset as u64 * bytes,
                "size_bytes": b.elements as u64 * bytes,
                "first_step": b.first_step,
                "last_step": b.last_step,
            })
        })
        .collect();
    json!({
        "schema_version": 1,
        "numbers": numbers,
        "macs": cost.macs,
        "linear_macs": cost.linear_macs,
        "params": cost.params,
        "peak_ram_bytes": cost.peak_ram(numbers).0,
        "peak_ram_is_optimal": plan.optimal,
        "weights_flash_bytes": cost.weights_flash(numbers).0,
        "nodes": nodes,
        "memory_plan": buffers,
    })
}

/// Cost, operators and the memory plan for people.
pub fn inspection_text(graph: &Graph, numbers: NumberFormat) -> String {
    let cost = Cost::of(graph);
    let folded = Folded::of(graph).graph;
    let plan = MemoryPlan::of(&folded);
    let rows = graph
        .nodes()
        .iter()
        .enumerate()
        .map(|(id, node)| {
            let macs = node.op.macs(&graph.input_shapes(id), node.shape);
            let blank = |n: u64, text: String| if n == 0 { String::new() } else { text };
            let own = params(graph, id);
            vec![
                node.name.clone(),
                node.op.describe(),
                node.shape.to_string(),
                blank(macs, Macs(macs).to_string()),
                blank(own, own.to_string()),
            ]
        })
        .collect();
    let operators = plain_table(&["node", "operator", "output", "MACs", "parameters"], rows);
    let bytes = numbers.activation_bytes();
    let rows = plan
        .buffers
        .iter()
        .map(|b| {
            vec![
                b.nodes.iter().map(|id| folded.node(*id).name.as_str()).collect::<Vec<_>>().join(" → "),
                Bytes(b.offset as u64 * bytes).to_string(),
                Bytes(b.elements as u64 * bytes).to_string(),
                format!("{}–{}", b.first_step, b.last_step),
            ]
        })
        .collect();
    let buffers = plain_table(&["buffer", "offset", "size", "steps"], rows);
    let proof = if plan.optimal { "the least that any order of operators needs" } else { "not proved to be least" };
    format!(
        "{operators}\n\nmemory plan, {numbers}\n{buffers}\n\n\
         MACs           {} ({} in convolutions; linear layers add {})\n\
         parameters     {}\n\
         peak RAM       {} ({proof})\n\
         weights flash  {}\n",
        Macs(cost.macs),
        cost.macs,
        cost.linear_macs,
        cost.params,
        cost.peak_ram(numbers),
        cost.weights_flash(numbers),
    )
}

fn params(graph: &Graph, id: usize) -> u64 {
    let params = graph.node(id).op.params(&graph.input_shapes(id));
    params.iter().filter(|(role, _)| role.is_trained()).map(|(_, d)| d.iter().product::<usize>() as u64).sum()
}
