"""The dependencies alone, all else is in pyproject.toml: requirements.txt, or what Keras on JAX or PyTorch needs of it.

pip's extras add packages and take none away, so an environment variable says that TensorFlow is not wanted:

    KSEG_WITHOUT_TENSORFLOW=1 pip install '.[jax]'
"""

import os
from pathlib import Path

from setuptools import setup

small = os.environ.get("KSEG_WITHOUT_TENSORFLOW", "") not in ("", "0")
wanted = Path(__file__).with_name("requirements-core.txt" if small else "requirements.txt")
lines = (line.partition("#")[0].strip() for line in wanted.read_text("utf-8").splitlines())
setup(install_requires=[line for line in lines if line])
