"""All 21 leaf layers of AlexNet, pooled: ours against a bare forward pass and the usual loops.

Run ``python benchmarks/extract.py``; ``--help`` lists the sizes. What each row does is written at
its function. Inputs are drawn, not downloaded: smooth colour noise, 256 x 256, 8 bits.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from _common import interleave, machine, peak_of, peak_rise, table, write_json
from dnnbrain_cpp import Features, Stimuli, extract, networks
from dnnbrain_cpp._memory import format_bytes
from dnnbrain_cpp._torchvision import import_torchvision

SIDE = 256
FILE_SIZE = (500, 375)
N_MEMORY = (256, 1024)


def draw(n_stim: int, size: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Yield smooth colour noise, which a JPEG coder finds about as hard as a photograph."""
    rng = np.random.default_rng(0)
    for _ in range(n_stim):
        coarse = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
        fine = rng.normal(0, 6, (size[1], size[0], 3))
        smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), np.float64)
        yield np.clip(smooth + fine, 0, 255).astype(np.uint8)


class Bench:
    """The network, its inputs in every form that a variant starts from, and the variants."""

    def __init__(self, n_stim: int, batch_size: int) -> None:
        self.batch_size = batch_size
        self.network = networks.alexnet(seed=0)
        self.module = self.network.module.eval()
        self.stimuli = Stimuli.from_array(np.stack(list(draw(n_stim, (SIDE, SIDE)))), layout="NHWC")
        self.paths = self.network.layers

    def preload(self) -> None:
        """Make the tensors that the variants without an input path start from."""
        batches = self.stimuli.batches(self.network.transform, batch_size=self.batch_size)
        self.tensors = [batch.pixels for batch in batches]

    def write_files(self, folder: Path) -> None:
        """Write the JPEG files that the variants with a decoder start from."""
        for number, picture in enumerate(draw(len(self.stimuli), FILE_SIZE)):
            Image.fromarray(picture).save(folder / f"{number:04d}.jpg", quality=90)
        self.files = sorted(folder.glob("*.jpg"))
        self.file_stimuli = Stimuli.from_folder(folder)

    @torch.no_grad()
    def plain(self) -> None:
        """Forward passes over tensors that are there already; no layer is looked at."""
        for pixels in self.tensors:
            self.module(pixels)

    @torch.no_grad()
    def concatenate(self) -> dict[str, torch.Tensor]:
        """Clone and append in hooks, concatenate each layer, then pool: the usual loop."""
        kept: dict[str, list[torch.Tensor]] = {path: [] for path in self.paths}
        handles = [
            self.module.get_submodule(path).register_forward_hook(
                lambda module, inputs, output, path=path: kept[path].append(output.clone().cpu())
            )
            for path in self.paths
        ]
        for pixels in self.tensors:
            self.module(pixels)
        for handle in handles:
            handle.remove()
        layers = {path: torch.cat(parts) for path, parts in kept.items()}
        return {
            path: maps.flatten(2).mean(2) if maps.ndim > 2 else maps
            for path, maps in layers.items()
        }

    @torch.no_grad()
    def one_by_one(self) -> dict[str, torch.Tensor]:
        """One image at a time, all layers cloned, pooled and appended."""
        kept: dict[str, list[torch.Tensor]] = {path: [] for path in self.paths}

        def hook_for(path: str) -> Callable[..., None]:
            def hook(_module: Any, _inputs: Any, output: torch.Tensor) -> None:
                maps = output.clone()
                kept[path].append(maps.flatten(2).mean(2) if maps.ndim > 2 else maps)

            return hook

        handles = [
            self.module.get_submodule(path).register_forward_hook(hook_for(path))
            for path in self.paths
        ]
        for batch in self.tensors:
            for pixels in batch.split(1):
                self.module(pixels)
        for handle in handles:
            handle.remove()
        return {path: torch.cat(parts) for path, parts in kept.items()}

    def ours(self) -> Features:
        """`extract` from 8-bit images in memory: crop and normalisation included."""
        return extract(self.network, self.stimuli, reduce="mean", batch_size=self.batch_size)

    def ours_bf16(self) -> Features:
        """`extract` again, in bfloat16 and channels-last."""
        return extract(
            self.network,
            self.stimuli,
            reduce="mean",
            batch_size=self.batch_size,
            dtype="bfloat16",
            memory_format="channels_last",
        )

    @torch.no_grad()
    def single_hooks(self) -> dict[str, torch.Tensor]:
        """Run the loop for one image that is a tensor already: there is nothing to plan."""
        everything, self.tensors = self.tensors, [self.tensors[0][:1]]
        try:
            return self.one_by_one()
        finally:
            self.tensors = everything

    def single_ours(self) -> Features:
        """`extract` for one image: the dry run that finds shapes costs more than the image."""
        return extract(self.network, self.stimuli[:1], reduce="mean")

    @torch.no_grad()
    def files_plain(self) -> None:
        """Pillow and torchvision's transforms in a loop, then a bare forward pass."""
        import_torchvision()
        from torchvision import transforms

        prepare = transforms.Compose(
            [
                transforms.Resize(256),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
            ]
        )
        for start in range(0, len(self.files), self.batch_size):
            batch = [
                prepare(Image.open(file).convert("RGB"))
                for file in self.files[start : start + self.batch_size]
            ]
            self.module(torch.stack(batch))

    def files_ours(self) -> Features:
        """`extract` from the same files: decoding, resizing, all layers pooled."""
        return extract(self.network, self.file_stimuli, reduce="mean", batch_size=self.batch_size)


