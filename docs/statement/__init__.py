"""The parts of the DICOM Conformance Statement; `docs/conformance_statement.py` puts them together."""
