"""The ``ttskit`` command: from a command line to an exit code.

What a subcommand needs is imported when it runs, so that ``--help`` comes at once.
"""

from __future__ import annotations

import importlib
import io
import os
import sys

from ttskit.cli.options import Arguments, build_parser

# Type checkers take it for true; typing itself would slow down --help.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

WRONG = 2
READER_GONE = 141
"""As the shell reports a program that wrote to a pipe nobody reads: 128 and SIGPIPE."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; nothing is raised.

    Args:
        arguments: What follows the command's name; None: as the process was started.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    as_json = "--json" in given
    try:
        return _run(given)
    except SystemExit as end:  # how argparse ends after --help
        return end.code if isinstance(end.code, int) else WRONG
    except BrokenPipeError:
        return _reader_gone()
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the outermost edge
        from ttskit.cli.failure import report  # see the module

        return report(error, as_json=as_json)


def _run(given: Sequence[str]) -> int:
    _never_fail_to_print()
    parser = build_parser()
    arguments = parser.parse_args(given, Arguments())
    if arguments.version:
        from ttskit import __version__  # see the module

        print(f"ttskit {__version__}")
        return 0
    if arguments.command is None:
        parser.print_help(sys.stderr)
        return WRONG
    code = _run_command(arguments)
    sys.stdout.flush()
    return code


def _run_command(arguments: Arguments) -> int:
    if arguments.verbose:
        _log(arguments.verbose)
    module = importlib.import_module(f"ttskit.cli.{arguments.command}")
    command: Callable[[Arguments], int] = vars(module)["run"]
    return command(arguments)


def _log(verbosity: int) -> None:
    import logging  # see the module

    level = logging.INFO if verbosity == 1 else logging.DEBUG
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("ttskit").setLevel(level)


def _never_fail_to_print() -> None:
    """Have what the terminal's encoding cannot show replaced."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _reader_gone() -> int:
    """Stop quietly, as ``ttskit voices | head`` is meant to; exit must not flush there again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
    return READER_GONE
