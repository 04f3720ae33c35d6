"""Requests and their answers over HTTP.

A slot is a connection (`slots`); what happens on it is an exchange (`exchange`); `library` is the
only module that knows the HTTP library; `pace` slows a client down; `addresses` says where files
may be fetched from, `budget` how many bytes may be in memory. `traffic` puts them together.

What is not known here: what a task is, and what the JSON of an answer means.
"""

from .budget import Budget, Hold
from .exchange import Timeouts
from .library import HTTPName, borrow
from .traffic import Engine, Transport

__all__ = ["Budget", "Engine", "HTTPName", "Hold", "Timeouts", "Transport", "borrow"]
