"""A report in headless Chromium: nothing is missing, blank or loaded from elsewhere."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

image = pytest.importorskip("matplotlib.image")

SECTIONS = ["Model", "Training", "Test results", "Recordings"]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
         "--disable-background-networking", "--remote-debugging-pipe")  # fmt: skip
#: A page is tried on a desktop and on a phone, in light and dark: width, height, scale, mode.
SCREENS = {"desktop": (1280, 900, 1, "light"), "phone": (390, 844, 2, "dark")}
WAIT_S = 60.0
#: Left, top, right and bottom of each picture on the page.
BOXES = """[...document.images].map(i => i.getBoundingClientRect()).map(
    b => [b.left + scrollX, b.top + scrollY, b.right + scrollX, b.bottom + scrollY])"""


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


@pytest.mark.parametrize("screen", SCREENS)
def test_a_browser_shows_all_of_it(browser, full, screen, tmp_path):
    browser.resize(*SCREENS[screen])
    browser.open(full)
    assert browser.ask("[...document.querySelectorAll('h2')].map(h => h.innerText)") == SECTIONS
    assert browser.ask("document.title") == full.parent.name
    decoded = "Promise.all([...document.images].map(i => i.decode().then(() => i.naturalWidth)))"
    assert len(browser.ask(decoded)) == 6
    assert all(width > 200 for width in browser.ask(decoded))
    width = browser.ask("document.documentElement.clientWidth")
    assert browser.ask("document.documentElement.scrollWidth") <= width, "the page is wider than the screen"
    complaints = [event for event in browser.events if event["method"] in
                  ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")]  # fmt: skip
    assert not complaints
    requests = [event["params"]["request"]["url"] for event in browser.events
                if event["method"] == "Network.requestWillBeSent"]  # fmt: skip
    assert [url for url in requests if not url.startswith("data:image/")] == [full.as_uri()]

    boxes = browser.ask(BOXES)
    (tmp_path / "page.png").write_bytes(browser.screenshot())
    pixels = image.imread(tmp_path / "page.png")[..., :3]
    scale = pixels.shape[1] / width
    light = SCREENS[screen][3] == "light"
    assert (pixels[2, 2].mean() > 0.9) == light
    for left, top, right, bottom in boxes:
        shown = pixels[round(top * scale) : round(bottom * scale), round(left * scale) : round(right * scale)]
        assert shown.size
        assert np.median(shown) > 0.8, "pictures keep their white ground"
        assert len(np.unique(shown.reshape(-1, 3), axis=0)) > 20
