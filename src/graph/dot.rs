//! A network as Graphviz text.

use std::fmt::Write;

use super::Graph;

/// The graph in Graphviz's language: a box for each operator with its shape.
pub fn to_dot(graph: &Graph) -> String {
    let mut dot = String::from("digraph network {\n  node [shape=box, fontname=\"sans-serif\"];\n");
    for (id, node) in graph.nodes().iter().enumerate() {
        let name = node.name.replace('\\', "\\\\").replace('"', "\\\"");
        writeln!(dot, "  n{id} [label=\"{name}\\n{}\\n{}\"];", node.op.describe(), node.shape)
            .expect("writing to a string cannot fail");
        for input in &node.inputs {
            writeln!(dot, "  n{input} -> n{id};").expect("writing to a string cannot fail");
        }
    }
    dot + "}\n"
}
