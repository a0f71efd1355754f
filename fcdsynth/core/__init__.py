"""What every room may know: subjects, cohorts, grids, volumes, detections, provenance."""
