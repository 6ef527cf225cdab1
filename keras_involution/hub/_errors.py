"""Converts errors of the Hub to messages that say what to do."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from keras_involution._arguments import received
from keras_involution._files import DiskFullError
from keras_involution.hub._source import PresetError
from keras_involution.hub.client import Unreachable
from keras_involution.hub.transfer import TransferError


@contextlib.contextmanager
def hub_errors(preset: str, revision: str | None = None) -> Iterator[None]:
    """Converts errors of the client to `PresetError`, or `Unreachable` for outages."""
    try:
        yield
    except (PresetError, Unreachable):
        raise
    except RuntimeError as error:  # Upload threads of the client wrap their errors.
        with _translated(preset, revision):
            raise error.__cause__ or error from None
    except Exception as error:
        with _translated(preset, revision):
            raise error


@contextlib.contextmanager
def _translated(preset: str, revision: str | None) -> Iterator[None]:
    from huggingface_hub import errors

    # The base class of the HTTP library in use, whichever huggingface_hub chose.
    transport_error: type[Exception] = errors.HfHubHTTPError.__mro__[1]
    try:
        yield
    except TransferError as error:
        if error.status and error.status != 416:
            raise _of_status(
                error.status, error.code, error.detail, preset, revision
            ) from error
        if error.temporary:
            raise Unreachable(f"The Hub cannot be reached: {error}.") from error
        raise refuse(f"The transfer failed: {error}", preset, revision) from error
    except errors.HfHubHTTPError as error:
        response = error.response
        code, text = response.headers.get("X-Error-Code", ""), str(error)
        raise _of_status(response.status_code, code, text, preset, revision) from error
    except errors.OfflineModeIsEnabled as error:
        raise Unreachable("The Hub is not used: offline mode is on.", True) from error
    except transport_error as error:
        raise Unreachable(f"The Hub cannot be reached: {error}.") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise refuse(_local_sentence(error), preset, revision) from error


def refuse(sentence: str, preset: str, revision: str | None = None) -> PresetError:
    """A `PresetError` with `sentence` and the received values."""
    values = {"preset": preset} | ({} if revision is None else {"revision": revision})
    return PresetError(f"{sentence}. {received(**values)}")


def _of_status(
    status: int, code: str, detail: str, preset: str, revision: str | None
) -> Exception:
    if status == 429 or status >= 500:
        return Unreachable(_outage(status))
    return refuse(_sentence(status, code, detail), preset, revision)


def _sentence(status: int, code: str, detail: str) -> str:
    if code in _CODES:
        return _CODES[code]
    if status == 401 and any(text in detail for text in _WRONG_TOKEN):
        return "The Hub rejects the token; pass a valid token, or `token=False`"
    if status in (401, 404):
        return _CODES["RepoNotFound"]
    if status == 403:
        return "The token has no write access to the repository"
    if status == 412:
        return "Somebody else changed the repository in the meantime; try again"
    return f"The Hub answered with status {status}"


# Messages of the Hub for an unknown token, on reading and on writing.
_WRONG_TOKEN = ("Invalid credentials", "Invalid username or password")
_CODES = {
    "GatedRepo": (
        "The repository is gated: accept its terms on its page, then pass a token of "
        "that account"
    ),
    "RevisionNotFound": "The repository has no such revision",
    "EntryNotFound": "A file is missing in the repository",
    "RepoNotFound": (
        "The Hub has no such repository: the name is wrong, or the repository is "
        "private and needs a `token` (or HF_TOKEN) with read access"
    ),
}


def _outage(status: int) -> str:
    if status == 429:
        return "The Hub received too many requests; try again later."
    return f"The Hub has a failure (status {status}); try again later."


def _local_sentence(error: Exception) -> str:
    if isinstance(error, DiskFullError):
        reason = str(error).rpartition(" Received:")[0].rstrip(".")
        return f"There is no space left on the disk. {reason}"
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "There is no space left on the disk"
    return f"The transfer failed: {str(error).rstrip('.')}"
