"""plotman.yaml: its models, reading it with all its mistakes told at once, and writing a sample of it."""

from common.config.drives import drives
from common.config.loader import default_path, find_problems, load
from common.config.model import Config
from common.config.problems import Level, Problem

__all__ = ["Config", "Level", "Problem", "default_path", "drives", "find_problems", "load"]
