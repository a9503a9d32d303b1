//! ONNX: one graph from `features` `[n, n_features]` to `q_values` `[n, n_actions]`, both of single precision.
//!
//! ```text
//! features -- Max low, Min high --> confined -- network 0: Gemm, Relu, ..., Gemm, dueling --+
//!                                            -- network 1: ...                            --+-- Mean --> q_values
//! ```
//!
//! Weights have the names of the tensors in a safetensors file; all else is JSON in the entry `qgd` of the metadata.

mod messages;

use super::{About, KEY, Layer, layer_name, layers};
use messages::{Attribute, Entry, Graph, Model, Node, OperatorSet, Tensor, Value};
use prost::Message;
use qgd::Pretrained;
use qgd::dqn::QNetwork;

/// Version of ONNX (IR 8 came with 1.13, of December 2022) and of its operators.
const IR_VERSION: i64 = 8;
const OPERATORS: i64 = 18;

const DOC: &str = "Q-values of the actions for rows of features, which are confined to the ranges of meta-training. What a controller \
    does beyond that (when it does not act, when it may not halve) is in the metadata, as JSON.";

/// The file.
pub fn bytes(pretrained: &Pretrained) -> serde_json::Result<Vec<u8>> {
    let model = Model {
        ir_version: IR_VERSION,
        producer_name: "qgd".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: DOC.to_owned(),
        graph: Some(graph(pretrained)),
        opset_import: vec![OperatorSet { domain: String::new(), version: OPERATORS }],
        metadata_props: vec![Entry { key: KEY.to_owned(), value: About::metadata(pretrained)? }],
    };
    Ok(model.encode_to_vec())
}

fn graph(pretrained: &Pretrained) -> Graph {
    let (blueprint, ranges) = (pretrained.blueprint(), pretrained.ranges());
    let names: Vec<&str> = blueprint.features.iter().map(|feature| feature.name).collect();
    let actions: Vec<String> = (blueprint.actions.iter())
        .map(|action| format!("lr {:?} weight decay {:?}", action.lr, action.weight_decay).to_lowercase())
        .collect();
    let [low, high] = [0, 1].map(|end| ranges.iter().map(|range| range[end]).collect::<Vec<_>>());
    let mut graph = Graph {
        name: blueprint.name,
        input: vec![Value::matrix("features", names.len(), &names.join(", "))],
        output: vec![Value::matrix("q_values", actions.len(), &actions.join(", "))],
        initializer: vec![Tensor::floats("low", &[low.len()], &low), Tensor::floats("high", &[high.len()], &high)],
        node: vec![
            Node::new("Max", &["features", "low"], "above_low"),
            Node::new("Min", &["above_low", "high"], "confined"),
        ],
    };
    let each: Vec<String> =
        (0..).zip(pretrained.networks()).map(|(i, network)| graph.add_network(i, network)).collect();
    let each: Vec<&str> = each.iter().map(String::as_str).collect();
    graph.node.push(Node::new("Mean", &each, "q_values"));
    graph
}

impl Graph {
    /// Adds a network, and answers with the name of its Q-values.
    fn add_network(&mut self, i: usize, network: &QNetwork) -> String {
        let layers = layers(network);
        let (mut x, last) = ("confined".to_owned(), layers.len() - 1);
        for (j, layer) in layers.iter().enumerate() {
            x = self.add_layer(&layer_name(i, j), layer, &x);
            if j < last {
                let activations = format!("{}.activations", layer_name(i, j));
                self.node.push(Node::new("Relu", &[&x], &activations));
                x = activations;
            }
        }
        if network.is_dueling() { self.add_dueling(i, &x, network.n_actions()) } else { x }
    }

    /// Adds `x weightᵀ + bias`.
    fn add_layer(&mut self, name: &str, layer: &Layer, x: &str) -> String {
        let [weight, bias, out] = ["weight", "bias", "output"].map(|part| format!("{name}.{part}"));
        self.initializer.push(Tensor::floats(&weight, &[layer.n_out, layer.n_in], &layer.weight));
        self.initializer.push(Tensor::floats(&bias, &[layer.n_out], &layer.bias));
        let gemm = Node::new("Gemm", &[x, &weight, &bias], &out);
        self.node.push(Node { attribute: vec![Attribute::int("transB", 1)], ..gemm });
        out
    }

    /// Adds `value + advantage - mean of the advantages`.
    fn add_dueling(&mut self, i: usize, head: &str, n_actions: usize) -> String {
        let [sizes, axis, value, advantages, mean, sum, q_values] =
            ["sizes", "axis", "value", "advantages", "mean_advantage", "sum", "q_values"]
                .map(|part| format!("networks.{i}.{part}"));
        self.initializer.push(Tensor::ints(&sizes, &[1, n_actions as i64]));
        self.initializer.push(Tensor::ints(&axis, &[1]));
        let split = Node::new("Split", &[head, &sizes], &value);
        let output = vec![value.clone(), advantages.clone()];
        self.node.push(Node { output, attribute: vec![Attribute::int("axis", 1)], ..split });
        let average = Node::new("ReduceMean", &[&advantages, &axis], &mean);
        self.node.push(Node { attribute: vec![Attribute::int("keepdims", 1)], ..average });
        self.node.push(Node::new("Add", &[&value, &advantages], &sum));
        self.node.push(Node::new("Sub", &[&sum, &mean], &q_values));
        q_values
    }
}
