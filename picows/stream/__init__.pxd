# A Cython package.
