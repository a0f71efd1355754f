"""From raw scans to one grid: BIDS reading, registration, brain mask, tissue, intensity."""
