"""Where a cohort's lesions are few."""
