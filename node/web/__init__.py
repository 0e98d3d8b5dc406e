"""The status page and the JSON API."""
