"""A report in headless Chromium: nothing is missing, blank or loaded from elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from tests.browser import SCREENS

image = pytest.importorskip("matplotlib.image")

SECTIONS = ["Model", "Training", "Test results", "Recordings"]
#: Left, top, right and bottom of each picture on the page.
BOXES = """[...document.images].map(i => i.getBoundingClientRect()).map(
    b => [b.left + scrollX, b.top + scrollY, b.right + scrollX, b.bottom + scrollY])"""


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
    assert not browser.complaints()
    assert [url for url in browser.requests() if not url.startswith("data:image/")] == [full.as_uri()]

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
