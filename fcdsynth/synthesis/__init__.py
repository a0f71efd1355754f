"""Stage 2: paired T1w and FLAIR volumes from masks, by a SPADE conditional GAN."""
