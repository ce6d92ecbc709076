#!/usr/bin/env python3
"""Runs a network that `netwright compile` made on one image, through onnxruntime.

    pip install onnxruntime numpy pillow
    python3 examples/deploy.py models/runs/run-1/model.onnx photo.png

The file takes float32[1, channels, rows, columns] with values from 0 to 1, normalises them itself and gives logits; the
names of the classes are in its metadata under `labels`, one a line.
"""
import sys

import numpy
import onnxruntime
from PIL import Image, ImageOps


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit("usage: deploy.py MODEL.onnx IMAGE")
    session = onnxruntime.InferenceSession(sys.argv[1])
    tensor = session.get_inputs()[0]
    _, channels, rows, columns = tensor.shape
    picture = Image.open(sys.argv[2]).convert("L" if channels == 1 else "RGB")
    picture = ImageOps.fit(picture, (columns, rows), Image.Resampling.BILINEAR)
    values = numpy.asarray(picture, dtype=numpy.float32).reshape(rows, columns, channels) / 255
    (logits,) = session.run(None, {tensor.name: values.transpose(2, 0, 1)[None]})
    shares = numpy.exp(logits[0] - logits[0].max())
    shares /= shares.sum()
    labels = session.get_modelmeta().custom_metadata_map.get("labels", "").splitlines()
    for place in shares.argsort()[::-1][:3]:
        name = labels[place] if place < len(labels) else f"class {place}"
        print(f"{100 * shares[place]:5.1f} %  {name}")


if __name__ == "__main__":
    main()
