"""A headless Chromium controlled over a pipe, without further packages."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)
MISSING = "no Chromium or Chrome on the path"
# No requests to other hosts, and no shared memory, which containers lack.
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-default-browser-check",
    "--no-first-run",
    "--remote-debugging-pipe",
)
_PATIENCE = 120.0


class Tab:
    """A page in the browser.

    Args:
        commands: File descriptor that commands are written to.
        answers: File descriptor that responses are read from.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self.commands, self.answers, self.buffer, self.count = commands, answers, b"", 0
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        found = self.ask("Target.attachToTarget", targetId=target, flatten=True)
        self.session: str | None = found["sessionId"]
        self.ask("Page.enable")

    session: str | None = None

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a command and waits for the response."""
        self.count += 1
        message = {"id": self.count, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self.count:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def _read(self) -> dict[str, Any]:
        deadline = time.monotonic() + _PATIENCE
        while b"\0" not in self.buffer:
            wait = max(0, deadline - time.monotonic())
            if not select.select([self.answers], [], [], wait)[0]:
                raise TimeoutError("the browser does not answer")
            if not (read := os.read(self.answers, 1 << 16)):
                raise RuntimeError("the browser has ended")
            self.buffer += read
        message, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(message)

    def run(self, script: str) -> Any:
        """The value of an expression in the page."""
        options = {"returnByValue": True, "awaitPromise": True}
        answer = self.ask("Runtime.evaluate", expression=script, **options)
        if "exceptionDetails" in answer:
            raise RuntimeError(answer["exceptionDetails"])
        return answer["result"].get("value")

    def open(self, page: Path | str) -> None:
        """Opens a file or an address, and waits until it is loaded."""
        address = page if isinstance(page, str) else page.as_uri()
        self.ask("Page.navigate", url=address)
        self.wait(
            f"location.href === {address!r} && document.readyState === 'complete'"
        )

    def choose(self, selector: str, *files: Path) -> None:
        """Selects files in a file input."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        found = self.ask("DOM.querySelector", nodeId=root, selector=selector)
        names = [str(path) for path in files]
        self.ask("DOM.setFileInputFiles", files=names, nodeId=found["nodeId"])

    def screenshot(self, name: str) -> None:
        """Saves a PNG file in the folder $KERAS_INVOLUTION_SCREENSHOTS."""
        if folder := os.environ.get("KERAS_INVOLUTION_SCREENSHOTS"):
            shot = self.ask("Page.captureScreenshot")["data"]
            Path(folder, name).write_bytes(base64.b64decode(shot))

    def wait(self, condition: str) -> None:
        """Waits until an expression in the page is true."""
        deadline = time.monotonic() + _PATIENCE
        while not self.run(condition):
            if time.monotonic() > deadline:
                raise TimeoutError(condition)
            time.sleep(0.05)


@contextlib.contextmanager
def opened_browser(folder: Path) -> Iterator[Tab]:
    """A tab of a browser with its profile in `folder`; closed at the end of the block.

    On a busy machine, a browser sometimes ends during its start: there are three tries.
    """
    for trial in range(3):
        try:
            tab, close = _start(folder / str(trial))
            break
        except (OSError, RuntimeError, TimeoutError) as error:
            problem = error
    else:
        raise problem
    try:
        yield tab
    finally:
        close()


def _start(folder: Path) -> tuple[Tab, Callable[[], None]]:
    folder.mkdir(parents=True)
    (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
    # The browser reads commands from 3 and writes answers to 4.
    redirect = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    options = [*OPTIONS, f"--user-data-dir={folder}"]
    with open(folder / "messages.txt", "wb") as messages:
        process = subprocess.Popen(
            ["bash", "-c", redirect, "bash", str(PROGRAM), *options],
            pass_fds=(theirs_in, theirs_out),
            stdout=messages,
            stderr=messages,
            # The browser needs a home folder, where it keeps its files.
            env={**os.environ, "HOME": str(folder)},
        )
    os.close(theirs_in)
    os.close(theirs_out)

    def close() -> None:
        os.close(ours_out)  # The browser ends when the pipe closes.
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(ours_in)

    try:
        return Tab(ours_out, ours_in), close
    except (OSError, RuntimeError, TimeoutError) as error:
        close()
        said = (folder / "messages.txt").read_text("utf-8", "replace")[-2000:]
        message = f"The browser does not start: {error}. It said: {said}"
        raise RuntimeError(message) from error