# Row, method, the row that it is compared with.
ROWS = [
    ("plain forward pass, tensors preloaded", "plain", "plain"),
    ("dnnbrain_cpp, 21 layers pooled", "ours", "plain"),
    ("hooks, clone, concatenate, pool", "concatenate", "plain"),
    ("one image at a time, clone and pool", "one_by_one", "plain"),
    ("dnnbrain_cpp, bfloat16, channels-last", "ours_bf16", "plain"),
    ("a single image, hooks, clone, pool", "single_hooks", "single_hooks"),
    ("a single image, dnnbrain_cpp", "single_ours", "single_hooks"),
    ("JPEG files: Pillow, torchvision, forward pass", "files_plain", "files_plain"),
    ("JPEG files: dnnbrain_cpp, 21 layers pooled", "files_ours", "files_plain"),
]
MEMORY = ["plain", "ours", "concatenate"]


def measure_memory(variant: str, n_stim: int, batch_size: int) -> dict[str, int]:
    """Return the peak of one variant in this process, beyond its inputs and the network."""
    bench = Bench(n_stim, batch_size)
    if variant != "ours":
        bench.preload()
    bench.module(torch.zeros(1, 3, 224, 224))  # what the libraries allocate once
    features = bench.ours() if variant == "ours" and n_stim <= batch_size else None
    del features
    n_bytes = 4 * n_stim * sum(_n_feat(bench))
    return {"peak": peak_rise(getattr(bench, variant)), "results": n_bytes}


def _n_feat(bench: Bench) -> list[int]:
    few = bench.stimuli[: min(2, len(bench.stimuli))]
    features = extract(bench.network, few, reduce="mean", batch_size=2)
    return [np.shape(features[layer])[1] for layer in features]


def worst_difference(ours: Features, theirs: dict[str, torch.Tensor]) -> float:
    """Return the largest difference of a layer, relative to the layer's norm."""
    return max(
        float(np.linalg.norm(np.asarray(ours[path]) - theirs[path].numpy()))
        / float(torch.linalg.vector_norm(theirs[path]))
        for path in theirs
    )


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n-stim", type=int, default=256)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", nargs="*", help="methods to time; all by default")
    parser.add_argument("--no-memory", action="store_true", help="leave peak memory out")
    parser.add_argument("--memory-of", choices=MEMORY, help=argparse.SUPPRESS)
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "extract.json"
    )
    args = parser.parse_args()
    if args.memory_of:
        print(json.dumps(measure_memory(args.memory_of, args.n_stim, args.batch_size)))
        return

    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(args.n_stim, args.batch_size)
        bench.preload()
        bench.write_files(Path(folder))
        rows = [row for row in ROWS if not args.rows or row[1] in args.rows]
        before = machine()
        timings = interleave({row[1]: getattr(bench, row[1]) for row in rows}, repeats=args.repeats)
        ours, ours_bf16 = bench.ours(), bench.ours_bf16()
        difference = worst_difference(ours, bench.concatenate())

    memory: dict[str, dict[str, dict[str, int]]] = {}
    if not args.no_memory:
        for variant in MEMORY:
            memory[variant] = {
                str(n): peak_of(
                    __file__,
                    *("--memory-of", variant, "--n-stim", str(n)),
                    *("--batch-size", str(args.batch_size)),
                )
                for n in N_MEMORY
            }

    def peak(method: str, n_stim: int) -> str:
        return format_bytes(memory[method][str(n_stim)]["peak"]) if method in memory else ""

    print(f"{args.n_stim} images, batches of {args.batch_size}, median of {args.repeats}")
    print(before)
    head = ["", "wall s", "CPU s", "wall ratio", "CPU ratio", *(f"peak, {n}" for n in N_MEMORY)]
    cells = [
        [
            title,
            f"{np.median(timings[method].wall_s):.3g}",
            f"{np.median(timings[method].cpu_s):.3g}",
            f"{timings[method].ratio(timings[base], 'wall_s'):.2f}" if base in timings else "",
            f"{timings[method].ratio(timings[base], 'cpu_s'):.2f}" if base in timings else "",
            *(peak(method, n) for n in N_MEMORY),
        ]
        for title, method, base in rows
    ]
    print(table(head, cells))
    if memory:
        results = [format_bytes(memory["ours"][str(n)]["results"]) for n in N_MEMORY]
        print(f"of the peaks of dnnbrain_cpp, result arrays: {', '.join(results)}")
    print(f"largest difference of a layer from the usual loop, relative: {difference:.1e}")
    print(f"bfloat16: lowest r with float32 of a layer {min(ours_bf16.fidelity.values()):.5f}")
    write_json(
        args.out,
        {
            "load_before": before["load"],
            "n_stim": args.n_stim,
            "batch_size": args.batch_size,
            "timings": {name: vars(timing) for name, timing in timings.items()},
            "memory": memory,
            "difference": difference,
            "fidelity": ours_bf16.fidelity,
        },
    )


if __name__ == "__main__":
    main()
