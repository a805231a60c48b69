"""What single channels of a layer respond to: feature visualizations and top-activating images."""
