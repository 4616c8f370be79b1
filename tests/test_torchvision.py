"""The import of torchvision, in fresh interpreters with and without its compiled operators."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch

from dnnbrain_cpp._torchvision import import_torchvision

SRC = Path(__file__).resolve().parents[1] / "src"

BROKEN = "operator torchvision::nms does not exist"


def run(code: str, *paths: Path) -> str:
    """Run `code` in a fresh interpreter whose import path starts with `paths`."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(path) for path in (*paths, SRC))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fake_torchvision(folder: Path, body: str) -> Path:
    """Write a package named torchvision whose import runs `body`."""
    package = folder / "torchvision"
    (package / "ops").mkdir(parents=True)
    (package / "__init__.py").write_text(
        "from . import extension\n" + textwrap.dedent(body) + "\nfrom . import ops\n"
        "__version__ = '9.9'\n"
    )
    (package / "extension.py").write_text(
        "def _assert_has_ops():\n    raise RuntimeError('could not load')\n"
    )
    (package / "ops" / "__init__.py").write_text("from .boxes import nms\n")
    (package / "ops" / "boxes.py").write_text(
        "from torchvision.extension import _assert_has_ops\n\ndef nms():\n    _assert_has_ops()\n"
    )
    return folder


NEEDS_OPERATOR = """
    import torch
    import torchvision.extension

    torchvision.extension._assert_has_ops
    torch.library.register_fake("torchvision::nms")(lambda dets, scores, iou_threshold: dets)
    torch.library.register_fake("torchvision::qnms")(lambda dets, scores, iou_threshold: dets)
"""


def test_the_package_is_complete_and_the_same_every_time() -> None:
    package = import_torchvision()
    assert package is import_torchvision() is sys.modules["torchvision"]
    assert callable(package.models.alexnet)
    assert callable(package.transforms.functional.resize)


def test_a_working_import_is_left_alone(tmp_path: Path) -> None:
    out = run(
        """
        import torch
        from dnnbrain_cpp._torchvision import import_torchvision
        package = import_torchvision()
        print(hasattr(torch.ops.torchvision, "nms"))
        try:
            package.ops.nms()
        except RuntimeError as error:
            print(error)
        """,
        fake_torchvision(tmp_path, ""),
    )
    assert out.split("\n")[:2] == ["False", "could not load"]


def test_a_broken_import_is_mended_and_the_missing_operator_named(tmp_path: Path) -> None:
    fake = fake_torchvision(tmp_path, NEEDS_OPERATOR)
    out = run(
        """
        import torch
        try:
            import torchvision
        except RuntimeError as error:
            print(error)
        from dnnbrain_cpp._torchvision import import_torchvision
        package = import_torchvision()
        import torchvision
        print(package is torchvision, package.extension.__name__)
        boxes, scores = torch.zeros(2, 4), torch.zeros(2)
        for call in (
            torchvision.ops.nms,
            lambda: torch.ops.torchvision.nms(boxes, scores, 0.5),
            lambda: torch.ops.torchvision.qnms(boxes.requires_grad_(), scores, 0.5),
        ):
            try:
                call()
            except RuntimeError as error:
                print(error)
        """,
        fake,
    ).splitlines()
    assert out[:2] == [BROKEN, "True torchvision.extension"]
    for line, name in zip(out[2:], ("nms", "nms", "qnms"), strict=True):
        assert line.startswith(f"operator torchvision::{name} is missing: ")
        assert f"torchvision 9.9 does not load beside torch {torch.__version__}." in line
        assert "Install a torchvision built for this torch" in line


def test_schemas_that_exist_already_are_kept(tmp_path: Path) -> None:
    out = run(
        """
        import torch
        library = torch.library.Library("torchvision", "DEF")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.impl("nms", lambda dets, scores, iou_threshold: scores + 1, "CPU")
        from dnnbrain_cpp._torchvision import import_torchvision
        import_torchvision()
        print(torch.ops.torchvision.nms(torch.zeros(2, 4), torch.zeros(2), 0.5).tolist())
        try:
            torch.ops.torchvision.qnms(torch.zeros(2, 4), torch.zeros(2), 0.5)
        except RuntimeError as error:
            print(error)
        """,
        fake_torchvision(tmp_path, NEEDS_OPERATOR),
    ).splitlines()
    assert out[0] == "[1.0, 1.0]"
    assert out[1].startswith("operator torchvision::qnms is missing")


def test_other_failures_pass_through(tmp_path: Path) -> None:
    out = run(
        """
        from dnnbrain_cpp._torchvision import import_torchvision
        try:
            import_torchvision()
        except RuntimeError as error:
            print(error)
        """,
        fake_torchvision(tmp_path, "raise RuntimeError('another CUDA')"),
    )
    assert out == "another CUDA\n"


def test_absent_torchvision_is_an_import_error() -> None:
    out = run(
        """
        import sys
        sys.modules["torchvision"] = None
        from dnnbrain_cpp._torchvision import import_torchvision
        try:
            import_torchvision()
        except ImportError as error:
            print(type(error).__name__)
        """
    )
    assert out == "ModuleNotFoundError\n"


def test_detection_backbones_run_without_the_operators() -> None:
    models = import_torchvision().models.detection
    with torch.random.fork_rng(devices=[]):
        network = models.retinanet_resnet50_fpn(weights=None, weights_backbone=None).eval()
    with torch.inference_mode():
        maps = network.backbone(torch.zeros(1, 3, 64, 64))
    assert [tuple(value.shape[-2:]) for value in maps.values()] == [
        (8, 8),
        (4, 4),
        (2, 2),
        (1, 1),
        (1, 1),
    ]


@pytest.mark.parametrize("name", ["nms", "roi_pool", "ps_roi_align", "deform_conv2d"])
def test_every_function_of_the_real_package_names_its_operator(name: str) -> None:
    package = import_torchvision()
    if package.extension._has_ops():
        pytest.skip("this torchvision has its operators")
    arguments = {
        "nms": (torch.zeros(2, 4), torch.zeros(2), 0.5),
        "roi_pool": (torch.zeros(1, 3, 8, 8), torch.zeros(1, 5), 2),
        "ps_roi_align": (torch.zeros(1, 4, 8, 8), torch.zeros(1, 5), 2),
        "deform_conv2d": (
            torch.zeros(1, 3, 8, 8),
            torch.zeros(1, 18, 6, 6),
            torch.zeros(4, 3, 3, 3),
        ),
    }
    with pytest.raises(RuntimeError, match=f"operator torchvision::{name} is missing"):
        getattr(package.ops, name)(*arguments[name])


def test_networks_import_torchvision_only_when_one_is_made() -> None:
    out = run(
        """
        import sys
        import dnnbrain_cpp.networks
        print("torchvision" in sys.modules)
        """
    )
    assert out == "False\n"
