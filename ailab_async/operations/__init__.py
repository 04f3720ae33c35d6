"""What the service can do, as values: they check themselves, become forms and read results."""

from .base import Fact, FormItem, Operation, ResultT, TextField, load_parts
from .cartoon import CartoonGenerator, CartoonStyle
from .catalogue import EndpointSpec, FieldSpec, catalogue
from .color_migration import Auto, HDColorMigration, RefPic, Template
from .endpoint import Endpoint
from .erasure import ImageErasure
from .motion import MicroMotion, Motion
from .results import (
    CartoonResult,
    ColorMigrationResult,
    EndpointResult,
    ErasureResult,
    FileStore,
    MotionResult,
    Result,
    ResultFile,
    files_in,
)

__all__ = [
    "Auto",
    "CartoonGenerator",
    "CartoonResult",
    "CartoonStyle",
    "ColorMigrationResult",
    "Endpoint",
    "EndpointResult",
    "EndpointSpec",
    "ErasureResult",
    "Fact",
    "FieldSpec",
    "FileStore",
    "FormItem",
    "HDColorMigration",
    "ImageErasure",
    "MicroMotion",
    "Motion",
    "MotionResult",
    "Operation",
    "RefPic",
    "Result",
    "ResultFile",
    "ResultT",
    "Template",
    "TextField",
    "catalogue",
    "files_in",
    "load_parts",
]
