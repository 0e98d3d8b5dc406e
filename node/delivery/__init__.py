"""Result objects on their way to their destinations."""
