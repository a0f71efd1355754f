"""fcdsynth: make more of few and imperfect focal cortical dysplasia annotations."""

__version__ = "0.1.0"
