"""Text generation: one small engine interface and the engines behind it."""

from montessori.generate.engine import Engine, Generated, Request, Sampling, open_engine

__all__ = ["Engine", "Generated", "Request", "Sampling", "open_engine"]
