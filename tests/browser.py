"""Headless Chromium, in which pages are looked at."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--remote-debugging-pipe")  # fmt: skip
#: A page is tried on a desktop and on a phone, in light and dark: width, height, scale, mode.
SCREENS = {"desktop": (1280, 900, 1, "light"), "phone": (390, 844, 2, "dark")}
WAIT_S = 60.0


class Browser:
    """Headless Chromium with one page, spoken to by its DevTools protocol: JSON between zero bytes."""

    def __init__(self, binary: str, profile: Path) -> None:
        (theirs_in, self.out), (self.into, theirs_out) = os.pipe(), os.pipe()
        script = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        with (profile / "stderr").open("wb") as messages:
            self.process = subprocess.Popen(
                ["bash", "-c", script, binary, *FLAGS, f"--user-data-dir={profile}", "about:blank"],
                pass_fds=(theirs_in, theirs_out), stdout=subprocess.DEVNULL, stderr=messages,
            )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self.last, self.rest, self.session, self.events = 0, b"", None, []
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(target["targetId"] for target in targets if target["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        self.process.terminate()
        self.process.wait(WAIT_S)
        os.close(self.out)
        os.close(self.into)

    def call(self, method: str, **params):
        """What the browser answers."""
        self.last += 1
        message = {"id": self.last, "method": method, "params": params}
        message.update({"sessionId": self.session} if self.session else {})
        os.write(self.out, json.dumps(message).encode() + b"\0")
        answer = self._until(lambda message: message.get("id") == self.last)
        assert "error" not in answer, (method, answer["error"])
        return answer["result"]

    def open(self, path: Path) -> None:
        """Show a file, and wait until it is loaded."""
        self.events = []
        self.call("Page.navigate", url=path.as_uri())
        if not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._until(lambda message: message.get("method") == "Page.loadEventFired")

    def ask(self, expression: str):
        """The value of an expression in the page; a promise's, when it is there."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def resize(self, width: int, height: int, scale: int, mode: str) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale,
                  mobile=scale > 1)  # fmt: skip
        features = [{"name": "prefers-color-scheme", "value": mode}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self) -> bytes:
        """The whole page as PNG."""
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(found["data"])

    def complaints(self) -> list:
        """What the page has in its console since it was opened."""
        told = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [event for event in self.events if event["method"] in told]

    def requests(self) -> list[str]:
        """What it asked for."""
        asked = [event for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in asked]

    def _until(self, wanted):
        end = time.monotonic() + WAIT_S
        while True:
            while b"\0" in self.rest:
                message, _, self.rest = self.rest.partition(b"\0")
                message = json.loads(message)
                if "method" in message:
                    self.events.append(message)
                if wanted(message):
                    return message
            ready, _, _ = select.select([self.into], [], [], max(end - time.monotonic(), 0))
            assert ready, "the browser does not answer"
            piece = os.read(self.into, 1 << 20)
            assert piece, "the browser has ended"
            self.rest += piece


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser, if there is one."""
    named = os.environ.get("FAIRSEQ_SIGNALS_CHROMIUM")
    binary = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if binary is None:
        pytest.skip(f"no {', '.join(BROWSERS)} on the path; FAIRSEQ_SIGNALS_CHROMIUM can name one")
    opened = Browser(binary, tmp_path_factory.mktemp("profile"))
    yield opened
    opened.close()
