"""Encoding models against the peers that people use today, on the same data in one process.

Run ``python benchmarks/encoding.py``, or ``--problems tall wide`` for some rows; ``--list`` says
which there are. Each row is a problem of ``_encoding_*.py``.
"""

from __future__ import annotations

import argparse
import gc
import importlib
from pathlib import Path
from typing import Any

import numpy as np

from _common import Timing, interleave, machine, peak_rise, table, write_json
from _problem import Problem
from dnnbrain_cpp._memory import format_bytes

PROBLEMS: list[Problem] = [
    problem
    for path in sorted(Path(__file__).parent.glob("_encoding_*.py"))
    for problem in importlib.import_module(path.stem).PROBLEMS
]


def fastest(timings: dict[str, Timing], clock: str) -> tuple[str, float]:
    """Return the variant of the lowest median, and that median."""
    medians = {name: float(np.median(getattr(timing, clock))) for name, timing in timings.items()}
    name = min(medians, key=medians.__getitem__)
    return name, medians[name]


def measure(problem: Problem, repeats: int, *, memory: bool) -> dict[str, Any]:
    """Time all variants of a problem in turn."""
    job = problem.make()
    variants = {("ours", name): run for name, run in job.ours.items()}
    variants |= {("peer", name): run for name, run in job.peers.items()}
    named = {f"{side}: {name}": run for (side, name), run in variants.items()}
    timings = interleave(named, repeats=repeats)
    ours, theirs = (
        {name: timing for name, timing in timings.items() if name.startswith(side)}
        for side in ("ours", "peer")
    )
    our_name, our_time = fastest(ours, problem.clock)
    peer_name, peer_time = fastest(theirs, problem.clock)
    peer_time /= job.share
    facts: dict[str, Any] = {
        "problem": problem.name,
        "title": problem.title,
        "peer": f"{problem.peer} ({peer_name.removeprefix('peer: ')})",
        "clock": problem.clock,
        "share_of_peer_timed": job.share,
        "ours_s": our_time,
        "peer_s": peer_time,
        "ratio": peer_time / our_time,
        "goal": problem.goal,
        "difference": job.difference(named[our_name](), named[peer_name]()),
        "timings": {name: vars(timing) for name, timing in timings.items()},
    }
    if memory:
        facts["peak_ours"] = peak_rise(named[our_name])
        facts["peak_peer"] = peak_rise(named[peer_name])
    return facts


def row(facts: dict[str, Any]) -> list[str]:
    """Return the cells of a table's row."""
    peaks = [facts.get(f"peak_{side}") for side in ("peer", "ours")]
    return [
        facts["title"],
        facts["peer"] + ("" if facts["share_of_peer_timed"] == 1 else ", timed on a part"),
        f"{facts['peer_s']:.3g}",
        f"{facts['ours_s']:.3g}",
        f"{facts['ratio']:.3g}",
        f"{facts['goal']:g}",
        *("" if peak is None else format_bytes(peak) for peak in peaks),
        facts["difference"],
    ]


HEAD = ["", "peer", "peer s", "ours s", "ratio", "goal", "peak, peer", "peak, ours", "difference"]


def main() -> None:
    """Measure, print and write."""
    names = [problem.name for problem in PROBLEMS]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--problems", nargs="*", choices=names, default=names)
    parser.add_argument("--list", action="store_true", help="say which problems there are")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-memory", action="store_true", help="leave peak memory out")
    parser.add_argument(
        "--out", type=Path, default=Path(__file__).parent / "results" / "encoding.json"
    )
    args = parser.parse_args()
    if args.list:
        for problem in PROBLEMS:
            print(f"{problem.name:<16} {problem.title}; {problem.peer}")
        return
    print(machine())
    results = []
    for problem in PROBLEMS:
        if problem.name not in args.problems:
            continue
        results.append(measure(problem, args.repeats, memory=not args.no_memory))
        print(table(HEAD, [row(results[-1])]).splitlines()[-1], flush=True)
        gc.collect()
    print(table(HEAD, [row(facts) for facts in results]))
    write_json(args.out, {"results": results})


if __name__ == "__main__":
    main()
