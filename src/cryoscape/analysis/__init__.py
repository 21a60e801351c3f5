"""Functions of latents, a volume source and particles; arrays and tables in and out."""
