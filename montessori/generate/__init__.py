"""Text generation: one small engine interface and the engines behind it."""

from montessori.generate.engine import Engine, Generated, Prompt, Request, Sampling

__all__ = ["Engine", "Generated", "Prompt", "Request", "Sampling"]
