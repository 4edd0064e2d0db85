"""A small copy of the shapes."""

import pytest


@pytest.fixture(scope="session")
def shapes_cache(tmp_path_factory):
    """A cache folder with ``shapes`` drawn into it, once for all tests and much smaller than the real one."""
    from kseg.data.sources import shapes

    root = tmp_path_factory.mktemp("shapes-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shapes, "SPLITS", {"train": 14, "val": 6})
        shapes.load_shapes(root, "train")
    return root
