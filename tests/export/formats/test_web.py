from kseg.export.formats.web import WebFormat


def test_a_page_is_asked_for_by_its_name_only(tmp_path):
    """A folder that is opened is a SavedModel; the page's own files are opened as what they are."""
    assert not WebFormat().is_format_of(tmp_path)
    assert not WebFormat().checked
    assert WebFormat().place(tmp_path) == tmp_path
