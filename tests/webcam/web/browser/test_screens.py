"""How the page lies on screens. With KSEG_SCREENSHOTS set to a folder, what was seen is kept there."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

PHONES = [(390, 844), (844, 390), (320, 568)]


@pytest.fixture
def keep(tmp_path):
    """Save a screenshot of a tab; gives it as RGB."""
    folder = Path(os.environ.get("KSEG_SCREENSHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)

    def save(tab, name):
        tab.page.screenshot(path=folder / f"{name}.png")
        return cv2.imread(str(folder / f"{name}.png"))[..., ::-1]

    return save


@pytest.mark.parametrize("size", PHONES)
def test_phones_in_both_orientations(tab, url, keep, size):
    width, height = size
    one = tab(
        url,
        viewport={"width": width, "height": height},
        has_touch=True,
        is_mobile=True,
        device_scale_factor=1,
    )
    one.page.tap("#start")
    one.until(lambda: "fps" in one.page.inner_text("#rate"))
    keep(one, f"phone-{width}x{height}")
    assert one.evaluate("document.documentElement.scrollWidth") <= width
    for name in ("#canvas", "#start"):
        box = one.page.locator(name).bounding_box()
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width + 1
        assert box["y"] + box["height"] <= height + 1
    shape = one.evaluate("(({ width, height }) => [width, height])(document.getElementById('canvas'))")
    box = one.page.locator("#canvas").bounding_box()
    assert min(box["width"] / shape[0], box["height"] / shape[1]) > 0.25  # the whole image, not a stamp
    small = one.evaluate("""() => [...document.querySelectorAll("button, select")]
        .filter((e) => e.offsetParent && e.getBoundingClientRect().height < 32).map((e) => e.id || e.innerText)""")
    assert small == []  # a finger hits them


def test_turning_the_phone_keeps_the_camera(tab, url):
    one = tab(url, viewport={"width": 390, "height": 844}).run()
    one.page.set_viewport_size({"width": 844, "height": 390})
    one.page.wait_for_timeout(500)
    assert one.page.inner_text("#start") == "Stop"
    assert one.evaluate("document.documentElement.scrollWidth") <= 844


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_are_readable(tab, url, keep, scheme):
    one = tab(url, viewport={"width": 1100, "height": 640}, color_scheme=scheme).run()
    one.page.wait_for_timeout(1500)
    keep(one, scheme)
    pairs = one.evaluate("""() => [...document.querySelectorAll("h1, p, label, legend, button, select, #running")]
        .filter((e) => !e.disabled).filter((e) => e.offsetParent).map((e) => {
            let behind = e;
            while (getComputedStyle(behind).backgroundColor === "rgba(0, 0, 0, 0)") behind = behind.parentElement;
            return [e.innerText.slice(0, 20), getComputedStyle(e).color, getComputedStyle(behind).backgroundColor];
        })""")
    assert len(pairs) > 15
    for text, *colours in pairs:
        light, dark = sorted((luminance(colour) for colour in colours), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, colours)  # WCAG 2.1, AA


def luminance(colour):
    """Relative luminance of WCAG 2.1 of "rgb(r, g, b)", or with an opacity over black."""
    values = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")]
    opacity = values[3] if len(values) > 3 else 1.0
    channels = np.array(values[:3]) / 255 * opacity
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_screenshots_of_the_documentation(tab, url, keep):
    one = tab(url, viewport={"width": 960, "height": 560}).run()
    one.page.wait_for_timeout(1500)
    painted = keep(one, "paint")
    red, green, blue = painted.astype(int).transpose(2, 0, 1)
    assert ((green > red + 20) & (green > blue + 10)).mean() > 0.1
    one.evaluate(
        "(e => { e.value = 0; e.dispatchEvent(new Event('input')) })(document.getElementById('alpha'))"
    )
    for name in ("blur", "colour"):
        one.page.select_option("#background", name)
        one.page.wait_for_timeout(1000)
        keep(one, name)
