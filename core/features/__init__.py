"""What single channels of a layer answer to."""
