"""What `hoso bench` measures, one file each, and how figures are kept."""
