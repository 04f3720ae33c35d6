"""Sphinx configuration: ``nox -s docs`` builds the pages."""

import ailab_async

project = "ailab_async"
author = "the ailab_async authors"
copyright = f"2026, {author}"  # noqa: A001  Sphinx wants this name
release = version = ailab_async.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "pictures/SOURCES.txt"]
myst_enable_extensions = ["colon_fence", "fieldlist"]
myst_heading_anchors = 3
# docstrings name things in single backticks; what is no public name is shown as code all the same
default_role = "py:obj"

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}

html_theme = "furo"
html_title = "ailab_async"
