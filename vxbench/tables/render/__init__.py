"""A Table written down: markdown, csv, LaTeX, terminal. Each module has `render(table) -> str` or prints."""
