from kseg.metrics.class_scores import LoggedNames


def test_a_name_equals_what_it_logs():
    name = LoggedNames("iou", ["iou_road"])
    assert name == "iou"
    assert name == "iou_road"
    assert name != "iou_car"
    assert {"iou": 1}[name] == 1
    assert f"val_{name}" == "val_iou"
