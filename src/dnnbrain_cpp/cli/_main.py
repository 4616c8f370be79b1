"""The command group, and what becomes of errors: one sentence and an exit code.

Exit codes: 0 done; 1 the demonstration did not find what was planted; 2 something to correct in the
call or its files; 130 Ctrl-C.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import NoReturn

import click

from dnnbrain_cpp import __version__
from dnnbrain_cpp.cli._compare import compare
from dnnbrain_cpp.cli._demo import demo
from dnnbrain_cpp.cli._info import info, layers
from dnnbrain_cpp.exceptions import (
    AlignmentWarning,
    ConstantTargetWarning,
    NativeImportError,
    SkippedStimulusWarning,
)

__all__ = ["main"]

_USER_ERRORS = (ValueError, OSError, MemoryError, NativeImportError)
# The report and the notes under the table say these.
_SAID_ELSEWHERE = (AlignmentWarning, ConstantTargetWarning, SkippedStimulusWarning)
_WRONG_USE = 2
_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="dnnbrain")
@click.option("--traceback", is_flag=True, help="Show where in the code an error arose.")
def _dnnbrain(traceback: bool) -> None:
    """Compare what a deep network computes with what a brain does."""


for _command in (compare, demo, info, layers):
    _dnnbrain.add_command(_command)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Parameters
    ----------
    args : sequence of str, optional
        By default those that Python was started with.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    with warnings.catch_warnings():
        for category in _SAID_ELSEWHERE:
            warnings.simplefilter("ignore", category)
        code = _run(arguments)
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    try:
        code = _dnnbrain.main(arguments, prog_name="dnnbrain", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        error.show()
        return _WRONG_USE
    except (KeyboardInterrupt, click.Abort):
        click.echo("\nInterrupted; nothing was written that is not complete.", err=True)
        return _INTERRUPTED
    except _USER_ERRORS as error:
        if "--traceback" in arguments:
            traceback.print_exc()
        else:
            click.echo(f"Error: {_sentence(error)}", err=True)
        return _WRONG_USE


def _sentence(error: BaseException) -> str:
    notes = getattr(error, "__notes__", [])
    text = " ".join([str(error) or type(error).__name__, *notes])
    return " ".join(text.split())
