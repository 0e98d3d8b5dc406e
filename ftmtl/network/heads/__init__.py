"""The three tasks' heads on regions of interest (RoIs), a file each.

Each makes a *view* of the RoI first, its feature map, which it can hand to the others; then it decides, from its own
view and those handed to it. No head waits for another's decision, so transfer may run in both directions at once.
"""
