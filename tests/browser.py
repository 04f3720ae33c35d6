"""A headless Chromium, driven over a pipe with its own protocol: what a page does in a browser.

The DevTools protocol goes over two inherited pipes (``--remote-debugging-pipe``: JSON messages
that end with a zero byte), so no port is opened and no package is needed. POSIX only.

Every method blocks: call them from a plain test, or with ``asyncio.to_thread`` where the page is
served by the test's own loop.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--remote-debugging-pipe",
    "--no-sandbox",  # tests may run as root, in a container
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--force-color-profile=srgb",
    "--hide-scrollbars",
    "--no-first-run",
    "--no-default-browser-check",
    "--password-store=basic",
    "--use-mock-keychain",
)


def find_browser():
    """Return the path of a Chromium; None where there is none, or no pipe can be handed to it."""
    if os.name != "posix":
        return None
    return next(filter(None, map(shutil.which, NAMES)), None)


class BrowserError(Exception):
    """The browser, or the page's own script, said no."""


class Browser:
    """One browser with one page, for a ``with`` block.

    ``requests`` are the URLs that the page asked for since it was opened, its own first and
    ``data:`` ones among them; ``complaints`` are what its console would show: exceptions of its
    scripts, broken content security policies, failed loads. ``dialogs`` are the kinds of question
    that the browser put, ``beforeunload`` above all; each is answered with yes. All three grow
    while a method waits for the browser. ``seconds`` bounds each wait; a ``BrowserError`` says
    what did not happen.
    """

    def __init__(self, *, width=1280, height=900, dark=False, seconds=30):
        self.requests = []
        self.complaints = []
        self.dialogs = []
        self._size = (width, height)
        self._dark = dark
        self._seconds = seconds
        self._last_id = 0
        self._unread = b""
        self._events = set()
        self._session = None

    def __enter__(self):
        with contextlib.ExitStack() as stack:
            profile = stack.enter_context(
                tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True)
            )
            theirs_in, self._to = os.pipe()
            self._from, theirs_out = os.pipe()
            for descriptor in (self._to, self._from):
                stack.callback(os.close, descriptor)
            # it reads from descriptor 3 and writes to 4; the shell puts ours there. Numbers of two
            # digits are not portable in shells, and pipes may well get some: hence /dev/fd
            script = f'exec "$@" 3</dev/fd/{theirs_in} 4>/dev/fd/{theirs_out}'
            command = (find_browser(), *FLAGS, f"--user-data-dir={profile}", "about:blank")
            self._process = subprocess.Popen(  # noqa: S603 - found by its name
                ("/bin/sh", "-c", script, "sh", *command),
                pass_fds=(theirs_in, theirs_out),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "HOME": profile},
            )
            stack.callback(self._end)
            os.close(theirs_in)
            os.close(theirs_out)
            self._attach()
            self._cleanup = stack.pop_all()
        return self

    def __exit__(self, *error):
        self._cleanup.close()

    # --- what tests do with it --------------------------------------------------------------------

    def open(self, url):
        """Go to ``url`` and wait until it has loaded."""
        self.requests.clear()
        self.complaints.clear()
        self.dialogs.clear()
        self._events.discard("Page.loadEventFired")
        answer = self.call("Page.navigate", url=url)
        if "errorText" in answer:
            raise BrowserError(answer["errorText"])
        self._wait("Page.loadEventFired", lambda: "Page.loadEventFired" in self._events)

    def evaluate(self, expression):
        """Return the JSON value of an expression in the page; of a promise, what it becomes."""
        answer = self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise BrowserError(details.get("exception", {}).get("description", details["text"]))
        return answer["result"].get("value")

    def until(self, expression):
        """Ask until an expression is true in the page, and return its value."""
        ends = time.monotonic() + self._seconds
        while not (value := self.evaluate(expression)):
            if time.monotonic() > ends:
                message = f"never true: {expression}"
                raise BrowserError(message)
            self.evaluate("new Promise((done) => requestAnimationFrame(() => done(1)))")
        return value

    def press(self, key, *, text=""):
        """Press and release a key, by its name in the DOM; ``text`` is what it types."""
        codes = {"Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, "Tab": 9}
        known = {"key": key, "code": key, "windowsVirtualKeyCode": codes.get(key, 0)}
        text = "\r" if key == "Enter" else text
        down = {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **known, **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", **known)

    def show(self, *, width=None, height=None, dark=None, **features):
        """Change the window's size, or light for dark; narrow windows are a phone's.

        ``features`` are more of what media queries ask for, ``forced_colors="active"`` and such,
        and are forgotten by the next call.
        """
        self._size = (width or self._size[0], height or self._size[1])
        self._dark = self._dark if dark is None else dark
        phone = self._size[0] < 500
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=self._size[0],
            height=self._size[1],
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        features["prefers_color_scheme"] = "dark" if self._dark else "light"
        named = [{"name": name.replace("_", "-"), "value": features[name]} for name in features]
        self.call("Emulation.setEmulatedMedia", features=named)

    def screenshot(self, path):
        """Save what the window shows as a PNG file."""
        answer = self.call("Page.captureScreenshot", format="png")
        Path(path).write_bytes(base64.b64decode(answer["data"]))

    def pdf(self, path):
        """Save what would be printed."""
        answer = self.call("Page.printToPDF", printBackground=True)
        Path(path).write_bytes(base64.b64decode(answer["data"]))

    def call(self, method, **params):
        """Call a method of the DevTools protocol on the page and return its result."""
        number = self._ask(method, params)
        answers = []

        def answered():
            return bool(answers)

        self._wait(method, answered, lambda came: came.get("id") == number and answers.append(came))
        if "error" in answers[0]:
            text = f"{method}: {answers[0]['error']['message']}"
            raise BrowserError(text)
        return answers[0]["result"]

    # --- the wire ---------------------------------------------------------------------------------

    def _attach(self):
        targets = self.call("Target.getTargets")["targetInfos"]
        (page,) = [target["targetId"] for target in targets if target["type"] == "page"]
        self._session = self.call("Target.attachToTarget", targetId=page, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.show()

    def _ask(self, method, params):
        self._last_id += 1
        message = {"id": self._last_id, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        self._send(json.dumps(message).encode() + b"\0")
        return self._last_id

    def _send(self, data):
        view = memoryview(data)
        while view:
            view = view[os.write(self._to, view) :]

    def _wait(self, what, done, take=bool):
        ends = time.monotonic() + self._seconds
        while not done():
            came = self._next(ends, what)
            take(came)
            self._note(came.get("method"), came.get("params", {}))

    def _next(self, ends, what):
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._from], [], [], max(0, ends - time.monotonic()))
            data = os.read(self._from, 1 << 20) if ready else b""
            if not data:
                why = "the browser ended" if ready else f"nothing came for {self._seconds} s"
                message = f"{what}: {why}"
                raise BrowserError(message)
            self._unread += data
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)

    def _note(self, event, params):
        self._events.add(event)
        if event == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            details = params["exceptionDetails"]
            said = details.get("exception", {}).get("description", details["text"])
            self.complaints.append(said)
        elif event == "Log.entryAdded" and params["entry"]["level"] in {"error", "warning"}:
            self.complaints.append(params["entry"]["text"])
        elif event == "Page.javascriptDialogOpening":
            self.dialogs.append(params["type"])
            # its answer comes to whoever waits then, and is nobody's
            self._ask("Page.handleJavaScriptDialog", {"accept": True})

    def _end(self):
        # asked first, so that its helpers leave the profile's folder before that is removed
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            self._send(json.dumps({"id": 0, "method": "Browser.close"}).encode() + b"\0")
            self._process.wait(timeout=5)
        # its own session, so that none of them outlives the test
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(timeout=self._seconds)
