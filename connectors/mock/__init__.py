"""A mock exchange: a venue's protocol over loopback, from a capture or a seeded generator, with faults."""

from connectors.mock.build import captured_mock, generated_mock
from connectors.mock.faults import FAULTS, parse_fault
from connectors.mock.serve import MockOptions, MockReport, serve
from connectors.mock.server import MockExchange
from connectors.mock.venue import MockVenue

__all__ = [
    "FAULTS",
    "MockExchange",
    "MockOptions",
    "MockReport",
    "MockVenue",
    "captured_mock",
    "generated_mock",
    "parse_fault",
    "serve",
]
