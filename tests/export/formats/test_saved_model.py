from kseg.export.formats.saved_model import SavedModelFormat


def test_written_opened_and_described(net, pictures, tmp_path):
    saved_model = SavedModelFormat()
    assert saved_model.export(net, tmp_path / "served", size=(24, 36), version=3).equal
    place = saved_model.place(tmp_path / "served", 3)
    assert place == tmp_path / "served" / "3"
    assert saved_model.is_format_of(place)
    found = saved_model.open(place)
    assert found(pictures[0][None]).shape == (1, 24, 36)
    assert found.output == "labels"
    assert saved_model.read_metadata(place)["output"] == "mask"
