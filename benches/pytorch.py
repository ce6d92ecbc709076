#!/usr/bin/env python3
"""Sets PyTorch beside netwright: the same networks, batches and threads, interleaved, medians and ratios.

    cargo build --release
    python3 benches/pytorch.py steps                  # a training step of two networks
    python3 benches/pytorch.py operators              # single operators, forward and backward
    python3 benches/pytorch.py inference              # evaluation, images a second
    python3 benches/pytorch.py memory                 # memory that a step adds to the process
    python3 benches/pytorch.py predictor              # the graph predictor of Wen et al. (2019)
    python3 benches/pytorch.py steps --device cuda    # on a card: cuDNN, channels_last, bf16, CUDA graphs

PyTorch is installed into a virtual environment of its own (`target/pytorch`) at the first call; a Python that has it already
is used as it is. Each figure is measured in a process of its own, the frameworks take turns for `--rounds` rounds, and the
table has the median over rounds. `tuned` is PyTorch with glibc told to keep its buffers, which netwright does by itself.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
EVOLVED = "111000-011101-111111-111111-011101"
ALL = "111111-111111-111111-111111-111111"
# The allocator settings of netwright's `nn/runtime.rs`.
KEEP_BUFFERS = "glibc.malloc.mmap_threshold=1073741824:glibc.malloc.trim_threshold=2147483647:glibc.malloc.top_pad=67108864"
# (operator, channels, side, kernel, stride, dilation), batch 64.
OPERATORS = [
    ("dense", 32, 32, 3, 1, 1),
    ("pointwise", 32, 32, 1, 1, 1),
    ("depthwise", 32, 32, 3, 1, 1),
    ("depthwise", 32, 32, 5, 1, 1),
    ("depthwise", 32, 32, 7, 1, 1),
    ("depthwise", 64, 32, 3, 1, 1),
    ("depthwise", 64, 32, 5, 1, 1),
    ("depthwise", 64, 32, 7, 1, 1),
    ("depthwise", 32, 32, 3, 1, 2),
    ("depthwise", 32, 32, 5, 1, 2),
    ("depthwise", 32, 32, 3, 2, 1),
    ("depthwise", 64, 16, 3, 1, 1),
    ("depthwise", 128, 8, 5, 1, 1),
    ("batch_norm", 32, 32, 1, 1, 1),
]


# --- the networks in PyTorch -----------------------------------------------------------------------------------------


def network(genotype, classes=100):
    """The first seed's macro space (NAS_with_GNN_predictor): the same layers as `netwright inspect --genotype` shows."""
    from torch import cat, nn
    import torch

    class Separable(nn.Sequential):
        def __init__(self, channels, out, kernel, stride):
            depthwise = lambda s: nn.Conv2d(channels, channels, kernel, s, kernel // 2, groups=channels, bias=False)
            super().__init__(
                nn.ReLU(), depthwise(stride), nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels),
                nn.ReLU(), depthwise(1), nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out),
            )

    class Dilated(nn.Sequential):
        def __init__(self, channels, out, kernel, stride):
            pad = kernel - 1
            depthwise = nn.Conv2d(channels, channels, kernel, stride, pad, dilation=2, groups=channels, bias=False)
            super().__init__(nn.ReLU(), depthwise, nn.Conv2d(channels, out, 1, bias=False), nn.BatchNorm2d(out))

    class Reduction(nn.Module):
        def __init__(self, channels, out, stride):
            super().__init__()
            self.halves = nn.ModuleList(
                nn.Conv2d(channels, n, 1, stride, bias=False) for n in (out // 2, out - out // 2)
            )
            self.norm = nn.BatchNorm2d(out)

        def forward(self, x):
            x = torch.relu(x)
            return self.norm(cat([self.halves[0](x), self.halves[1](x[:, :, 1:, 1:])], 1))

    class Layer(nn.Module):
        def __init__(self, bits, channels, out, stride):
            super().__init__()
            self.branches = nn.ModuleList()
            for bit, (kind, kernel) in zip(bits, [(None, 0), (Separable, 3), (Separable, 5), (Separable, 7), (Dilated, 3), (Dilated, 5)]):
                if bit == "1" and kind:
                    self.branches.append(kind(channels, out, kernel, stride))
                elif bit == "1" and stride == 1:
                    self.branches.append(nn.Identity() if channels == out else nn.Conv2d(channels, out, 1, bias=False))
                elif bit == "1":
                    self.branches.append(Reduction(channels, out, stride))

        def forward(self, x):
            first, *others = [branch(x) for branch in self.branches]
            for other in others:
                first = first + other
            return first

    class Head(nn.Module):
        def __init__(self, channels):
            super().__init__()
            self.conv = nn.Sequential(nn.Conv2d(channels, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6())
            self.classifier = nn.Linear(1280, classes)

        def forward(self, x):
            return self.classifier(self.conv(x).mean((2, 3)))

    layers = [nn.Sequential(nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6())]
    channels = 16
    for bits, (out, stride) in zip(genotype.split("-"), [(16, 1), (32, 2), (40, 2), (80, 2), (320, 1)]):
        layers.append(Layer(bits, channels, out, stride))
        channels = out
    return nn.Sequential(*layers, Head(channels))


def operator(name, channels, side, kernel, stride, dilation):
    from torch import nn

    pad = dilation * (kernel - 1) // 2
    match name:
        case "batch_norm":
            return nn.BatchNorm2d(channels)
        case "depthwise":
            return nn.Conv2d(channels, channels, kernel, stride, pad, dilation, groups=channels, bias=False)
        case _:
            return nn.Conv2d(channels, channels, kernel, stride, pad, dilation, bias=False)


def graph_predictor():
    """Wen et al. (2019): three graph convolutions of width 144 in both directions, mean over nodes, 128 units."""
    import torch
    from torch import nn

    class Convolution(nn.Module):
        def __init__(self, inputs, outputs):
            super().__init__()
            self.forth, self.back = (nn.Linear(inputs, outputs, bias=False) for _ in range(2))

        def forward(self, a, at, x):
            return 0.5 * (torch.relu(a @ self.forth(x)) + torch.relu(at @ self.back(x)))

    class Predictor(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList([Convolution(5, 144), Convolution(144, 144), Convolution(144, 144)])
            self.hidden, self.output = nn.Linear(144, 128), nn.Linear(128, 1)

        def forward(self, a, at, x):
            for layer in self.layers:
                x = layer(a, at, x)
            return self.output(torch.relu(self.hidden(x.mean(1)))).squeeze(-1)

    return Predictor()


# --- measuring in a process of its own -------------------------------------------------------------------------------


def median_ms(run, seconds, synchronise=lambda: None):
    for _ in range(2):
        run()
    synchronise()
    times, start = [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - start < seconds:
        at = time.perf_counter()
        run()
        synchronise()
        times.append((time.perf_counter() - at) * 1e3)
    return statistics.median(times)


def measure_torch(job):
    import torch
    from torch import nn

    torch.set_num_threads(job["threads"])
    torch.manual_seed(0)
    device = torch.device(job["device"])
    cuda = device.type == "cuda"
    layout = torch.channels_last if job["layout"] == "channels_last" else torch.contiguous_format
    synchronise = torch.cuda.synchronize if cuda else lambda: None
    batch, seconds = job["batch"], job["seconds"]
    if cuda:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = True
    match job["what"]:
        case "steps" | "memory" | "inference":
            net = network(job["genotype"]).to(device, memory_format=layout)
            x = torch.rand(batch, 3, 32, 32, device=device).to(memory_format=layout)
            y = torch.arange(batch, device=device) % 100
            if job["what"] == "inference":
                net.eval()
                with torch.inference_mode():
                    ms = median_ms(lambda: net(x), seconds, synchronise)
                return {"ms": ms, "images_per_s": batch / ms * 1e3}
            before = resident_bytes()
            ms = median_ms(training_step(net, x, y, job), seconds, synchronise)
            return {"ms": ms, "bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before}
        case "operators":
            name, channels, side, *_ = job["operator"]
            op = operator(*job["operator"]).to(memory_format=layout)
            x = torch.rand(batch, channels, side, side).to(memory_format=layout).requires_grad_()
            g = torch.rand_like(op(x)).to(memory_format=layout)
            return {"ms": median_ms(lambda: op(x).backward(g), seconds)}
        case "predictor":
            net, size = graph_predictor(), batch
            a = (torch.rand(size, 7, 7).triu(1) > 0.5).float() + torch.eye(7)
            a = a / a.sum(-1, keepdim=True)
            at = a.transpose(1, 2).contiguous()
            x = nn.functional.one_hot(torch.randint(0, 5, (size, 7)), 5).float()
            y = torch.rand(size)
            optimiser = torch.optim.AdamW(net.parameters(), 1e-4, weight_decay=1e-3)

            def train():
                optimiser.zero_grad(set_to_none=True)
                nn.functional.mse_loss(net(a, at, x), y).backward()
                optimiser.step()

            train_ms = median_ms(train, seconds)
            with torch.inference_mode():
                score_ms = median_ms(lambda: net(a, at, x), seconds)
            return {"ms": train_ms, "score_per_s": size / score_ms * 1e3}


def training_step(net, x, y, job):
    """A step of SGD with Nesterov momentum. On a card: bf16, the whole step as one CUDA graph."""
    import torch
    from torch import nn

    cuda = x.is_cuda
    optimiser = torch.optim.SGD(net.parameters(), 1e-3, momentum=0.9, nesterov=True, weight_decay=4e-4)

    def step():
        optimiser.zero_grad(set_to_none=not cuda)
        with torch.autocast("cuda", torch.bfloat16, enabled=cuda and job["bf16"]):
            loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimiser.step()

    if not cuda:
        return step
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for _ in range(5):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


# --- taking turns ----------------------------------------------------------------------------------------------------


def run_torch(python, job, tuned):
    environment = dict(os.environ, OMP_NUM_THREADS=str(job["threads"]))
    if tuned:
        environment["GLIBC_TUNABLES"] = KEEP_BUFFERS
    command = [python, os.path.abspath(__file__), "child", "--job", json.dumps(job)]
    return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def run_netwright(program, job):
    common = ["--batch", str(job["batch"]), "--threads", str(job["threads"]), "--json"]
    match job["what"]:
        case "steps" | "memory" | "inference":
            arguments = ["doctor", "--train-step", "--genotype", job["genotype"], *common]
            if job["device"] == "cuda":
                arguments += ["--device", "cuda", *(["--bf16"] if job["bf16"] else [])]
            found = json.loads(subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout)
            figures = {"ms": "step_ms", "images_per_s": "inference_images_per_s", "bytes": "step_memory_bytes"}
            # A GPU's step does not tell what it adds to the memory of the process.
            return {name: found[field] for name, field in figures.items() if found.get(field) is not None}
        case "operators":
            name, channels, side, kernel, stride, dilation = job["operator"]
            arguments = ["doctor", "--operator", f"{name},{channels},{side},{kernel},{stride},{dilation}", *common]
            found = json.loads(subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout)
            return {"ms": found["forward_backward_ms"]}
        case "predictor":
            arguments = ["doctor", "--predictor-step", *common]
            found = json.loads(subprocess.run([program, *arguments], check=True, capture_output=True, text=True).stdout)
            return {"ms": found["train_step_ms"], "score_per_s": found["scored_per_s"]}


def take_turns(arguments, python, jobs):
    """For each job, the median over rounds of each engine's figures."""
    engines = [("contiguous", False), ("channels_last", False), ("contiguous", True), ("channels_last", True)]
    if arguments.device == "cuda":
        engines = [("contiguous", False), ("channels_last", False)]
    if arguments.what == "predictor":
        engines = [("contiguous", False), ("contiguous", True)]
    if arguments.what == "operators":
        engines = [("contiguous", False), ("channels_last", False), ("channels_last", True)]
    for title, job in jobs:
        found = {}
        for _ in range(arguments.rounds):
            found.setdefault("netwright", []).append(run_netwright(arguments.netwright, job))
            for layout, tuned in engines:
                name = layout + (" tuned" if tuned else "")
                found.setdefault(name, []).append(run_torch(python, {**job, "layout": layout}, tuned))
        medians = {name: {key: statistics.median(one[key] for one in all_ if key in one) for key in all_[0]} for name, all_ in found.items()}
        yield title, medians


def jobs_of(arguments):
    common = {"device": arguments.device, "seconds": arguments.seconds, "what": arguments.what, "bf16": arguments.bf16}
    for threads in arguments.threads:
        for batch in arguments.batch:
            job = {**common, "threads": threads, "batch": batch}
            match arguments.what:
                case "steps" | "memory" | "inference":
                    for name, genotype in [("evolved", EVOLVED), ("all operations", ALL)]:
                        yield f"{name}, batch {batch}, {threads} threads", {**job, "genotype": genotype}
                case "operators":
                    for op in OPERATORS:
                        name, channels, side, kernel, stride, dilation = op
                        text = f"{name} {kernel}×{kernel} s{stride} d{dilation} C{channels} {side}×{side}, {threads} threads"
                        yield text, {**job, "operator": op}
                case "predictor":
                    yield f"batch {batch}, {threads} threads", job


def print_table(arguments, rows):
    value, better = {"inference": ("images_per_s", max), "memory": ("bytes", min)}.get(arguments.what, ("ms", min))
    scale, unit = {"bytes": (2.0**20, "MiB"), "images_per_s": (1, "images/s")}.get(value, (1, "ms"))
    header = None
    for title, medians in rows:
        torch = {name: found[value] for name, found in medians.items() if name != "netwright"}
        if header is None:
            header = ["", f"netwright, {unit}", *torch, "best as installed ÷ ours" if better is min else "ours ÷ best as installed"]
            header += ["ours, scored/s", "PyTorch, scored/s"] if arguments.what == "predictor" else []
            print("| " + " | ".join(header) + " |\n|" + "---|" * len(header), flush=True)
        ours = medians["netwright"][value]
        best = better(figure for name, figure in torch.items() if not name.endswith("tuned"))
        ratio = best / ours if better is min else ours / best
        cells = [title, *(f"{figure / scale:.4g}" for figure in [ours, *torch.values()]), f"{ratio:.2f}"]
        if arguments.what == "predictor":
            scored = max(found["score_per_s"] for name, found in medians.items() if name != "netwright")
            cells += [f"{medians['netwright']['score_per_s']:,.0f}", f"{scored:,.0f}"]
        print("| " + " | ".join(cells) + " |", flush=True)


def python_with_torch():
    try:
        import torch  # noqa: F401

        return sys.executable
    except ImportError:
        folder = os.path.join(ROOT, "target", "pytorch")
        python = os.path.join(folder, "bin", "python")
        if not os.path.exists(python):
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            subprocess.run([python, "-m", "pip", "install", "--quiet", "torch", "numpy"], check=True)
        return python


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["steps", "operators", "inference", "memory", "predictor", "child"])
    parser.add_argument("--netwright", default=os.path.join(ROOT, "target", "release", "netwright"))
    parser.add_argument("--batch", type=int, nargs="+")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--f32", dest="bf16", action="store_false", help="on a card: TF32 instead of bf16")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of measuring in each process")
    parser.add_argument("--job", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.what == "child":
        print(json.dumps(measure_torch(arguments.job)))
        return
    default = {"steps": [64, 128], "predictor": [16, 64, 256, 1024], "inference": [128]}
    arguments.batch = arguments.batch or default.get(arguments.what, [64])
    print_table(arguments, take_turns(arguments, python_with_torch(), jobs_of(arguments)))


if __name__ == "__main__":
    main()
