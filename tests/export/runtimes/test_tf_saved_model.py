import numpy as np
import pytest

import kseg
from kseg.errors import ModelError


@pytest.mark.full
def test_masks_of_a_version(net, pictures, tmp_path):
    kseg.export.saved_model(net, tmp_path / "served", size=(24, 36))
    found = kseg.export.load(tmp_path / "served" / "1")
    assert (found.size, found.output) == ((24, 36), "labels")
    batch = np.stack(pictures)
    expected = np.asarray(net(batch.astype("float32"))).argmax(-1)
    assert (found(batch) == expected).mean() > 0.999
    with pytest.raises(ModelError, match="takes images"):
        found(batch[:, :10])


def test_a_folder_that_is_no_saved_model(tmp_path):
    with pytest.raises(ModelError, match="cannot load"):
        kseg.export.load(tmp_path)
