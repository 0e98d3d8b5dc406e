"""The summary page, a Secondary Capture (PS3.3 A.8.1)."""
