"""The figures and documents of a company for programs, read by a token; `docs/api.md`."""

from reporting.api.figures import Figures

__all__ = ["Figures"]
