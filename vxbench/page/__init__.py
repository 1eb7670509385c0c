"""The report: one HTML file that holds every table, curve, map and value of a results folder, and asks for no other.

It takes plain data (data.py) and knows neither the runner nor its files.
"""

from vxbench.page.data import FigureFile, Gallery, PageCell, PageTable, Report
from vxbench.page.page import render, write_report

__all__ = ["FigureFile", "Gallery", "PageCell", "PageTable", "Report", "render", "write_report"]
