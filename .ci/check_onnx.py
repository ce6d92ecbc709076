"""Checks a run folder with tools that are not ours: onnx.checker, shape inference and onnxruntime."""

import json
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort

run = Path(sys.argv[1])
path = run / "model.onnx"
card = json.loads((run / "card.json").read_text())

model = onnx.load(path)
onnx.checker.check_model(model, full_check=True)
assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)], model.opset_import

notes = {entry.key: entry.value for entry in model.metadata_props}
labels = notes["labels"].split("\n")
assert labels == card["data"]["classes"]
assert notes["data_digest"] == card["data"]["digest"]
assert notes["genotype"] == card["genotype"]

session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
(image,) = session.get_inputs()
rng = np.random.default_rng(0)
logits = np.stack([session.run(None, {image.name: rng.random(image.shape, np.float32)})[0][0] for _ in range(100)])
assert logits.shape == (100, len(labels)) and np.isfinite(logits).all()
assert logits.std(axis=0).min() > 0, "the answer does not depend on the image"

# The kernels in the file are as many as the card says.
kernels = sum(int(np.prod(t.dims)) for t in model.graph.initializer if len(t.dims) in (2, 4) and max(t.dims) > 1)
inspected = json.loads((run / "inspect.json").read_text())
assert inspected["macs"] == card["macs"] and inspected["peak_ram_bytes"] == card["peak_ram_bytes"]
assert 0 < kernels <= inspected["params"], (kernels, inspected["params"])

bench = json.loads((run / "bench.json").read_text())["bench"]
assert bench["runs"] >= 100 and 0 < bench["latency"]["p50_ms"] <= bench["latency"]["p99_ms"]

print("onnx.checker, onnxruntime and the card agree")
