"""From a received study to a queued job, and lost jobs back on the queue."""
