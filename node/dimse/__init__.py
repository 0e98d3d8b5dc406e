"""The node's DIMSE layer: Application Entities, C-ECHO and statuses."""
