"""Price levels of a book message, read from their JSON text without Python objects."""
from connectors.events cimport BookChange

# `rows`: the text of an array of [price, size, ...], as a buffer. Returns how many rows it read.
cdef int read_levels(object rows, BookChange change, bint is_bid) except -1
