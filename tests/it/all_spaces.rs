//! Networks of every space train, are exported, and tract gives the answers of the readable interpreter.

use netwright::data::Images;
use netwright::graph::{Graph, Shape, Weights, deployable, run_reference};
use netwright::onnx::{ModelInfo, Runnable, encode};
use netwright::seed;
use netwright::space::{
    Enas6, Enas6Config, MacroConfig, MacroSpace, MobileNetV3, MobileNetV3Config, NasBench101, NasBench101Config,
    NasBenchMacro, NatsSss, NatsTss, NatsTssConfig, Space, Task,
};
use netwright::train::{TrainConfig, train};

const NETWORKS: usize = 3;

/// Every space with few channels, for small images of odd sides.
fn small_spaces() -> Vec<Space> {
    let task = Task { input: Shape::new(3, 11, 9), classes: 4, mean: vec![0.5; 3], std: vec![0.25; 3] };
    let Task { input, classes, mean, std } = task.clone();
    let config = MacroConfig { input, classes, mean, std, ..MacroConfig::default() }.scaled(0.25);
    let tss = NatsTssConfig { task: task.clone(), channels: 4, cells: 1 };
    let cells = NasBench101Config { task: task.clone(), stem: 10, modules: 1 };
    vec![
        Space::Macro(MacroSpace::new(config).unwrap()),
        Space::NasBench101(NasBench101::new(cells).unwrap()),
        Space::NasBenchMacro(NasBenchMacro::new(task.clone()).unwrap()),
        Space::NatsSss(NatsSss::new(task.clone()).unwrap()),
        Space::NatsTss(NatsTss::new(tss).unwrap()),
        Space::Enas6(Enas6::new(Enas6Config { task: task.clone(), channels: 8 }).unwrap()),
        Space::MobileNetV3(MobileNetV3::new(MobileNetV3Config { task, width: 0.25 }).unwrap()),
    ]
}

fn images(graph: &Graph, count: usize) -> Images {
    let shape = graph.input_shape();
    let pixels = (0..count * shape.elements()).map(|i| (i * 7919 % 251) as u8).collect();
    Images::new(shape, pixels, (0..count).map(|i| i % 4).collect())
}

/// tract's and the interpreter's logits of an image differ by rounding only.
fn assert_exported(graph: &Graph, weights: &Weights, name: &str) {
    let image: Vec<f32> = (0..graph.input_shape().elements()).map(|i| (i * 31 % 97) as f32 / 97.0).collect();
    let expected = run_reference(graph, weights, &image);
    let deployed = deployable(graph);
    let file = encode(&deployed.graph, &deployed.weights(weights), &ModelInfo::default());
    let found = Runnable::load(&file).and_then(|model| model.run(&image)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let largest = expected.iter().fold(1.0f32, |largest, value| largest.max(value.abs()));
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() <= 1e-4 * largest, "{name}: {found} {expected}");
    }
}

#[test]
fn networks_of_every_space_train_and_are_exported() {
    for space in small_spaces() {
        let mut rng = seed::stream(5, "test", 0);
        for _ in 0..NETWORKS {
            let genotype = space.sample(&mut rng);
            let name = format!("{} {}", space.name(), space.format(&genotype));
            let graph = space.lower(&genotype);
            let config = TrainConfig { epochs: 2, batch: 8, ..TrainConfig::default() };
            let trained = train(&graph, &images(&graph, 24), &config, 1, None, &mut |_| {});
            let weights = trained.unwrap_or_else(|e| panic!("{name}: {e}")).weights;
            assert_exported(&graph, &weights, &name);
        }
    }
}

#[test]
fn networks_that_add_a_value_to_itself_or_answer_always_the_same_train_and_are_exported() {
    let task = Task { input: Shape::new(3, 8, 8), classes: 4, mean: vec![0.5; 3], std: vec![0.25; 3] };
    let space = NatsTss::new(NatsTssConfig { task, channels: 4, cells: 2 }).unwrap();
    for text in [
        "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|",
        "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
    ] {
        let graph = space.lower(&space.parse(text).unwrap());
        let config = TrainConfig { epochs: 2, batch: 8, ..TrainConfig::default() };
        let trained = train(&graph, &images(&graph, 24), &config, 1, None, &mut |_| {});
        assert_exported(&graph, &trained.unwrap_or_else(|e| panic!("{text}: {e}")).weights, text);
    }
}

#[test]
fn cells_of_nas_bench_101_whose_channels_do_not_divide_evenly_train_and_are_exported() {
    let task = Task { input: Shape::new(3, 8, 8), classes: 4, mean: vec![0.5; 3], std: vec![0.25; 3] };
    let space = NasBench101::new(NasBench101Config { task, stem: 8, modules: 1 }).unwrap();
    // Three vertices share 8 channels as 3, 3, 2, and the first two feed the third.
    let text = "01100/00111/00011/00001/00000:input,conv3x3-bn-relu,maxpool3x3,conv1x1-bn-relu,output";
    let graph = space.lower(&space.parse(text).unwrap());
    assert!(graph.nodes().iter().any(|node| node.name.ends_with("crop")), "a channel is left out");
    let config = TrainConfig { epochs: 2, batch: 8, ..TrainConfig::default() };
    let trained = train(&graph, &images(&graph, 24), &config, 1, None, &mut |_| {}).unwrap();
    assert_exported(&graph, &trained.weights, text);
}
