"""The node's DIMSE layer: Application Entities, connections and associations, C-ECHO and statuses."""
