"""Annotations of other programs (COCO, LabelMe, YOLO, CVAT, Roboflow) as data sets of this one."""
