"""Two minutes of the page: nothing leaves this machine, and the memory stays as it is."""

import time

import psutil
import pytest

SECONDS = 125


@pytest.fixture
def watched(tab, launch, url):
    """The page in a browser of its own, with the camera on."""
    browser = launch("--enable-precise-memory-info")
    return tab(url, browser=browser).run()


def used(tab, session, processes):
    """Bytes of JavaScript's heap after a collection, and of the page's process."""
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"]
    number = tab.evaluate("location.port")
    assert number
    renderers = sorted((p.memory_info().rss for p in processes("--type=renderer") if alive(p)), reverse=True)
    return heap, renderers[0]


def alive(process):
    try:
        return process.memory_info().rss > 0
    except psutil.Error:
        return False


def test_two_minutes(watched, processes, url):
    session = watched.context.new_cdp_session(watched.page)
    began, samples = time.monotonic(), []
    while (now := time.monotonic() - began) < SECONDS:
        watched.page.wait_for_timeout(1000)
        assert watched.status == ""
        if (now > 60 and len(samples) < 1) or (now > 118 and len(samples) < 4):
            samples.append(used(watched, session, processes))
    assert time.monotonic() - began > 70
    outside = [one for one in watched.requests if not one.startswith((url, "data:", f"blob:{url}"))]
    assert outside == []
    assert watched.evaluate("self.violations ?? []") == []
    (heap, resident), *later = samples
    assert min(one for one, _ in later) < 1.05 * heap + 2e6
    assert min(one for _, one in later) < 1.05 * resident
    assert watched.evaluate("performance.getEntriesByType('resource').length") < 40
