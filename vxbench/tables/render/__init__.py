"""Writes a Table as markdown, csv and LaTeX, and prints it. Each module has `render(table) -> str` or prints."""
