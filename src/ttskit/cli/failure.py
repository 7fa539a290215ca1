"""Errors for people and for programs: one line, or one JSON object, on stderr; and exit codes."""

from __future__ import annotations

import json
import logging
import sys
from dataclasses import asdict

from ttskit.cli.options import UsageError
from ttskit.errors import (
    AllProvidersFailedError,
    ConfigurationError,
    ResourceError,
    TTSError,
    ValidationError,
)

BUG = 1
WRONG = 2
INTERRUPTED = 130
"""As the shell reports a program that Ctrl-C ended: 128 and SIGINT."""
_BY_FAMILY = ((ValidationError, WRONG), (ConfigurationError, 3), (ResourceError, 5))
_PROVIDERS_FAILED = 4

_log = logging.getLogger(__name__)


def report(error: BaseException, *, as_json: bool) -> int:
    """Print the error to stderr and return the exit code that stands for it."""
    _log.debug("the traceback", exc_info=error)
    message, facts = _described(error)
    code = exit_code(error)
    if as_json:
        whole = {"message": message} | facts | {"exit_code": code}
        print(json.dumps({"error": whole}, ensure_ascii=False), file=sys.stderr)
    else:
        print(f"ttskit: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def exit_code(error: BaseException) -> int:
    """Return the exit code that stands for an error.

    Where every provider failed for reasons of one family, it is that family's.
    """
    if isinstance(error, AllProvidersFailedError):
        codes = {exit_code(each) for each in error.exceptions}
        return codes.pop() if len(codes) == 1 else _PROVIDERS_FAILED
    if isinstance(error, TTSError):
        codes_of = (code for family, code in _BY_FAMILY if isinstance(error, family))
        return next(codes_of, _PROVIDERS_FAILED)
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return WRONG if isinstance(error, UsageError) else BUG


def _described(error: BaseException) -> tuple[str, dict[str, object]]:
    """Return what to tell people, and what else programs may want to know."""
    if isinstance(error, TTSError):
        return str(error), error.to_dict() | _attempts(error)
    if isinstance(error, UsageError):
        return str(error), {"code": "usage"}
    if isinstance(error, KeyboardInterrupt):
        return "interrupted", {"code": "interrupted"}
    bug = f"a bug in ttskit: {type(error).__name__}: {error}; -vv shows where"
    return bug, {"code": "bug"}


def _attempts(error: TTSError) -> dict[str, object]:
    if not isinstance(error, AllProvidersFailedError):
        return {}
    return {"attempts": [asdict(attempt) for attempt in error.attempts]}
