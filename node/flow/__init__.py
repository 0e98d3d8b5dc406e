"""From a received study to a queued job, and back on the queue what was lost."""
