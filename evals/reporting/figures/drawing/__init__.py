"""What all figures share: labels, colours, legends, axes and sizes."""
