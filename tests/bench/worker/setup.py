"""Compile counting.pyx against the picows of this interpreter: python setup.py build_ext --build-lib DIR."""

from Cython.Build import cythonize
from setuptools import Extension, setup

setup(
    name="counting",
    py_modules=[],
    ext_modules=cythonize([Extension("counting", ["counting.pyx"])], language_level=3, quiet=True),
)
