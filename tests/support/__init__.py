"""What tests share: synthetic inputs, peers and validators, and ways to read results."""
