"""The parts of the page about reading results; `docs/reading_results.py` puts them together."""
