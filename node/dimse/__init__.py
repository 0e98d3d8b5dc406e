"""DIMSE as the node speaks it: Application Entities, C-ECHO, statuses."""
