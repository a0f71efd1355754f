"""Detectors to compare with: nnU-Net, through its own folders, and a classical baseline."""
