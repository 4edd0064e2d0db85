"""The version, in a module of its own so that packaging reads it without importing TensorFlow."""

__version__ = "0.1.0"

STANDS_ON = ("keras", "tensorflow", "numpy", "opencv-contrib-python", "pillow", "ai-edge-litert", "tf2onnx")
OPTIONAL = ("onnxruntime", "jax", "torch")


def stands_on() -> str:
    """Python, the system and the packages that kseg runs on, as in a report of a fault; none of them is imported."""
    import platform
    from importlib import metadata

    lines = [f"Python {platform.python_version()} on {platform.system()} {platform.machine()}"]
    for package in STANDS_ON + OPTIONAL:
        try:
            lines.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            if package in STANDS_ON:
                lines.append(f"{package} not installed")
    return "\n".join(lines)
