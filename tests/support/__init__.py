"""What tests share: peers, synthetic inputs, and ways of reading results."""
