"""What goes wrong with the Hub, in sentences that say what to do."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from keras_involution._arguments import received
from keras_involution.hub._source import PresetError
from keras_involution.hub.client import Unreachable


@contextlib.contextmanager
def hub_errors(preset: str, revision: str | None = None) -> Iterator[None]:
    """Turns the client's errors into `PresetError`, or `Unreachable` for an outage."""
    try:
        yield
    except (PresetError, Unreachable):
        raise
    except RuntimeError as error:  # what the client's upload threads wrap theirs in
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
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        if status == 429 or status >= 500:
            raise Unreachable(_outage(status)) from error
        raise refuse(_sentence(error, status), preset, revision) from error
    except errors.OfflineModeIsEnabled as error:
        raise Unreachable("The Hub is not asked: offline mode is on.", True) from error
    except transport_error as error:
        raise Unreachable(f"The Hub cannot be reached: {error}.") from error
    except (OSError, ValueError, RuntimeError) as error:
        raise refuse(_local_sentence(error), preset, revision) from error


def refuse(sentence: str, preset: str, revision: str | None = None) -> PresetError:
    """The error that says `sentence` and what was received."""
    values = {"preset": preset} | ({} if revision is None else {"revision": revision})
    return PresetError(f"{sentence}. {received(**values)}")


def _sentence(error: Exception, status: int) -> str:
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return (
            "The repository is gated: accept its terms on its page, then pass a token "
            "of that account"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return "The repository has no such revision"
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return "A file is missing in the repository"
    if isinstance(error, errors.RepositoryNotFoundError) or status == 404:
        return (
            "The Hub shows no such repository: the name is wrong, or it is private and "
            "needs a `token` (or HF_TOKEN) that may read it"
        )
    if status == 401:
        return "The Hub does not accept the token; take a new one, or `token=False`"
    if status == 403:
        return "The token may not do this; it needs write access to the repository"
    if status == 412:
        return "Somebody else changed the repository in the meantime; try again"
    return f"The Hub answered with status {status}"


def _outage(status: int) -> str:
    if status == 429:
        return "The Hub refuses for now, because of too many requests."
    return f"The Hub has a failure (status {status}); try again later."


def _local_sentence(error: Exception) -> str:
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "There is no space left on the disk"
    return f"The transfer failed: {str(error).rstrip('.')}"
