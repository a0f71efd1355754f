"""Pictures for the clinician."""
