"""The data published with the ConvNet Playground: found in a copy, brought into a grid, checked against our own results."""
